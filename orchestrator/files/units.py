"""Sizes of memory as people write them, and durations as people read them.

GPU makers and their tools mean 8 GiB by "8 GB", so ``8GB`` and ``8GiB`` both are 8192 MiB.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

MIB = 1 << 20
GIB = 1 << 30

_UNITS = {"k": 1 << 10, "m": MIB, "g": GIB, "t": 1 << 40}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(
    rf"\s*(?:{_NUMBER}\s*d)?\s*(?:{_NUMBER}\s*h)?\s*(?:{_NUMBER}\s*m(?:in)?)?\s*(?:{_NUMBER}\s*s)?\s*",
    re.IGNORECASE,
)
_LONGEST = 99  # characters: matching takes long for many spaces
_SIZE = re.compile(rf"\s*{_NUMBER}\s*([kmgt])i?b?\s*", re.IGNORECASE)


def parse_size(text: object) -> int:
    """Return the bytes that a size such as ``"8GB"``, ``"8GiB"`` or ``"500 MB"`` means.

    Raises:
        ValueError: it is not a positive number with a unit; a bare number is refused, because it
            may mean bytes, MiB or GB.
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        bare = isinstance(text, int | float) or (isinstance(text, str) and text.strip().isdigit())
        hint = f" Write '{text}GB' or '{text}MB'." if bare else " Choices: '8GB', '8GiB', '500MB'."
        raise ValueError(f"expected a size with a unit, got {text!r}.{hint}")
    size = int(Fraction(match[1]) * _UNITS[match[2].lower()])
    if size <= 0:
        raise ValueError(f"expected a size above 0, got {text!r}.")
    return size


def parse_duration(text: object) -> float:
    """Return the seconds that a duration such as ``"90s"``, ``"30m"`` or ``"1h 30m"`` means.

    Raises:
        ValueError: it is not a duration; a bare number is refused, because its unit is unknown.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if match is None or not any(match.groups()):
        raise ValueError(f"expected a duration, got {text!r}. Choices: '90s', '30m', '1h 30m'.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def to_mib(size_bytes: int) -> int:
    """Return whole MiB, rounded down."""
    return size_bytes // MIB


def format_size(size_bytes: int) -> str:
    """Return a size for people: ``"8.0 GiB"``, ``"512 MiB"``."""
    in_gib = abs(size_bytes) >= GIB
    return f"{size_bytes / GIB:.1f} GiB" if in_gib else f"{size_bytes / MIB:.0f} MiB"


def format_duration(seconds: float | None) -> str:
    """Return a duration for people: ``"42s"``, ``"3m 05s"``, ``"7h 12m"``; ``"-"`` for None."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    total = max(0, round(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m {total % 60:02d}s"
    return f"{total // 3600}h {total % 3600 // 60:02d}m"
