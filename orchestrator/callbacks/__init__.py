"""Callbacks that report from Lightning, Hugging Face's Trainer and Keras; each loads its own."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.callbacks.script import report as report

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["script"],
    submod_attrs={
        "script": ["report"],
    },
)
