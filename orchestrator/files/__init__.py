"""Writing that survives crashes: atomic replace, append-only logs, locks; sizes and their units."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.files.atomic import (
        plain as plain,
        read_json as read_json,
        write_text as write_text,
    )
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
        "atomic": ["plain", "read_json", "write_text"],
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
