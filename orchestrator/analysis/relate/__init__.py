"""Relate ranked rows to each other: differences and what is noise, references, earlier stages."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.analysis.measure.row import Difference as Difference
    from orchestrator.analysis.relate.noise import (
        between_runs as between_runs,
        between_seeds as between_seeds,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"noise": ["Difference", "between_runs", "between_seeds"]}
)
