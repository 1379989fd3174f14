"""Diagnose runs that are over: each by itself, and all runs of a sweep together."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.divergence.diagnosis.between_runs import (
        RunSummary as RunSummary,
        compare_runs as compare_runs,
    )
    from orchestrator.divergence.diagnosis.one_run import (
        Diagnosis as Diagnosis,
        Finding as Finding,
        diagnose as diagnose,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "between_runs": ["RunSummary", "compare_runs"],
        "one_run": ["Diagnosis", "Finding", "diagnose"],
    },
)
