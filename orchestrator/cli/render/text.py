"""Names, numbers, counts and paths as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.files import plain


def clean(text: str, longest: int | None = None) -> str:
    """Return `text` on one line, cut to `longest` characters, without control characters.

    Names of folders and messages are not trusted: they could contain terminal escapes.
    """
    single = " ".join(text.split())
    safe = "".join(letter if letter.isprintable() else "?" for letter in single)
    if longest is not None and len(safe) > longest:
        return safe[: longest - 1] + "…"
    return safe


def number(value: Any, digits: int = 4, *, padded: bool = False) -> str:
    """Return `value` for people; ``-`` for None.

    Args:
        digits: significant digits of a float.
        padded: keep zeros at the end, so that 0.99998 is 1.000 and not a perfect 1.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value - value == 0 and 10**digits <= abs(value) < 1e9:
            return f"{value:.0f}"
        return f"{value:#.{digits}g}" if padded else f"{value:.{digits}g}"
    if isinstance(value, Mapping | list | tuple):
        return clean(str(plain(value)))
    return clean(str(value))


def assignments(values: Mapping[str, Any]) -> str:
    """Return ``lr=0.1, epochs=5``."""
    return ", ".join(f"{clean(name)}={number(value, 6)}" for name, value in values.items())


def plural(count: int, noun: str) -> str:
    """Return ``1 trial`` or ``1,200 trials``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short_path(path: Path) -> str:
    """Return `path` relative to the working directory if it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
