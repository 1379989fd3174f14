"""The one grammar of conditions: parsed to a small tree, evaluated by walking it.

Usage::

    condition = parse("precision == 16 and gradient_clip is null")
    evaluate(condition, {"precision": 16, "gradient_clip": None})  # True

=======================  ==========================================================
``lr <= 0.01``           also ``<``, ``>``, ``>=``, ``==``, ``!=``
``model == lstm``        text, in quotes unless it is a plain word; ``true``, ``false``
``warmup < epochs``      another name on the right
``clip is null``         also ``is not null``
``lr: 0.001..0.01``      both ends included
``test_mse/train_mse < 1.5``  a ratio
``train_mse@5 < 0.2``    a metric at a step
``stable``               also ``improving`` and ``complete``
``any mae <= 0.02``      of many trials: any, or ``all``
``not A``, ``A and B``, ``A or B``  with parentheses; ``and`` binds closer than ``or``
=======================  ==========================================================

A condition holds, does not, or is not known because a name has no value yet: `evaluate` returns
True, False or None, and ``and``, ``or``, ``not`` account for that (``False and unknown`` is
False). Nothing of a condition is ever run as code.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.sweepfile.conditions.ast import (
    Among,
    Between,
    Both,
    Compare,
    Condition,
    Name,
    Not,
    Term,
    Word,
)
from orchestrator.sweepfile.conditions.parser import ConditionError, parse
from orchestrator.sweepfile.model.spec import Bound

__all__ = ["At", "Bound", "Condition", "ConditionError", "bound", "evaluate", "names", "parse"]

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_ORDERED = ("<", "<=", ">", ">=")
At = Callable[[str, int], Any]


def bound(text: str) -> Bound:
    """Return a bound such as ``<= 0.02`` or ``0.01..0.02``.

    Raises:
        ConditionError: it is none.
    """
    if ".." in text:
        condition = parse(f"x: {text}")
        if isinstance(condition, Between) and condition.term == Name("x"):
            return Bound("..", condition.high, condition.low)
    condition = parse(f"x {text}")
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
        condition: from `parse`.
        values: parameters, metrics and `WORDS`, by name; a dotted name also reaches
            into mappings.
        at: returns a metric at a step, None if there is none; without it, and first, the name
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
    known, left = _term(condition.term, values, at)
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
    return _compare(condition.op, left, right)


def _joined(wanted: bool, results: list[bool | None]) -> bool | None:
    """Return `wanted` if any result is that, else None if one is unknown."""
    if wanted in results:
        return wanted
    return None if None in results else not wanted


def _compare(op: str, left: Any, right: Any) -> bool:
    if _is_number(left) and _is_number(right):
        return _OPS[op](left, right)
    if op == "==":
        return type(left) is type(right) and bool(left == right)
    if op == "!=":
        return not (type(left) is type(right) and bool(left == right))
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _term(term: Term, values: Mapping[str, Any], at: At | None) -> tuple[bool, Any]:
    """Return whether a term is known, and its value."""
    if isinstance(term, Name):
        return _look_up(term, values, at)
    if term.above.step is None:
        whole = Name(f"{term.above.name}/{term.below.name}", term.below.step)
        known, value = _look_up(whole, values, at)
        if known:
            return True, value
    sides = [_look_up(name, values, at) for name in (term.above, term.below)]
    if not all(known for known, _ in sides):
        return False, None
    (_, above), (_, below) = sides
    if not _is_number(above) or not _is_number(below) or not below:
        return True, math.nan
    try:
        return True, above / below
    except OverflowError:
        return True, math.nan


def _look_up(name: Name, values: Mapping[str, Any], at: At | None) -> tuple[bool, Any]:
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
