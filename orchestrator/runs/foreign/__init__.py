"""Run folders made by other tools."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.foreign.array_files import (
        ROLES as ROLES,
        SPLITS as SPLITS,
        Places as Places,
        Source as Source,
        own_places as own_places,
        usual_places as usual_places,
    )
    from orchestrator.runs.foreign.manifest import (
        FILE as FILE,
        Manifest as Manifest,
        read_manifest as read_manifest,
    )
    from orchestrator.runs.foreign.tools import (
        Found as Found,
        Tool as Tool,
        read_tool as read_tool,
        read_values as read_values,
        recognise as recognise,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["metadata"],
    submod_attrs={
        "array_files": ["Places", "ROLES", "SPLITS", "Source", "own_places", "usual_places"],
        "manifest": ["FILE", "Manifest", "read_manifest"],
        "tools": ["Found", "Tool", "read_tool", "read_values", "recognise"],
    },
)
