"""The kinds of single value that a sweep file's keys take; `containers` joins them.

A kind does two things: `read` turns a node of the file into a value and says what is wrong with
it, `schema` describes the same in JSON Schema. The table in `sweepfile.schema.sweep` puts kinds
together, so that the checker and `sweep schema` cannot disagree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.files import parse_size
from orchestrator.sweepfile.conditions.condition import ConditionError, bound, parse
from orchestrator.sweepfile.yaml.node import Log, Node, found

Schema = dict[str, Any]


class _Absent:
    """What `read` returns where nothing useful stands."""

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
    """Add "must be `expected`, but got ..." and return `ABSENT`."""
    log.at(node, key, f"must be {expected}, but got {found(node)}.{hint}")
    return ABSENT


@dataclass(frozen=True)
class Text:
    """Text.

    Attributes:
        expected: what it is, for messages.
        empty: True where it may be empty.
    """

    expected: str = "text"
    empty: bool = False

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the text."""
        value = node.value
        if isinstance(value, bool | int | float):
            return refuse(node, key, log, self.expected, " Put it in quotes.")
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
        if node.value in self.choices and isinstance(node.value, str):
            return node.value
        word = self.meant.get(node.value.lower()) if isinstance(node.value, str) else None
        if word is not None:
            log.warn(node, key, f"should be one of {', '.join(self.choices)}; read as {word}.")
            return word
        hint = log.hint(node.value, self.choices) if isinstance(node.value, str) else ""
        return refuse(node, key, log, f"one of {', '.join(self.choices)}", hint)

    def schema(self) -> Schema:
        """Return an enumeration."""
        if self.meant:
            return {"anyOf": [{"enum": [*self.choices]}, {"pattern": _any_case(self.meant)}]}
        return {"enum": [*self.choices, *([False] if "false" in self.choices else [])]}


def _any_case(words: Iterable[str]) -> str:
    """Return a pattern for `words` in capitals or not."""
    letters = ("".join(f"[{c.lower()}{c.upper()}]" for c in word) for word in words)
    return f"^({'|'.join(letters)})$"


@dataclass(frozen=True)
class Whole:
    """A whole number.

    Attributes:
        low: the least one.
    """

    low: int

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the number."""
        value = node.value
        if type(value) is int and value >= self.low:
            return value
        hint = ""
        if isinstance(value, float) and value.is_integer() and value >= self.low:
            hint = f" Write {int(value)}."
        return refuse(node, key, log, f"a whole number of at least {self.low}", hint)

    def schema(self) -> Schema:
        """Return an integer type."""
        return {"type": "integer", "minimum": self.low}


@dataclass(frozen=True)
class Number:
    """A finite number.

    Attributes:
        above: it must be greater than this; None for any.
        least: it must be at least this; None for any.
        most: it must be at most this; None for any.
    """

    above: float | None = None
    least: float | None = None
    most: float | None = None

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the number, an int where it was written as one."""
        value = node.value
        good = isinstance(value, int | float) and not isinstance(value, bool)
        fits = good and _finite(value)
        if fits and self.above is not None:
            fits = value > self.above
        if fits and self.least is not None:
            fits = value >= self.least
        if fits and self.most is not None:
            fits = value <= self.most
        if fits:
            return value
        expected = "a number" if self.above is None else f"a number above {self.above:g}"
        expected += "" if self.least is None else f" of at least {self.least:g}"
        expected += "" if self.most is None else f" and at most {self.most:g}"
        return refuse(node, key, log, expected, number_hint(value))

    def schema(self) -> Schema:
        """Return a number type."""
        schema: Schema = {"type": "number"}
        schema |= {} if self.above is None else {"exclusiveMinimum": self.above}
        schema |= {} if self.most is None else {"maximum": self.most}
        return schema | ({} if self.least is None else {"minimum": self.least})


def number_hint(value: Any) -> str:
    """Return a hint where `value` is a number in quotes, or the like."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return " Remove the quotes."
    if isinstance(value, float) and not math.isfinite(value):
        return " It must be finite."
    return ""


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


@dataclass(frozen=True)
class Size:
    """A size of memory, such as ``8GB``; read as bytes."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return bytes."""
        try:
            return parse_size(node.value)
        except (ValueError, OverflowError):
            expected = "a size with a unit, such as 8GB or 500MB"
            bare = type(node.value) in (int, float)
            return refuse(node, key, log, expected, f" Write {node.value}GB." if bare else "")

    def schema(self) -> Schema:
        """Return a pattern."""
        return {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[kKmMgGtT][iI]?[bB]?\s*$"}


@dataclass(frozen=True)
class Limit:
    """A bound on a metric, such as ``"<= 0.020"`` or ``"0.01..0.02"``."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a `Bound`."""
        value = node.value
        if isinstance(value, str):
            with suppress(ConditionError):
                return bound(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        hint = f' Write "<= {value}" or ">= {value}".' if number else ""
        return refuse(node, key, log, 'a bound such as "<= 0.020" or "0.01..0.02"', hint)

    def schema(self) -> Schema:
        """Return a pattern."""
        number = r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?"
        pattern = rf"^\s*((<=|>=|<|>)\s*{number}|{number}\s*\.\.\s*{number})\s*$"
        return {"type": "string", "pattern": pattern}


@dataclass(frozen=True)
class Switch:
    """True or false."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the truth value."""
        if isinstance(node.value, bool):
            return node.value
        return refuse(node, key, log, "true or false")

    def schema(self) -> Schema:
        """Return a boolean type."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Conditional:
    """A condition, in the grammar of `orchestrator.sweepfile.conditions.condition`."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the text of the condition, as it is written."""
        expected = "a condition such as 'batch_size < 4'"
        if not isinstance(node.value, str):
            return refuse(node, key, log, expected)
        try:
            parse(node.value)
        except ConditionError as error:
            return refuse(node, key, log, expected, f" As a condition, {error}".rstrip(".") + ".")
        return node.value

    def schema(self) -> Schema:
        """Return a string type; the grammar is beyond a pattern."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Regex:
    """A regular expression with a named group that is a metric."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the expression as text."""
        expected = "a regular expression with a named group, such as 'val_mae=(?P<val_mae>[0-9.]+)'"
        if not isinstance(node.value, str):
            return refuse(node, key, log, expected)
        try:
            groups = set(re.compile(node.value).groupindex)
        except (re.error, RecursionError, OverflowError) as error:
            return refuse(node, key, log, expected, f" It does not compile: {error}.")
        if not groups - {"step"}:
            return refuse(node, key, log, expected)
        return node.value

    def schema(self) -> Schema:
        """Return a string type; what a group is cannot be said there."""
        return {"type": "string", "pattern": r"\(\?P<"}


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
