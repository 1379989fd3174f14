"""Where the trials of a sweep run.

In: the devices and the host as they are now, the memory that one trial needs, and the user's
limits. Out: a plan of slots, or how much memory is missing. The subpackages read the hardware,
admit trials while a sweep runs, and measure how many at once are fastest.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.model import (
        CPU as CPU,
        Device as Device,
        Host as Host,
        Need as Need,
        Plan as Plan,
        Policy as Policy,
        Slot as Slot,
    )
    from orchestrator.placement.sweep_plan import decide as decide, policy_of as policy_of

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["fit", "model"],
    submod_attrs={
        "model": ["CPU", "Device", "Host", "Need", "Plan", "Policy", "Slot"],
        "sweep_plan": ["decide", "policy_of"],
    },
)
