from . import atomic as atomic, jsonl as jsonl, lock as lock, regular as regular
from .atomic import plain as plain
from .units import (
    GIB as GIB,
    MIB as MIB,
    format_duration as format_duration,
    format_size as format_size,
    parse_duration as parse_duration,
    parse_size as parse_size,
    to_mib as to_mib,
)
