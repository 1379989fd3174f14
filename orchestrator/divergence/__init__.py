"""Reading learning curves: the rule that tells a lost run from one that recovers."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.divergence.diagnosis import (
        Diagnosis as Diagnosis,
        Finding as Finding,
        Seen as Seen,
        compare_runs as compare_runs,
        diagnose as diagnose,
    )
    from orchestrator.divergence.lost_levels import number as number
    from orchestrator.divergence.rule import (
        FALLEN as FALLEN,
        LONGEST_TRANSIENT as LONGEST_TRANSIENT,
        DivergenceRule as DivergenceRule,
    )
    from orchestrator.divergence.series_names import is_validation as is_validation
    from orchestrator.divergence.verdict import (
        LOST as LOST,
        Choice as Choice,
        Policy as Policy,
        Verdict as Verdict,
    )
    from orchestrator.divergence.watch import Watch as Watch, is_rate as is_rate

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["lost_levels", "series_names", "verdict"],
    submod_attrs={
        "diagnosis": ["Diagnosis", "Finding", "Seen", "compare_runs", "diagnose"],
        "lost_levels": ["number"],
        "rule": ["DivergenceRule", "FALLEN", "LONGEST_TRANSIENT"],
        "series_names": ["is_validation"],
        "verdict": ["Choice", "LOST", "Policy", "Verdict"],
        "watch": ["Watch", "is_rate"],
    },
)
