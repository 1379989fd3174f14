"""From the text of a condition to its tree, by one method for each level of the grammar."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.conditions.ast import (
    KEYWORDS,
    WORDS,
    Among,
    Between,
    Both,
    Compare,
    Condition,
    Name,
    Not,
    Ratio,
    Term,
    Value,
    Word,
)

MAX_LENGTH = 2000
MAX_DEPTH = 40
OPS = ("<=", ">=", "==", "!=", "<", ">")
_LITERALS: dict[str, Any] = {"null": None, "true": True, "false": False}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w]))
    | (?P<name>[^\W\d][\w.-]*(?<![.-]))
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
    "*": "There is no arithmetic.",
    "+": "There is no arithmetic.",
    "%": "There is no arithmetic.",
}


class ConditionError(ValueError):
    """A text is no condition; the message is one sentence, perhaps with a hint."""


def parse(text: str) -> Condition:
    """Return the condition that `text` means; ``str`` of it means the same.

    Raises:
        ConditionError: it means none.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"longer than {MAX_LENGTH:,} characters")
    parser = _Parser(list(_tokens(text)))
    condition = parser.either(0)
    parser.end()
    return condition


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    value: Any = None


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while True:
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            hint = _HINTS.get(rest[0], "")
            if rest[0].isdigit():
                hint = "A name begins with a letter."
            raise ConditionError(f"unexpected {rest[:20]!r}. {hint}".strip())
        kind, found = str(match.lastgroup), match[match.lastgroup or 0]
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
        if kind == "end":
            return


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

    def take(self, *texts: str) -> str | None:
        """Return the next token's text and advance, if it is a sign or keyword of `texts`."""
        token = self.next
        if token.kind in ("sign", "keyword") and token.text in texts:
            self.place += 1
            return token.text
        return None

    def fail(self, expected: str, hint: str = "") -> ConditionError:
        got = repr(self.next.text) if self.next.kind != "end" else "the end"
        return ConditionError(f"expected {expected} (found {got}). {hint}".strip())

    def end(self) -> None:
        if self.next.kind == "end":
            return
        if self.next.text in OPS:
            raise self.fail("and, or, or the end", "Write a range as 'NAME: A..B'.")
        raise self.fail("and, or, or the end")

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
            low = self.number()
            if not self.take(".."):
                raise self.fail("'..' between two numbers")
            high = self.number()
            if low > high:
                raise ConditionError(
                    f"a range goes from the least to the greatest (found {low}..{high})"
                )
            return Between(term, low, high)
        if self.take("is"):
            op = "!=" if self.take("not") else "=="
            if not self.take("null"):
                raise self.fail("null after is", "For other values write ==.")
            return Compare(term, op, None)
        op = self.take(*OPS) or ""
        if not op:
            is_word = isinstance(term, Name) and term.step is None and term.name in WORDS
            if is_word and not first.text.startswith("`"):
                return Word(first.text)
            if self.next.kind == "end":
                words = ", ".join(WORDS)
                hint = f"Only {words} need none; for a switch write '{term} == true'."
                raise self.fail(f"a comparison after {term}", hint)
            raise self.fail(f"one of {', '.join(OPS)} after {term}")
        return Compare(term, op, self.value(op))

    def name(self, expected: str) -> Name:
        token = self.next
        if token.kind != "name":
            raise self.fail(expected)
        self.place += 1
        if not self.take("@"):
            return Name(token.value)
        step = self.next
        if step.kind != "number" or type(step.value) is not int or step.value < 0:
            raise self.fail("a step from 0 after @")
        self.place += 1
        return Name(token.value, step.value)

    def number(self) -> float:
        token = self.next
        if token.kind != "number":
            raise self.fail("a number")
        self.place += 1
        return float(token.value)

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
