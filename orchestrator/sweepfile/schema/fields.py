"""The kinds of single value that a sweep file's keys take; `containers` combines them.

The checker reads by these kinds and `sweep schema` prints them, so that they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.errors import nearest
from orchestrator.sweepfile.yaml.node import Log, Node, found

Schema = dict[str, Any]
_ALL_DIGITS = 1e15  # from here on, the digits of a float are not those that were written


ABSENT: Any = object()
"""What `read` returns if the node holds nothing useful."""


class Kind(Protocol):
    """A kind of value."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the value of `node`, or `ABSENT` after adding to `log` what is wrong with it."""

    def schema(self) -> Schema:
        """Return the JSON Schema of such values."""


def join(*parts: str) -> str:
    """Return a dotted key."""
    return ".".join(part for part in parts if part)


def refuse(node: Node, key: str, log: Log, expected: str, hint: str = "") -> Any:
    """Add "expected ... (found ...)" and a hint to the log, and return `ABSENT`."""
    log.at(node, key, f"expected {expected} (found {found(node)}). {hint.strip()}".rstrip())
    return ABSENT


@dataclass(frozen=True)
class Scalar:
    """A value that a function reads; it raises `ValueError` with a hint, or "", for a wrong one."""

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


class Text(Scalar):
    """Text, which may be blank if `empty`."""

    def __init__(self, expected: str = "text", empty: bool = False) -> None:
        def parse_text(value: Any) -> str:
            if isinstance(value, bool | int | float):
                raise ValueError("Put it in quotes.")
            if not isinstance(value, str) or "\0" in value or not (empty or value.strip()):
                raise ValueError
            return value

        json = {"type": "string"} if empty else {"type": "string", "minLength": 1}
        super().__init__(expected, parse_text, json)


class Whole(Scalar):
    """A whole number of at least `low`."""

    def __init__(self, low: int) -> None:
        def parse_whole(value: Any) -> int:
            if type(value) is int and value >= low:
                return value
            if isinstance(value, float) and value.is_integer() and value >= low:
                raise ValueError(whole_hint(value))
            raise ValueError(number_hint(value))

        expected = f"a whole number of at least {low}"
        super().__init__(expected, parse_whole, {"type": "integer", "minimum": low})


class Number(Scalar):
    """A finite number: greater than `above`, at least `least`, at most `most`; None for any."""

    def __init__(
        self, above: float | None = None, least: float | None = None, most: float | None = None
    ) -> None:
        def parse_number(value: Any) -> float:
            if (
                not _is_finite(value)
                or (above is not None and value <= above)
                or (least is not None and value < least)
                or (most is not None and value > most)
            ):
                raise ValueError(number_hint(value))
            number: float = value  # an int stays one
            return number

        bounds = {"exclusiveMinimum": above, "maximum": most, "minimum": least}
        expected = "a number" + ("" if above is None else f" above {above:g}")
        expected += "" if least is None else f" of at least {least:g}"
        expected += "" if most is None else f" and at most {most:g}"
        json = {"type": "number", **{k: v for k, v in bounds.items() if v is not None}}
        super().__init__(expected, parse_number, json)


def whole_hint(value: float) -> str:
    """Return what to write for a float that stands for a whole number."""
    return f"Write {int(value)}." if abs(value) < _ALL_DIGITS else "Write all its digits."


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


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


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
class AutoOr:
    """A value of a kind, or ``auto``."""

    kind: Kind

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return "auto", or what the kind reads."""
        return "auto" if node.value == "auto" else self.kind.read(node, key, log)

    def schema(self) -> Schema:
        """Return a choice of two."""
        return {"anyOf": [self.kind.schema(), {"const": "auto"}]}


@dataclass(frozen=True)
class Chosen:
    """A sampler or pruner: its name, ``module:Class``, or a mapping of name and options.

    What it is called and which options it has is checked together, in `checks.optuna_choices`.
    """

    names: tuple[str, ...]

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the node itself."""
        if isinstance(node.value, str) or (isinstance(node.value, dict) and node.get("name")):
            return node
        example = f"{{name: {self.names[-1]}}}"
        keys = node.value if isinstance(node.value, dict) else ()
        meant = next((each for each in keys if nearest(each, ["name"])), None)
        hint = "" if meant is None else f"Did you mean 'name' by '{meant}'?"
        return refuse(node, key, log, f"a name, or a mapping such as {example}", hint)

    def schema(self) -> Schema:
        """Return a choice of a name and a mapping with one."""
        name = {
            "anyOf": [
                {"enum": [*self.names]},
                {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"},
            ]
        }
        mapping = {"type": "object", "required": ["name"], "properties": {"name": name}}
        return {"anyOf": [name, mapping]}


@dataclass(frozen=True)
class Word:
    """One of a few words; `meant` maps other spellings, read with a warning, to one of them."""

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
            return refuse(node, key, log, expected, log.hint(node.value, self.choices))
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
class Anything:
    """Any value."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the value without lines."""
        return node.plain()

    def schema(self) -> Schema:
        """Return the schema that allows all."""
        return {}


def of_type(value: Any, kind: type) -> Any:
    """Return a value of a type.

    Raises:
        ValueError: it is of another type.
    """
    if not isinstance(value, kind):
        raise ValueError
    return value


SWITCH = Scalar("true or false", lambda value: of_type(value, bool), {"type": "boolean"})
SETTINGS = Scalar(
    "a mapping from parameter to value", lambda value: of_type(value, dict), {"type": "object"}
)
"""Parameter names and the values that they are set to; the values keep their lines."""
