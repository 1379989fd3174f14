"""Rank rows: seeds of one config are joined, then the best come first."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.analysis.rank.seeds import (
        MEAN_OF as MEAN_OF,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "seeds": ["MEAN_OF"],
    },
)
