"""Publish memory that sweeps on one machine have promised, so that none counts another's.

In: what a slot may take and what its trial holds. Out: what other sweeps promised of a device.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.leases.leases import Leases as Leases

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "leases": ["Leases"],
    },
)
