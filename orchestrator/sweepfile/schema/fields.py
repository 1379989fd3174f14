"""The kinds of single value that a sweep file's keys take; `containers` combines them.

A kind does two things: `read` turns a node of the file into a value and reports what is wrong with
it, and `schema` describes the same in JSON Schema. The table in `sweepfile.schema.sweep` combines
kinds, so that the checker and `sweep schema` cannot disagree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol

from orchestrator.files import parse_duration, parse_size
from orchestrator.sweepfile.conditions.condition import bound
from orchestrator.sweepfile.conditions.grammar import ConditionError, parse
from orchestrator.sweepfile.yaml.node import Log, Node, found

Schema = dict[str, Any]


class _Absent:
    """What `read` returns if the node holds nothing useful."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


class Kind(Protocol):
    """A kind of value."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the value of `node`, or `ABSENT` after adding to `log` what is wrong with it."""

    def schema(self) -> Schema:
        """Return the JSON Schema of such values."""


def join(*parts: str) -> str:
    """Return a dotted key."""
    return ".".join(part for part in parts if part)


def refuse(node: Node, key: str, log: Log, expected: str, hint: str = "") -> _Absent:
    """Add "expected ... (found ...)" and a hint to the log, and return `ABSENT`."""
    log.at(node, key, f"expected {expected} (found {found(node)}). {hint.strip()}".rstrip())
    return ABSENT


@dataclass(frozen=True)
class Scalar:
    """A scalar that a function reads.

    Attributes:
        expected: what it is, for messages.
        parse: returns the value; raises `ValueError` with a hint, or "", for a wrong one.
        json: its JSON Schema.
    """

    expected: str
    parse: Callable[[Any], Any]
    json: Schema

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the value."""
        try:
            return self.parse(node.value)
        except ValueError as error:
            return refuse(node, key, log, self.expected, str(error))

    def schema(self) -> Schema:
        """Return the JSON Schema."""
        return {**self.json}


@dataclass(frozen=True)
class Nullable:
    """A value of a kind, or null."""

    kind: Kind

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return None for null, otherwise what the kind reads."""
        return None if node.value is None else self.kind.read(node, key, log)

    def schema(self) -> Schema:
        """Return a choice of two."""
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}


@dataclass(frozen=True)
class Text:
    """Text.

    Attributes:
        expected: what it is, for messages.
        empty: True if it may be empty.
    """

    expected: str = "text"
    empty: bool = False

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the text."""
        value = node.value
        if isinstance(value, bool | int | float):
            return refuse(node, key, log, self.expected, "Put it in quotes.")
        if not isinstance(value, str) or "\0" in value or (not self.empty and not value.strip()):
            return refuse(node, key, log, self.expected)
        return value

    def schema(self) -> Schema:
        """Return a string type."""
        return {"type": "string"} if self.empty else {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Word:
    """One of a few words.

    Attributes:
        choices: the words.
        meant: other spellings, which are read with a warning, to the word that they mean.
    """

    choices: tuple[str, ...]
    meant: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the word; false without quotes is the word of that name."""
        if node.value is False and "false" in self.choices:
            return "false"
        expected = f"one of {', '.join(self.choices)}"
        if not isinstance(node.value, str):
            return refuse(node, key, log, expected)
        if node.value in self.choices:
            return node.value
        word = self.meant.get(node.value.lower())
        if word is None:
            return refuse(node, key, log, expected, log.hint(node.value, self.choices).strip())
        log.warn(node, key, f"read as {word}; write {expected}.")
        return word

    def schema(self) -> Schema:
        """Return an enumeration."""
        if self.meant:
            pattern = f"^({'|'.join(map(any_case, self.meant))})$"
            return {"anyOf": [{"enum": [*self.choices]}, {"pattern": pattern}]}
        return {"enum": [*self.choices, *([False] if "false" in self.choices else [])]}


def any_case(word: str) -> str:
    """Return a pattern for a word in capitals or not."""
    return "".join(f"[{c.lower()}{c.upper()}]" for c in word)


