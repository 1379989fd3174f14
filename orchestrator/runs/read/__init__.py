"""Read what a run folder holds: its arrays, without unpickling anything."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.read.arrays import (
        load_array as load_array,
        load_sequences as load_sequences,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"arrays": ["load_array", "load_sequences"]}
)
