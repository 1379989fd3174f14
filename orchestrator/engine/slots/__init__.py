"""Decide which trial gets which slot, from the first reading of free memory to the last.

In: the candidates of the queue and what attempts report. Out: a trial and its slot, or why none
starts; how a trial continues that ran out of memory.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.slots.machine import SlotOptions as SlotOptions
    from orchestrator.engine.slots.trial_needs import known_need as known_need

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "machine": ["SlotOptions"],
        "trial_needs": ["known_need"],
    },
)
