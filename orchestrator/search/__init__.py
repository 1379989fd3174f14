"""Optuna: the study, its samplers and its pruners."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.search.failed import LOST as LOST, imputed as imputed
    from orchestrator.search.pruners import Bands as Bands, is_pruners as is_pruners
    from orchestrator.search.study import Proposal as Proposal, Studies as Studies, Study as Study

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "failed": ["LOST", "imputed"],
        "pruners": ["Bands", "is_pruners"],
        "study": ["Proposal", "Studies", "Study"],
    },
)
