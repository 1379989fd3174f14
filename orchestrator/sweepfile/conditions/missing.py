"""By how much a condition is missed, as a number and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from orchestrator.sweepfile.conditions.ast import (
    Among,
    Between,
    Both,
    Compare,
    Condition,
    Name,
    Not,
    Ratio,
    Word,
)


class Facts(Protocol):
    """What is known of one trial."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Parameters, metrics and words by name; what is not known is missing."""

    def at(self, metric: str, step: int) -> float | None:
        """Return a metric at a step; None if it was not reported there."""

    def hold(self, condition: Condition) -> bool | None:
        """Return whether a condition holds; None if that is not known."""


def shortfall(condition: Condition, facts: Facts) -> str:
    """Return what keeps a condition from holding; "" if it holds.

    ::

        val_per is 0.41, 0.06 too high
        it is not stable
        val_per is not known
    """
    if facts.hold(condition) is True:
        return ""
    if isinstance(condition, Both):
        parts = [shortfall(part, facts) for part in (condition.left, condition.right)]
        joint = " and " if condition.word == "and" else " and also "
        return joint.join(part for part in parts if part)
    if isinstance(condition, Word):
        known = facts.values.get(condition.word)
        return f"it is not {condition.word}" if known is False else f"{condition.word} is not known"
    if isinstance(condition, Among | Not):
        return f"{condition} does not hold"
    value = _value(condition.term, facts)
    if value is None:
        return f"{condition.term} is not known"
    if isinstance(condition, Between):
        end = condition.low if value < condition.low else condition.high
        return f"{condition.term} is {value:.4g}, {_off(value, end)}"
    limit = condition.value
    if isinstance(limit, Name):
        limit = _value(limit, facts)
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return f"{condition} does not hold"
    if condition.op in ("==", "!="):
        return f"{condition.term} is {value:.4g}"
    return f"{condition.term} is {value:.4g}, {_off(value, limit, condition.op)}"


def gap(condition: Condition, facts: Facts) -> float | None:
    """Return by how much one comparison of numbers is missed; None for anything else.

    Args:
        condition: such as ``val_mae <= 0.02``.
        facts: of one trial.
    """
    if not isinstance(condition, Compare | Between):
        return None
    value = _value(condition.term, facts)
    if value is None or not math.isfinite(value):
        return None
    if isinstance(condition, Between):
        return max(condition.low - value, value - condition.high, 0.0)
    limit = _value(condition.value, facts) if isinstance(condition.value, Name) else condition.value
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    return abs(value - float(limit)) if is_number and limit is not None else None


def _off(value: float, limit: float, op: str = "") -> str:
    """Return by how much a value is too high or too low; a bound itself may be."""
    is_high = value > limit or (value == limit and op == "<")
    if math.isnan(value):
        return "which is no number"
    return f"{abs(value - limit):.4g} too {'high' if is_high else 'low'}"


def _value(term: Name | Ratio, facts: Facts) -> float | None:
    """Return the number that a term stands for, or None."""
    if isinstance(term, Ratio):
        above, below = _value(term.above, facts), _value(term.below, facts)
        whole = _number(facts.values.get(str(term)))
        if whole is not None or above is None or not below:
            return whole
        return above / below
    if term.step is not None:
        return _number(facts.at(term.name, term.step))
    return _number(facts.values.get(term.name))


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
