"""Optuna: the studies of a sweep, its samplers and its pruners.

In: a spec, the reports of trials and how they ended. Out: proposed configs, and why a trial should
be pruned. Samplers and pruners are records in `orchestrator.sweepfile.space`; this package makes
Optuna's objects from them.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.search.divergence_pruner import DivergencePruner as DivergencePruner
    from orchestrator.search.failed import LOST as LOST, imputed as imputed
    from orchestrator.search.pruners import Bands as Bands, is_pruners as is_pruners
    from orchestrator.search.studies import Studies as Studies
    from orchestrator.search.study import Proposal as Proposal, Study as Study

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "divergence_pruner": ["DivergencePruner"],
        "failed": ["LOST", "imputed"],
        "pruners": ["Bands", "is_pruners"],
        "studies": ["Studies"],
        "study": ["Proposal", "Study"],
    },
)
