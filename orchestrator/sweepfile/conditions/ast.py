"""The tree of a condition; ``str`` of a node is a text that means the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = ("stable", "improving", "complete")
KEYWORDS = ("and", "or", "not", "any", "all", "is", "null", "true", "false")
_PLAIN_NAME = re.compile(r"[^\W\d][\w.-]*(?<![.-])")

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Name:
    """A parameter or metric, perhaps at a step."""

    name: str
    step: int | None = None

    def __str__(self) -> str:
        plain = _PLAIN_NAME.fullmatch(self.name) and self.name not in KEYWORDS
        text = self.name if plain else f"`{self.name}`"
        return text if self.step is None else f"{text}@{self.step}"


@dataclass(frozen=True)
class Ratio:
    """One name divided by another, or a name that itself has a slash."""

    above: Name
    below: Name

    def __str__(self) -> str:
        return f"{self.above}/{self.below}"


Term = Name | Ratio


@dataclass(frozen=True)
class Compare:
    """A term against a value or another name."""

    term: Term
    op: str
    value: Value | Name

    def __str__(self) -> str:
        return f"{self.term} {self.op} {_shown(self.value)}"


@dataclass(frozen=True)
class Between:
    """A term from one number to another, both included."""

    term: Term
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.term}: {self.low!r}..{self.high!r}"


@dataclass(frozen=True)
class Word:
    """What is known of a trial: stable, improving, complete."""

    word: str

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True)
class Not:
    """The opposite."""

    part: Condition

    def __str__(self) -> str:
        return f"not {_inner(self.part)}"


@dataclass(frozen=True)
class Both:
    """Two conditions joined by ``and`` or ``or``."""

    word: str
    left: Condition
    right: Condition

    def __str__(self) -> str:
        # A chain of the same word grows to the left and needs no parentheses there.
        same = isinstance(self.left, Both) and self.left.word == self.word
        left = str(self.left) if same else _inner(self.left)
        return f"{left} {self.word} {_inner(self.right)}"


@dataclass(frozen=True)
class Among:
    """A condition on any or all of many trials."""

    word: str
    part: Condition

    def __str__(self) -> str:
        return f"{self.word} {_inner(self.part)}"


Condition = Compare | Between | Word | Not | Both | Among


def _inner(part: Condition) -> str:
    return f"({part})" if isinstance(part, Both) else str(part)


def _shown(value: Value | Name) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, Name) else repr(value)
