"""Running trials: Ray Tune, the child process of each trial, foreign scripts."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.remedies import (
        add_resumed as add_resumed,
        times_before as times_before,
        values_of as values_of,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "remedies": ["add_resumed", "times_before", "values_of"],
    },
)
