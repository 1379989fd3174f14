"""Decide which trial gets which slot, from the first reading of free memory to the last."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.slots.machine import SlotOptions as SlotOptions
    from orchestrator.engine.slots.needs import known_need as known_need

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "machine": ["SlotOptions"],
        "needs": ["known_need"],
    },
)
