"""What a condition means: whether it holds, and by how much it is missed.

Usage::

    condition = parse("precision == 16 and gradient_clip is null")
    evaluate(condition, {"precision": 16, "gradient_clip": None})  # True

A condition holds, does not, or is not known because a name has no value yet: `evaluate` returns
True, False or None, and ``and``, ``or``, ``not`` account for that (``False and unknown`` is
False). Nothing of a condition is ever run as code.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.sweepfile.conditions.grammar import (
    Among,
    Between,
    Both,
    Compare,
    Condition,
    ConditionError,
    Name,
    Not,
    Term,
    Word,
    parse,
)
from orchestrator.sweepfile.model.spec import Bound

__all__ = ["Bound", "bound", "evaluate", "gap", "names", "shortfall"]

_ORDERED = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
At = Callable[[str, int], Any]


def bound(text: str) -> Bound:
    """Return a bound such as ``<= 0.02`` or ``0.01..0.02``.

    Raises:
        ConditionError: it is none.
    """
    condition = parse(f"x: {text}" if ".." in text else f"x {text}")
    if isinstance(condition, Between) and condition.term == Name("x"):
        return Bound("..", condition.high, condition.low)
    if isinstance(condition, Compare) and condition.term == Name("x"):
        limit = condition.value
        if condition.op in _ORDERED and isinstance(limit, int | float):
            return Bound(condition.op, float(limit))
    raise ConditionError("expected one of <, <=, >, >= and a number, or a range")


def names(condition: Condition) -> set[Name]:
    """Return every name that a condition asks for."""
    if isinstance(condition, Not | Among):
        return names(condition.part)
    if isinstance(condition, Both):
        return names(condition.left) | names(condition.right)
    if isinstance(condition, Word):
        return set()
    term = condition.term
    found = {term} if isinstance(term, Name) else {term.above, term.below}
    if isinstance(condition, Compare) and isinstance(condition.value, Name):
        found.add(condition.value)
    return found


def evaluate(
    condition: Condition,
    values: Mapping[str, Any],
    *,
    at: At | None = None,
    many: Sequence[Mapping[str, Any]] = (),
) -> bool | None:
    """Return whether a condition holds; None if a value that decides is not known.

    A comparison with null, text or NaN by ``<`` and the like does not hold. On the right a plain
    word that is no name with a value is text.

    Args:
        values: parameters, metrics and `WORDS`, by name; a dotted name also reaches into mappings.
        at: returns a metric at a step, None if there is none; before it is called, the name
            with its step is looked up in `values`.
        many: the values of each trial, for ``any`` and ``all``.
    """
    if isinstance(condition, Not):
        inner = evaluate(condition.part, values, at=at, many=many)
        return None if inner is None else not inner
    if isinstance(condition, Both):
        parts = (condition.left, condition.right)
        results = [evaluate(part, values, at=at, many=many) for part in parts]
        return _joined(condition.word == "or", results)
    if isinstance(condition, Among):
        results = [evaluate(condition.part, item, at=at) for item in many]
        return _joined(condition.word == "any", results)
    if isinstance(condition, Word):
        known, value = _look_up(Name(condition.word), values, at)
        return bool(value) if known else None
    known, left = _look_up(condition.term, values, at)
    if not known:
        return None
    if isinstance(condition, Between):
        return _is_number(left) and condition.low <= left <= condition.high
    right: Any = condition.value
    if isinstance(right, Name):
        known, value = _look_up(right, values, at)
        if not known and right.step is not None:
            return None
        right = value if known else right.name
    comparable = _is_number(left) and _is_number(right)
    if condition.op in _ORDERED:
        return comparable and bool(_ORDERED[condition.op](left, right))
    is_equal = (comparable or type(left) is type(right)) and bool(left == right)
    return is_equal is (condition.op == "==")


def _joined(wanted: bool, results: list[bool | None]) -> bool | None:
    """Return `wanted` if any result is that, else None if one is unknown."""
    if wanted in results:
        return wanted
    return None if None in results else not wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _look_up(term: Term, values: Mapping[str, Any], at: At | None) -> tuple[bool, Any]:
    """Return whether a term is known, and its value; a ratio without a value is NaN."""
    if isinstance(term, Name):
        return _look_up_name(term, values, at)
    if term.above.step is None:
        whole = Name(f"{term.above.name}/{term.below.name}", term.below.step)
        known, value = _look_up_name(whole, values, at)
        if known:
            return True, value
    above_known, above = _look_up_name(term.above, values, at)
    below_known, below = _look_up_name(term.below, values, at)
    if not above_known or not below_known:
        return False, None
    if not _is_number(above) or not _is_number(below) or not below:
        return True, math.nan
    try:
        return True, above / below
    except OverflowError:
        return True, math.nan


def _look_up_name(name: Name, values: Mapping[str, Any], at: At | None) -> tuple[bool, Any]:
    if name.step is not None:
        key = f"{name.name}@{name.step}"
        if key in values:
            return True, values[key]
        value = at(name.name, name.step) if at is not None else None
        return value is not None, value
    if name.name in values:
        return True, values[name.name]
    inner: Any = values
    for part in name.name.split("."):
        if not isinstance(inner, Mapping) or part not in inner:
            return False, None
        inner = inner[part]
    return True, inner


class Facts(Protocol):
    """What is known of one trial."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Parameters, metrics and words by name; what is not known is missing."""

    def at(self, metric: str, step: int) -> float | None:
        """Return a metric at a step; None if it was not reported there."""


def shortfall(condition: Condition, facts: Facts) -> str:
    """Return what keeps a condition from holding ("val_per is 0.41, 0.06 too high"); else ""."""
    if evaluate(condition, facts.values, at=facts.at) is True:
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
    value = _number(condition.term, facts)
    if value is None:
        return f"{condition.term} is not known"
    limit = _limit(condition, value, facts)
    if limit is None:
        return f"{condition} does not hold"
    found = f"{condition.term} is {value:.4g}"
    if isinstance(condition, Compare) and condition.op not in _ORDERED:
        return found
    if math.isnan(value):
        return f"{found}, which is no number"
    # At a limit that is itself excluded, the value is too high for "<" and too low for ">".
    excluded = isinstance(condition, Compare) and condition.op == "<" and value == limit
    way = "high" if value > limit or excluded else "low"
    return f"{found}, {abs(value - limit):.4g} too {way}"


def gap(condition: Condition, facts: Facts) -> float | None:
    """Return by how much one comparison of numbers is missed; None for anything else."""
    if not isinstance(condition, Compare | Between):
        return None
    value = _number(condition.term, facts)
    if value is None or not math.isfinite(value):
        return None
    if isinstance(condition, Between) and condition.low <= value <= condition.high:
        return 0.0
    limit = _limit(condition, value, facts)
    return None if limit is None else abs(value - limit)


def _limit(condition: Compare | Between, value: float, facts: Facts) -> float | None:
    """Return the number that a value is compared with: of a range, the end that it misses."""
    if isinstance(condition, Between):
        return condition.low if value < condition.low else condition.high
    limit: Any = condition.value
    if isinstance(limit, Name):
        return _number(limit, facts)
    return float(limit) if _is_number(limit) else None


def _number(term: Term, facts: Facts) -> float | None:
    """Return the number of a term; None if it is unknown, or a ratio without a value."""
    value = _look_up(term, facts.values, facts.at)[1]
    if not _is_number(value) or (not isinstance(term, Name) and math.isnan(value)):
        return None
    return float(value)
