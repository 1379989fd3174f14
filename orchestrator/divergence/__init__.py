"""Judge learning curves: tell a lost run from one that recovers, and find what else goes wrong.

In: the reports of a run, (step, metrics) one by one, and optionally its targets and schedule. Out:
a verdict with its reason after each report, or a diagnosis of the whole run. Depends on nothing but
the reports, so that it works in any training loop.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.divergence.lost_levels import fatal_value as fatal_value
    from orchestrator.divergence.policy import Policy as Policy, Reported as Reported
    from orchestrator.divergence.rule import (
        FALLEN as FALLEN,
        LONGEST_TRANSIENT as LONGEST_TRANSIENT,
        DivergenceRule as DivergenceRule,
    )
    from orchestrator.divergence.verdict import Verdict as Verdict, number as number
    from orchestrator.divergence.watch import Watch as Watch

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "lost_levels": ["fatal_value"],
        "policy": ["Policy", "Reported"],
        "rule": ["DivergenceRule", "FALLEN", "LONGEST_TRANSIENT"],
        "verdict": ["Verdict", "number"],
        "watch": ["Watch"],
    },
)
