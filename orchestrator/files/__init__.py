"""Files that survive crashes, and sizes and durations as people write them.

The modules replace a file in one step (`atomic`), append to a log (`jsonl`), keep other processes
out (`lock`), write TOML (`toml`) and find the records of a package (`discover`).
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.files.atomic import plain as plain
    from orchestrator.files.units import (
        GIB as GIB,
        MIB as MIB,
        format_duration as format_duration,
        format_size as format_size,
        parse_duration as parse_duration,
        parse_size as parse_size,
        to_mib as to_mib,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["atomic", "jsonl", "lock", "toml"],
    submod_attrs={
        "atomic": ["plain"],
        "units": [
            "GIB",
            "MIB",
            "format_duration",
            "format_size",
            "parse_duration",
            "parse_size",
            "to_mib",
        ],
    },
)
