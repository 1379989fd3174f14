"""Metrics found in a script's output by regular expressions.

Named groups are metrics; the group ``step`` (or ``epoch``) gives the step, ``total`` the number of
steps to come. What several patterns find for one step becomes one report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Protocol

from orchestrator.engine.script.output import Line
from orchestrator.errors import TrialError

# How long metrics of a step wait for more of the same step before they are reported.
HOLD_S = 1.0

_STEP_GROUPS = ("step", "epoch")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?:[eE][+-]?\d+)?")


class Reports(Protocol):
    """Where metrics go."""

    def report(self, step: int, **metrics: float) -> None:
        """Take one report."""

    def describe(self, **facts: Any) -> None:
        """Take facts; only ``total_steps`` (int) is used here."""

    def warn(self, text: str) -> None:
        """Take a warning."""


class Follower:
    """Turn lines into reports.

    When a step is reported: at the end of the line at which every pattern has found something for
    it; else when the next step begins, when `HOLD_S` have passed without more, or at the end. A
    metric that changes several times within one step (a line for each batch, a progress bar) does
    not close it: its last value is the step's. What comes for a step after its report makes
    another report of that step, with the new values only.

    Without a step group, steps are counted from 1: one begins when a metric is found again. A
    match without a step, where other patterns give one, belongs to the step that was named last.
    Steps that begin again (another fold, another phase) are counted on.

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
        self._sink = sink
        self._total: int | None = None
        self._first_raw: int | None = None
        self._offset = 0
        self._step: int | None = None
        self._values: dict[str, float] = {}
        self._sent: dict[str, float] = {}
        self._found: set[int] = set()
        self._repeating: set[str] = set()
        self._last_match = 0.0
        self._warned: set[str] = set()
        self.count = 0

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
        self._last_match = now
        fresh = set()
        for place, groups in matches:
            fresh |= self._take(place, groups)
        is_closed = self._carriers <= self._found and bool(fresh - self._repeating)
        if is_closed and not line.in_place:
            self._send()

    def unfinished(self, line: Line, now: float) -> None:
        """Take a line that has begun and then paused; it may come again, longer."""
        # Where steps are counted, the same line would count twice.
        if self._has_steps:
            self.line(line, now)

    def tick(self, now: float) -> None:
        """Report what has waited long enough."""
        if now - self._last_match >= HOLD_S and set(self._unsent()) - self._repeating:
            self._send()

    def close(self) -> None:
        """Report what is left."""
        self._send()

    def _take(self, place: int, groups: dict[str, str | None]) -> set[str]:
        """Take one match and return the names of the metrics that it brought."""
        values = {}
        for name, text in groups.items():
            if text is None or name in (*_STEP_GROUPS, "total"):
                continue
            number = parse_number(text)
            if number is not None:
                values[name] = number
            else:
                self._warn_once(name, f"the pattern's {name} must be a number, but found {text!r}")
        self._move(groups, values)
        self._take_total(groups)
        for name, value in values.items():
            if name in self._values and not _same(self._values[name], value):
                self._repeating.add(name)
        self._values.update(values)
        if values:
            self._found.add(place)
        return set(values)

    def _move(self, groups: dict[str, str | None], values: dict[str, float]) -> None:
        """Go to the step that a match belongs to."""
        if not self._has_steps:
            if self._step is None or values.keys() & self._values.keys():
                self._begin((self._step or 0) + 1)
            return
        text = _step_text(groups)
        raw = None if text is None else parse_number(text)
        if raw is None or not math.isfinite(raw):
            if self._step is None:
                self._begin(0)
            return
        step = self._counted_on(int(raw))
        if step != self._step:
            self._begin(step)

    def _counted_on(self, raw: int) -> int:
        """Return the step for the number that the script printed; steps never fall."""
        if self._first_raw is None or self._step is None:
            self._first_raw = raw
            return raw
        step = raw + self._offset
        if step >= self._step:
            return step
        if raw <= self._first_raw and self._step - step >= 2:
            self._warn_once(
                "step",
                f"the script's steps began again at {raw} after {self._step - self._offset}; "
                "they are counted on",
            )
            self._offset = self._step + 1 - raw
            return self._step + 1
        # A straggler, such as another process's line for the step before.
        return self._step

    def _begin(self, step: int) -> None:
        self._send()
        self._step = step
        self._values, self._sent, self._found = {}, {}, set()

    def _take_total(self, groups: dict[str, str | None]) -> None:
        text = groups.get("total")
        total = None if text is None else parse_number(text)
        if total is None or not math.isfinite(total) or int(total) == self._total:
            return
        self._total = int(total)
        self._sink.describe(total_steps=self._total)

    def _unsent(self) -> dict[str, float]:
        return {
            name: value
            for name, value in self._values.items()
            if name not in self._sent or not _same(self._sent[name], value)
        }

    def _send(self) -> None:
        unsent = self._unsent()
        if unsent and self._step is not None:
            self._sent.update(unsent)
            self.count += 1
            self._sink.report(self._step, **unsent)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._sink.warn(text)


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


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
