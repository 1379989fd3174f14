"""Running a program once, to see what a sweep of it could follow and vary.

In: a program and the arguments of one run. Out: a `Probe`, from which a sweep file is written.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.probe.propose import Probe as Probe, probe as probe

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "propose": ["Probe", "probe"],
    },
)
