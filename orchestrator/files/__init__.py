"""Files that survive crashes, and sizes and durations as people write them.

The modules replace a file in one step (`atomic`), append to a log (`jsonl`), keep other processes
out (`lock`), write TOML (`toml`) and find the records of a package (`discover`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
