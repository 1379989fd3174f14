"""Metrics found in a script's output by regular expressions.

Named groups are metrics; the group ``step`` (or ``epoch``) gives the step, ``total`` the number of
steps to come. What several patterns find for one step becomes one report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.engine.script.reports.merge import Merger, Reports
from orchestrator.engine.script.reports.output_lines import Line
from orchestrator.errors import TrialError

_STEP_GROUPS = ("step", "epoch")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?:[eE][+-]?\d+)?")


class Follower:
    """Turn lines into reports.

    A step is reported at the end of the line at which every pattern has found something for it,
    and else as `engine.script.merge.Merger` says.

    Without a step group, steps are counted from 1: one begins when a metric is found again. A
    match without a step, where other patterns give one, belongs to the step that was named last.

    Args:
        patterns: regular expressions.
        sink: takes the reports.

    Raises:
        TrialError: a pattern is no regular expression, or names no metric and no step.
    """

    def __init__(self, patterns: Sequence[str], sink: Reports) -> None:
        self._patterns = [_compile(pattern) for pattern in patterns]
        self._carriers = {
            place for place, pattern in enumerate(self._patterns) if _metric_groups(pattern)
        }
        self._has_steps = any(_step_group(pattern) for pattern in self._patterns)
        self._merger = Merger(sink, has_steps=self._has_steps)
        self._found: set[int] = set()
        self._matched: set[int] = set()

    @property
    def count(self) -> int:
        """How many reports were made."""
        return self._merger.count

    @property
    def unmatched(self) -> list[str]:
        """The patterns that have matched no line so far."""
        return [
            pattern.pattern
            for place, pattern in enumerate(self._patterns)
            if place not in self._matched
        ]

    def line(self, line: Line, now: float) -> None:
        """Take one line.

        Args:
            line: the line; one that will be written over does not close a step.
            now: the present time, s, of any clock that only rises.
        """
        matches = [
            (place, found.groupdict())
            for place, pattern in enumerate(self._patterns)
            for found in pattern.finditer(line.text)
        ]
        if not matches:
            return
        # A match with a step tells where the others of its line belong.
        matches.sort(key=lambda match: _step_text(match[1]) is None)
        fresh: set[str] = set()
        for place, groups in matches:
            self._matched.add(place)
            fresh |= self._take(place, groups, now)
        is_new = any(not self._merger.is_repeating(name) for name in fresh)
        if self._carriers <= self._found and is_new and not line.in_place:
            self._merger.send()

    def unfinished(self, line: Line, now: float) -> None:
        """Take a line that has begun and then paused; it may come again, longer."""
        # Where steps are counted, the same line would count twice.
        if self._has_steps:
            self.line(line, now)

    def tick(self, now: float) -> None:
        """Report what has waited long enough."""
        self._merger.tick(now)

    def close(self) -> None:
        """Report what is left."""
        self._merger.send()

    def _take(self, place: int, groups: dict[str, str | None], now: float) -> set[str]:
        """Take one match and return the names of the metrics that it brought."""
        values = {}
        for name, text in groups.items():
            if text is None or name in (*_STEP_GROUPS, "total"):
                continue
            number = parse_number(text)
            if number is not None:
                values[name] = number
            else:
                message = f"the pattern's {name} must be a number, but found {text!r}"
                self._merger.warn_once(name, message)
        step, total = _step_text(groups), groups.get("total")
        if self._merger.take(None if step is None else parse_number(step), values, now):
            self._found = set()
        self._merger.total(None if total is None else parse_number(total))
        if values:
            self._found.add(place)
        return set(values)


def parse_number(text: str) -> float | None:
    """Return the number that `text` shows, or None.

    Understands ``nan``, ``inf``, exponents, ``1,234.5`` (thousands), ``0,5`` (a decimal comma) and
    a percent sign, which is dropped.
    """
    text = text.strip().removesuffix("%").rstrip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    elif text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise TrialError(
            f"pattern {pattern!r}: must be a regular expression, but {error}."
        ) from None
    if not compiled.groupindex:
        raise TrialError(
            f"pattern {pattern!r}: must name a metric, but has no named group. "
            r"Next step: write val_loss: (?P<val_loss>\S+)"
        )
    return compiled


def _metric_groups(pattern: re.Pattern[str]) -> set[str]:
    return set(pattern.groupindex) - {*_STEP_GROUPS, "total"}


def _step_group(pattern: re.Pattern[str]) -> bool:
    return any(name in pattern.groupindex for name in _STEP_GROUPS)


def _step_text(groups: dict[str, str | None]) -> str | None:
    return next((groups[name] for name in _STEP_GROUPS if groups.get(name) is not None), None)
