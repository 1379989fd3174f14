"""The grammar of conditions: a text becomes a small tree, and ``str`` of the tree means the same.

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
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import nearest

WORDS = ("stable", "improving", "complete")
KEYWORDS = ("and", "or", "not", "any", "all", "is", "null", "true", "false")
OPS = ("<=", ">=", "==", "!=", "<", ">")
MAX_LENGTH = 2000
MAX_DEPTH = 40
_NAME = r"[^\W\d][\w.-]*(?<![.-])"
_LITERALS: dict[str, Any] = {"null": None, "true": True, "false": False}

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Name:
    """A parameter or metric, perhaps at a step."""

    name: str
    step: int | None = None

    def __str__(self) -> str:
        plain = re.fullmatch(_NAME, self.name) and self.name not in KEYWORDS
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
        value = self.value
        if isinstance(value, str):
            shown = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        elif value is None or isinstance(value, bool):
            shown = {None: "null", True: "true", False: "false"}[value]
        else:
            shown = str(value) if isinstance(value, Name) else repr(value)
        return f"{self.term} {self.op} {shown}"


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
    """What is known of a trial: one of `WORDS`."""

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
    """A condition on ``any`` or ``all`` of many trials."""

    word: str
    part: Condition

    def __str__(self) -> str:
        return f"{self.word} {_inner(self.part)}"


Condition = Compare | Between | Word | Not | Both | Among


def _inner(part: Condition) -> str:
    return f"({part})" if isinstance(part, Both) else str(part)


class ConditionError(ValueError):
    """A text is no condition; the message is one sentence, perhaps with a hint."""


def parse(text: str) -> Condition:
    """Return the condition that a text means.

    Raises:
        ConditionError: it means none.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"longer than {MAX_LENGTH:,} characters")
    parser = _Parser(list(_tokens(text)))
    condition = parser.either(0)
    parser.end()
    return condition


_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<number>[-+]?(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w]))
    | (?P<name>{_NAME})
    | (?P<odd>`[^`]+`)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<sign><=|>=|==|!=|<|>|\.\.|:|/|@|\(|\))
    | (?P<end>$)
    )""",
    re.VERBOSE,
)
_HINTS = {
    "=": "Write ==.",
    "&": "Write and.",
    "|": "Write or.",
    "!": "Write not.",
    "[": "Write a range as 'NAME: A..B', or several conditions with or.",
    **dict.fromkeys("*+%", "There is no arithmetic."),
    **dict.fromkeys("0123456789", "A name begins with a letter."),
}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    value: Any = None


def _tokens(text: str) -> Iterator[_Token]:
    kind, place = "", 0
    while kind != "end":
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            raise ConditionError(f"unexpected {rest[:20]!r}. {_HINTS.get(rest[0], '')}".strip())
        kind = str(match.lastgroup)
        found = match[kind]
        place = match.end()
        if kind == "number":
            yield _Token(kind, found, _number(found))
        elif kind == "odd":
            yield _Token("name", found, found[1:-1])
        elif kind == "text":
            yield _Token(kind, found, re.sub(r"\\(.)", r"\1", found[1:-1], flags=re.DOTALL))
        elif kind == "name" and found in KEYWORDS:
            yield _Token("keyword", found)
        else:
            yield _Token(kind, found, found)


def _number(text: str) -> int | float:
    if re.fullmatch(r"[-+]?\d{1,300}", text):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ConditionError(f"a number is not finite (found {text[:20]})")
    return number


class _Parser:
    """Reads tokens from left to right; one method for each level of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.place = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *texts: str) -> str:
        """Return the next token's text and advance, if it is a sign or keyword of `texts`."""
        token = self.next
        if token.kind not in ("sign", "keyword") or token.text not in texts:
            return ""
        self.place += 1
        return token.text

    def take_kind(self, kind: str, expected: str, hint: str = "") -> Any:
        """Return the next token's value and advance; it must be of a kind."""
        token = self.next
        if token.kind != kind:
            raise self.fail(expected, hint)
        self.place += 1
        return token.value

    def fail(self, expected: str, hint: str = "") -> ConditionError:
        got = repr(self.next.text) if self.next.kind != "end" else "the end"
        return ConditionError(f"expected {expected} (found {got}). {hint}".strip())

    def end(self) -> None:
        hint = "Write a range as 'NAME: A..B'." if self.next.text in OPS else ""
        self.take_kind("end", "and, or, or the end", hint)

    def either(self, depth: int) -> Condition:
        left = self.both(depth)
        while self.take("or"):
            left = Both("or", left, self.both(depth))
        return left

    def both(self, depth: int) -> Condition:
        left = self.single(depth)
        while self.take("and"):
            left = Both("and", left, self.single(depth))
        return left

    def single(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise ConditionError(f"nested more than {MAX_DEPTH} deep")
        if self.take("not"):
            return Not(self.single(depth + 1))
        word = self.take("any", "all")
        if word:
            return Among(word, self.single(depth + 1))
        if self.take("("):
            inside = self.either(depth + 1)
            if not self.take(")"):
                raise self.fail("a closing parenthesis")
            return inside
        return self.comparison()

    def comparison(self) -> Condition:
        first = self.next
        if first.kind in ("number", "text"):
            raise self.fail("a name first", "Write 'NAME < NUMBER'.")
        above = self.name("the name of a parameter or metric")
        term: Term = above
        if self.take("/"):
            term = Ratio(above, self.name("a name after the slash"))
        if self.take(":"):
            low = float(self.take_kind("number", "a number"))
            if not self.take(".."):
                raise self.fail("'..' between two numbers")
            high = float(self.take_kind("number", "a number"))
            if low > high:
                message = "a range goes from the least to the greatest"
                raise ConditionError(f"{message} (found {low}..{high})")
            return Between(term, low, high)
        if self.take("is"):
            op = "!=" if self.take("not") else "=="
            if not self.take("null"):
                raise self.fail("null after is", "For other values write ==.")
            return Compare(term, op, None)
        op = self.take(*OPS)
        if op:
            return Compare(term, op, self.value(op))
        is_word = isinstance(term, Name) and term.step is None and term.name in WORDS
        if is_word and not first.text.startswith("`"):
            return Word(first.text)
        hint = nearest(str(term), WORDS).strip()
        if self.next.kind != "end":
            raise self.fail(f"one of {', '.join(OPS)} after {term}", hint)
        hint = hint or f"Only {', '.join(WORDS)} need none; for a switch write '{term} == true'."
        raise self.fail(f"a comparison after {term}", hint)

    def name(self, expected: str) -> Name:
        name = self.take_kind("name", expected)
        if not self.take("@"):
            return Name(name)
        if type(self.next.value) is not int or self.next.value < 0:
            raise self.fail("a step from 0 after @")
        return Name(name, self.take_kind("number", "a step from 0 after @"))

    def value(self, op: str) -> Value | Name:
        token = self.next
        if token.kind == "name":
            return self.name("a name")
        ordered = op not in ("==", "!=")
        literal = token.kind == "keyword" and token.text in _LITERALS
        if token.kind == "number" or (not ordered and (token.kind == "text" or literal)):
            self.place += 1
            value: Value = _LITERALS[token.text] if literal else token.value
            return value
        raise self.fail("a number or a name" if ordered else "a value")
