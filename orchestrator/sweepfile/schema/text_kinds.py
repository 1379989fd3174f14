"""Kinds of values that are written as text: sizes, durations, limits, conditions, patterns."""

from __future__ import annotations

import math
import re
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from orchestrator.files import parse_duration, parse_size
from orchestrator.sweepfile.conditions.condition import bound
from orchestrator.sweepfile.conditions.grammar import ConditionError, parse
from orchestrator.sweepfile.schema.fields import Scalar, of_type


def _number_with(value: Any, hint: str) -> str:
    """Return a hint with `{}` replaced by a value, if that is a number."""
    is_number = type(value) in (int, float) and math.isfinite(value)
    return hint.format(value) if is_number else ""


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except (ValueError, OverflowError):
        raise ValueError(_number_with(value, "Write {}GB.")) from None


def _duration(value: Any) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise ValueError(_number_with(value, "Write {}s.")) from None
    if seconds <= 0:
        raise ValueError("Write a longer time.")
    return seconds


def _limit(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(_number_with(value, 'Write "<= {0}" or ">= {0}".'))
    try:
        return bound(value)
    except ConditionError:
        ends = [end.strip() for end in re.split(r"\.\.|\bto\b", value)]
        meant = re.sub(r"=([<>])", r"\1=", value), "..".join(ends), "..".join(ends[::-1])
        for text in meant:
            with suppress(ConditionError):
                bound(text)
                raise ValueError(f'Write "{text}".') from None
        raise ValueError from None


def _condition(value: Any) -> str:
    text: str = of_type(value, str)
    try:
        parse(text)
    except ConditionError as error:
        text = f"As a condition: {error}".rstrip(".")
        raise ValueError(text if text.endswith("?") else f"{text}.") from None
    return text


def _regex(value: Any) -> str:
    text: str = of_type(value, str)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what other releases may understand
            groups = set(re.compile(text).groupindex)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"It does not compile: {error}.") from None
    if not groups:
        raise ValueError
    return text


def _path_inside(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or not value.strip(" ./"):
        raise ValueError
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or value.startswith("~"):
        raise ValueError("It leads out of its folder.")
    return str(path)


_NUMBER = r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?"
_LIMIT = rf"^\s*((<=|>=|<|>)\s*{_NUMBER}|{_NUMBER}\s*\.\.\s*{_NUMBER})\s*$"
SIZE = Scalar(
    "a size with a unit, such as 8GB or 500MB",
    _size,
    {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[kKmMgGtT][iI]?[bB]?\s*$"},
)
"""A size of memory, read as bytes."""
DURATION = Scalar(
    "a duration above 0, such as 90s, 30m or 1h 30m",
    _duration,
    {"type": "string", "pattern": r"\d\s*([dDhHsS]|[mM]([iI][nN])?)\s*$"},
)
"""A time, read as seconds."""
LIMIT = Scalar(
    'a bound such as "<= 0.020" or "0.01..0.02"', _limit, {"type": "string", "pattern": _LIMIT}
)
"""A bound on a metric, read as a `Bound`."""
CONDITION = Scalar(
    "a condition such as 'batch_size < 4'", _condition, {"type": "string", "minLength": 1}
)
OUTCOME = replace(CONDITION, expected="a condition such as 'stable' or 'val_loss < 4'")
REGEX = Scalar(
    "a regular expression with a named group, such as 'val_mae=(?P<val_mae>[0-9.]+)'",
    _regex,
    {"type": "string", "pattern": r"\(\?P<"},
)
"""A regular expression with a named group: a metric, or the step of metrics on other lines."""


def path_inside(expected: str) -> Scalar:
    """Return the kind of a path that stays inside the folder from which it starts."""
    pattern = r"^(?![/~])(?!.*(^|/)\.\.(/|$)).*[^ ./]"
    return Scalar(expected, _path_inside, {"type": "string", "pattern": pattern})
