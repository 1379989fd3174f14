"""What a condition means: whether it holds, and by how much it is missed.

Usage::

    condition = parse("precision == 16 and gradient_clip is null")
    evaluate(condition, {"precision": 16, "gradient_clip": None})  # True

Nothing of a condition is ever run as code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.sweepfile.conditions.grammar import (
    Among,
    Between,
    Both,
    Compare,
    Condition,
    ConditionError,
    Name,
    Not,
    Ratio,
    Term,
    Word,
    parse,
)
from orchestrator.sweepfile.model.spec import ORDERS, Bound

__all__ = ["Bound", "bound", "evaluate", "gap", "names", "shortfall"]

_UNKNOWN: Any = object()
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
        if condition.op in ORDERS and isinstance(limit, int | float):
            return Bound(condition.op, float(limit))
    raise ConditionError("expected one of <, <=, >, >= and a number, or a range")


def names(condition: Condition, *, maybe_text: bool = True) -> set[Name]:
    """Return every name that a condition asks for, with those that may be text, right of ==."""
    if isinstance(condition, Not | Among):
        return names(condition.part, maybe_text=maybe_text)
    if isinstance(condition, Both):
        left = names(condition.left, maybe_text=maybe_text)
        return left | names(condition.right, maybe_text=maybe_text)
    if isinstance(condition, Word):
        return set()
    term = condition.term
    found = {term} if isinstance(term, Name) else {term.above, term.below}
    if isinstance(condition, Compare) and (maybe_text or condition.op not in ("==", "!=")):
        found |= {condition.value} if isinstance(condition.value, Name) else set()
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
    word that is no name with a value is text. ``False and unknown`` is False.

    Args:
        values: parameters, metrics and `WORDS`, by name; a dotted name also reaches into mappings.
        at: returns a metric at a step, None if there is none; before it is called, the name
            with its step is looked up in `values`.
        many: the values of each trial, for ``any`` and ``all``, with those at steps
            (``"loss@5"``).
    """
    if isinstance(condition, Not):
        inner = evaluate(condition.part, values, at=at, many=many)
        return None if inner is None else not inner
    if isinstance(condition, Both):
        parts = (condition.left, condition.right)
        results = [evaluate(part, values, at=at, many=many) for part in parts]
        return _joined(condition.word == "or", results)
    if isinstance(condition, Among):
        # `at` is of one trial; each of many has its values at steps among its own.
        results = [evaluate(condition.part, item) for item in many]
        return _joined(condition.word == "any", results)
    if isinstance(condition, Word):
        word = _look_up(Name(condition.word), values, at)
        return None if word is _UNKNOWN else bool(word)
    left = _look_up(condition.term, values, at)
    if left is _UNKNOWN:
        return None
    if isinstance(condition, Between):
        return _is_number(left) and condition.low <= left <= condition.high
    right: Any = condition.value
    if isinstance(right, Name):
        value = _look_up(right, values, at)
        if value is _UNKNOWN and right.step is not None:
            return None
        right = right.name if value is _UNKNOWN else value
    comparable = _is_number(left) and _is_number(right)
    if condition.op in ORDERS:
        return comparable and bool(ORDERS[condition.op](left, right))
    is_equal = (comparable or type(left) is type(right)) and bool(left == right)
    return is_equal is (condition.op == "==")


def _joined(wanted: bool, results: list[bool | None]) -> bool | None:
    """Return `wanted` if any result is that, else None if one is unknown."""
    if wanted in results:
        return wanted
    return None if None in results else not wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _look_up(term: Term, values: Mapping[str, Any], at: At | None) -> Any:
    """Return the value of a term, or `_UNKNOWN`; a ratio without a value is NaN."""
    if isinstance(term, Ratio):
        return _ratio(term, values, at)
    if term.step is not None:
        key = f"{term.name}@{term.step}"
        if key in values:
            return values[key]
        value = at(term.name, term.step) if at is not None else None
        return _UNKNOWN if value is None else value
    if term.name in values:
        return values[term.name]
    inner: Any = values
    for part in term.name.split("."):
        if not isinstance(inner, Mapping) or part not in inner:
            return _UNKNOWN
        inner = inner[part]
    return inner


def _ratio(term: Ratio, values: Mapping[str, Any], at: At | None) -> Any:
    if term.above.step is None:
        name = Name(f"{term.above.name}/{term.below.name}", term.below.step)
        whole = _look_up(name, values, at)
        if whole is not _UNKNOWN:
            return whole
    above, below = _look_up(term.above, values, at), _look_up(term.below, values, at)
    if above is _UNKNOWN or below is _UNKNOWN:
        return _UNKNOWN
    if not _is_number(above) or not _is_number(below) or not below:
        return math.nan
    try:
        return above / below
    except OverflowError:
        return math.nan


def shortfall(condition: Condition, values: Mapping[str, Any], at: At) -> str:
    """Return what keeps a condition from holding ("val_per is 0.41, 0.06 too high"); else ""."""
    if evaluate(condition, values, at=at) is True:
        return ""
    if isinstance(condition, Both):
        parts = [shortfall(part, values, at) for part in (condition.left, condition.right)]
        joint = " and " if condition.word == "and" else " and also "
        return joint.join(part for part in parts if part)
    if isinstance(condition, Word):
        known = values.get(condition.word)
        return f"it is not {condition.word}" if known is False else f"{condition.word} is not known"
    if isinstance(condition, Among | Not):
        return f"{condition} does not hold"
    value = _number(condition.term, values, at)
    if value is None:
        return f"{condition.term} is not known"
    limit = _limit(condition, value, values, at)
    if limit is None:
        return f"{condition} does not hold"
    found = f"{condition.term} is {value:.4g}"
    if isinstance(condition, Compare) and condition.op not in ORDERS:
        return found
    if math.isnan(value):
        return f"{found}, which is no number"
    # At a limit that is itself excluded, the value is too high for "<" and too low for ">".
    excluded = isinstance(condition, Compare) and condition.op == "<" and value == limit
    way = "high" if value > limit or excluded else "low"
    return f"{found}, {abs(value - limit):.4g} too {way}"


def gap(condition: Condition, values: Mapping[str, Any], at: At) -> float | None:
    """Return by how much one comparison of numbers is missed; None for anything else."""
    if not isinstance(condition, Compare | Between):
        return None
    value = _number(condition.term, values, at)
    if value is None or not math.isfinite(value):
        return None
    if isinstance(condition, Between) and condition.low <= value <= condition.high:
        return 0.0
    limit = _limit(condition, value, values, at)
    return None if limit is None else abs(value - limit)


def _limit(
    condition: Compare | Between, value: float, values: Mapping[str, Any], at: At
) -> float | None:
    """Return the number that a value is compared with: of a range, the end that it misses."""
    if isinstance(condition, Between):
        return condition.low if value < condition.low else condition.high
    limit: Any = condition.value
    if isinstance(limit, Name):
        return _number(limit, values, at)
    return float(limit) if _is_number(limit) else None


def _number(term: Term, values: Mapping[str, Any], at: At) -> float | None:
    """Return the number of a term; None if it is unknown, or a ratio without a value."""
    value = _look_up(term, values, at)
    if not _is_number(value) or (isinstance(term, Ratio) and math.isnan(value)):
        return None
    return float(value)
