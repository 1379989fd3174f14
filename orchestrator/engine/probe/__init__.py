"""Running a program once, to see what a sweep of it could follow and vary."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.probe.propose import probe as probe

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "propose": ["probe"],
    },
)
