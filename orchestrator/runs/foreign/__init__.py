"""Run folders of other tools: who made one, where its arrays are, what its files say."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.foreign.array_files import (
        ROLES as ROLES,
        SPLITS as SPLITS,
        usual_places as usual_places,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["metadata"],
    submod_attrs={"array_files": ["ROLES", "SPLITS", "usual_places"]},
)
