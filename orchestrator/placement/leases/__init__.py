"""Memory promised to trials, shared between the sweeps of a machine."""

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
