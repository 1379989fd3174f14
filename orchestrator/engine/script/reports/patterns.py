"""Metrics found in a script's output by regular expressions.

Named groups are metrics; the group ``step`` (or ``epoch``) gives the step, ``total`` the number of
steps to come. What several patterns find for one step becomes one report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestrator.engine.script.reports.merge import Merger, Reports
from orchestrator.engine.script.reports.output_lines import Line
from orchestrator.errors import TrialError

_STEP_GROUPS = ("step", "epoch")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?:[eE][+-]?\d+)?")


class Follower(Merger):
    """Turns lines into reports.

    A step is reported at the end of the line at which every pattern has found something for it,
    and otherwise as `Merger` describes.

    Without a step group, steps are counted from 1: one begins when a metric is found again. A
    match without a step, if other patterns give one, belongs to the step that was named last.

    Raises:
        TrialError: a pattern is not a regular expression, or has no named group.
    """

    def __init__(self, patterns: Sequence[str], reports: Reports) -> None:
        self._patterns = [_compile(pattern) for pattern in patterns]
        self._with_metrics = {
            index
            for index, pattern in enumerate(self._patterns)
            if set(pattern.groupindex) - {*_STEP_GROUPS, "total"}
        }
        has_steps = any(
            name in pattern.groupindex for pattern in self._patterns for name in _STEP_GROUPS
        )
        super().__init__(reports, has_steps=has_steps)
        self._found: set[int] = set()
        self._matched: set[int] = set()

    @property
    def matched(self) -> frozenset[str]:
        """The patterns that have matched a line."""
        return frozenset(self._patterns[index].pattern for index in self._matched)

    def line(self, line: Line, now: float) -> None:
        """Take one line at a monotonic time, s; a line that is overwritten closes no step."""
        matches = [
            (index, found.groupdict())
            for index, pattern in enumerate(self._patterns)
            for found in pattern.finditer(line.text)
        ]
        if not matches:
            return
        # A match with a step gives the step of the others on its line.
        matches.sort(key=lambda match: _step_text(match[1]) is None)
        fresh: set[str] = set()
        for index, groups in matches:
            self._matched.add(index)
            fresh |= self._take_match(index, groups, now)
        is_new = any(not self.is_repeating(name) for name in fresh)
        if self._with_metrics <= self._found and is_new and not line.in_place:
            self.send()

    def unfinished(self, line: Line, now: float) -> None:
        """Take a line that has begun and then paused; it may come again, longer."""
        # If steps are counted, the same line would count twice.
        if self._has_steps:
            self.line(line, now)

    def _take_match(self, index: int, groups: Mapping[str, str | None], now: float) -> set[str]:
        """Take one match and return the names of the metrics that it brought."""
        values = {}
        for name, text in groups.items():
            if text is None or name in (*_STEP_GROUPS, "total"):
                continue
            number = parse_number(text)
            if number is not None:
                values[name] = number
            else:
                message = f"the pattern's {name} is not a number (found {text!r})"
                self.warn_once(name, message)
        step, total = _step_text(groups), groups.get("total")
        if self.take(None if step is None else parse_number(step), values, now):
            self._found = set()
        self.total(None if total is None else parse_number(total))
        if values:
            self._found.add(index)
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
        raise TrialError(f"pattern {pattern!r}: not a regular expression: {error}.") from None
    if not compiled.groupindex:
        raise TrialError(
            f"pattern {pattern!r}: has no named group, so it names no metric. "
            r"Write for instance val_loss: (?P<val_loss>\S+)"
        )
    return compiled


def _step_text(groups: Mapping[str, str | None]) -> str | None:
    return next((groups[name] for name in _STEP_GROUPS if groups.get(name) is not None), None)