@dataclass(frozen=True)
class Whole:
    """A whole number of at least `low`."""

    low: int

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the number."""
        value = node.value
        if type(value) is int and value >= self.low:
            return value
        hint = number_hint(value).strip()
        if isinstance(value, float) and value.is_integer() and value >= self.low:
            hint = f"Write {int(value)}."
        return refuse(node, key, log, f"a whole number of at least {self.low}", hint)

    def schema(self) -> Schema:
        """Return an integer type."""
        return {"type": "integer", "minimum": self.low}


@dataclass(frozen=True)
class Number:
    """A finite number.

    Attributes:
        above: it is greater than this; None for any.
        least: it is at least this; None for any.
        most: it is at most this; None for any.
    """

    above: float | None = None
    least: float | None = None
    most: float | None = None

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the number, an int if it was written as one."""
        if is_finite(node.value) and self._is_inside(node.value):
            return node.value
        least = "" if self.least is None else f" of at least {self.least:g}"
        above = "" if self.above is None else f" above {self.above:g}"
        most = "" if self.most is None else f" and at most {self.most:g}"
        expected = f"a number{above}{least}{most}"
        return refuse(node, key, log, expected, number_hint(node.value).strip())

    def _is_inside(self, value: float) -> bool:
        if self.above is not None and value <= self.above:
            return False
        if self.least is not None and value < self.least:
            return False
        return self.most is None or value <= self.most

    def schema(self) -> Schema:
        """Return a number type."""
        bounds = {
            "exclusiveMinimum": self.above,
            "maximum": self.most,
            "minimum": self.least,
        }
        return {"type": "number", **{k: v for k, v in bounds.items() if v is not None}}


def number_hint(value: Any) -> str:
    """Return a hint, after a blank, for a number in quotes or one that is not finite."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return " Remove the quotes."
    if isinstance(value, float) and not math.isfinite(value):
        return " It must be finite."
    return ""


def is_finite(value: Any) -> bool:
    """Return whether a value is a number that a float can hold, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _write_with_unit(value: Any, unit: str) -> str:
    return f"Write {value}{unit}." if type(value) in (int, float) else ""


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except (ValueError, OverflowError):
        raise ValueError(_write_with_unit(value, "GB")) from None


def _duration(value: Any) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise ValueError(_write_with_unit(value, "s")) from None
    if seconds <= 0:
        raise ValueError("Write a longer time.")
    return seconds


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _limit(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str):
        raise ValueError(f'Write "<= {value}" or ">= {value}".' if number else "")
    try:
        return bound(value)
    except ConditionError:
        raise ValueError from None


def _condition(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    try:
        parse(value)
    except ConditionError as error:
        raise ValueError(f"As a condition: {error}".rstrip(".") + ".") from None
    return value


def _regex(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    try:
        groups = set(re.compile(value).groupindex)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"It does not compile: {error}.") from None
    if not groups - {"step"}:
        raise ValueError
    return value


def _path_inside(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or not value.strip(" ./"):
        raise ValueError
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or value.startswith("~"):
        raise ValueError("It leads out of its folder.")
    return str(path)


_NUMBER = r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?"
SWITCH = Scalar("true or false", _switch, {"type": "boolean"})
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
    'a bound such as "<= 0.020" or "0.01..0.02"',
    _limit,
    {
        "type": "string",
        "pattern": rf"^\s*((<=|>=|<|>)\s*{_NUMBER}|{_NUMBER}\s*\.\.\s*{_NUMBER})\s*$",
    },
)
"""A bound on a metric, read as a `Bound`."""
CONDITION = Scalar(
    "a condition such as 'batch_size < 4'", _condition, {"type": "string", "minLength": 1}
)
"""The text of a condition, in the grammar of `orchestrator.sweepfile.conditions`."""
REGEX = Scalar(
    "a regular expression with a named group, such as 'val_mae=(?P<val_mae>[0-9.]+)'",
    _regex,
    {"type": "string", "pattern": r"\(\?P<"},
)
"""A regular expression with a named group that is a metric."""


def path_inside(expected: str) -> Scalar:
    """Return the kind of a path that stays inside the folder from which it starts."""
    pattern = r"^(?![/~])(?!.*(^|/)\.\.(/|$)).*[^ ./]"
    return Scalar(expected, _path_inside, {"type": "string", "pattern": pattern})


@dataclass(frozen=True)
class Anything:
    """Any value, read without lines."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the plain value."""
        return node.plain()

    def schema(self) -> Schema:
        """Return the schema that allows all."""
        return {}


@dataclass(frozen=True)
class Settings:
    """Parameter names and the values that they are set to; the values keep their lines."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from name to node."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, "a mapping from parameter to value")
        return node.value

    def schema(self) -> Schema:
        """Return an object type."""
        return {"type": "object"}
