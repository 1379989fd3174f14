"""YAML text as a tree in which every key and value knows its line."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.yaml.tolerant import (
        LenientError as LenientError,
        read_yaml as read_yaml,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "tolerant": ["LenientError", "read_yaml"],
    },
)
