"""Remember what trials took and how many at once were best; recognise and answer out-of-memory.

In: peaks that were measured, and the messages of failures. Out: the need to plan with, or to try
next.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.memory_needs.history import (
        HISTORY_FILE as HISTORY_FILE,
        History as History,
        MemoryKey as MemoryKey,
        memory_key as memory_key,
    )
    from orchestrator.placement.memory_needs.oom import (
        ALL_OF_IT as ALL_OF_IT,
        MOST_RETRIES as MOST_RETRIES,
        Kind as Kind,
        Retry as Retry,
        classify as classify,
        figures as figures,
        retry as retry,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "history": ["HISTORY_FILE", "History", "MemoryKey", "memory_key"],
        "oom": ["ALL_OF_IT", "Kind", "MOST_RETRIES", "Retry", "classify", "figures", "retry"],
    },
)
