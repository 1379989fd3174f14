"""Which values of a list of choices are the same choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def canonical(value: Any) -> Any:
    """Return something hashable that is equal for values that are the same choice.

    ``1`` and ``1.0`` are the same; ``True`` and ``1`` are not, nor are ``"1"`` and ``1``.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        if math.isnan(value):
            return ("nan",)
        return int(value) if math.isfinite(value) and value.is_integer() else value
    if isinstance(value, list | tuple):
        return ("list", tuple(canonical(item) for item in value))
    if isinstance(value, dict):
        return ("dict", frozenset((key, canonical(item)) for key, item in value.items()))
    return value


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return `values` without repetitions, in order; of two that are the same the later stays."""
    return list({canonical(value): value for value in values}.values())
