"""One figure of a report, with what a page needs to place it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WIDE = 100.0  # from this ratio of its values on an axis is logarithmic


@dataclass(frozen=True)
class Drawing:
    """A figure with what a page needs to place it."""

    id: str
    title: str
    section: str  # the heading under which it appears
    figure: Figure
    has_log: bool = False  # its vertical axis can be switched to logarithmic
    has_time: bool = False  # its horizontal axis can be switched to seconds
    is_wide: bool = False  # it takes the whole width
    note: str = ""  # how to read it


def is_number(value: Any) -> bool:
    """Return whether a value can be on an axis of numbers."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)
