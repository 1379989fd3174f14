"""Reports from a training script to the sweep that runs it.

`report` is one call; the modules `lightning`, `transformers` and `keras` have a callback each for
that library, and load nothing else.
"""

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
