from .history import (
    HISTORY_FILE as HISTORY_FILE,
    History as History,
    MemoryKey as MemoryKey,
    memory_key as memory_key,
)
from .oom import (
    ALL_OF_IT as ALL_OF_IT,
    MOST_RETRIES as MOST_RETRIES,
    Kind as Kind,
    classify as classify,
    figures as figures,
    retry as retry,
)
