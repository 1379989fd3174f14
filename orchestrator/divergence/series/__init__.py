"""What a reported series is, by its name, and statistics of its values as they arrive."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.divergence.series.series_names import (
        Rank as Rank,
        best_training_name as best_training_name,
        is_rate as is_rate,
        is_validation as is_validation,
        training_rank as training_rank,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "series_names": ["Rank", "best_training_name", "is_rate", "is_validation", "training_rank"],
    },
)
