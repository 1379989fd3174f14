"""Values of one step, found in rows or by patterns in lines, joined into reports."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.engine.script.output_text import Line
from orchestrator.errors import TrialError
from orchestrator.runs.curves import cells

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun

HOLD_S = 1.0  # how long metrics of a step wait for more of the same step
_STEP_GROUPS = ("step", "epoch")
_NO_METRICS = {*_STEP_GROUPS, "total"}


class Reports:
    """Counts the reports of one script, and passes them on to a run, if there is one.

    What a fast script has printed when it should stop is still in the pipe; it is dropped.
    """

    def __init__(self, run: TrialRun | None = None) -> None:
        self._run = run
        self.count = 0
        self.last_step: int | None = None

    def report(self, step: int, **metrics: float) -> None:
        """Pass one report on."""
        self.count += 1
        self.last_step = step
        if self._run is not None and not self._run.should_stop:
            self._run.report(step, **metrics)

    def describe(self, *, total_steps: int) -> None:
        """Pass on how many steps there will be."""
        if self._run is not None:
            self._run.describe(total_steps=total_steps)

    def warn(self, text: str) -> None:
        """Pass a warning on."""
        if self._run is not None:
            self._run.warn(text)


class Merger:
    """Joins values of one step into reports.

    A step is reported by `send`, when the next one begins, or when `HOLD_S` have passed without
    more. A metric that changes several times within one step (a line for each batch, a progress
    bar) does not delay the report: its last value is the step's. What comes for a step after its
    report makes another report of that step, with the new values only. If steps begin again
    (another fold, another phase), the count continues.

    Args:
        has_steps: False counts steps from 1: one begins when a metric is found again.
    """

    def __init__(self, reports: Reports, *, has_steps: bool = True) -> None:
        self.count = 0
        self._reports = reports
        self._has_steps = has_steps
        self._total: int | None = None
        self._first_raw: int | None = None
        self._offset = 0
        self._step: int | None = None
        self._values: dict[str, float] = {}
        self._sent: dict[str, float] = {}
        self._repeating: set[str] = set()
        self._last_found = 0.0
        self._warned: set[str] = set()

    def take(self, raw: float | None, values: Mapping[str, float], now: float) -> bool:
        """Take values of one step, and return whether the step has begun with them.

        The step is `raw` as the script counts it, or the last one if that is None.
        """
        self._last_found = now
        step = self._step_of(raw, values)
        has_begun = step != self._step
        if has_begun:
            self.send()
            self._step = step
            self._values, self._sent = {}, {}
        for name, value in values.items():
            if name in self._values and not _same(self._values[name], value):
                self._repeating.add(name)
        self._values.update(values)
        return has_begun

    def total(self, total: float | None) -> None:
        """Take the number of steps to come."""
        if total is None or not math.isfinite(total) or total < 0 or int(total) == self._total:
            return
        self._total = int(total)
        self._reports.describe(total_steps=self._total)

    def tick(self, now: float) -> None:
        """Report what has waited long enough."""
        if now - self._last_found >= HOLD_S and set(self._unsent()) - self._repeating:
            self.send()

    def send(self) -> None:
        """Report what is not reported yet."""
        unsent = self._unsent()
        if unsent and self._step is not None:
            self._sent.update(unsent)
            self.count += 1
            self._reports.report(self._step, **unsent)

    def warn_once(self, kind: str, text: str) -> None:
        """Pass on the first warning of a kind."""
        if kind not in self._warned:
            self._warned.add(kind)
            self._reports.warn(text)

    def _step_of(self, raw: float | None, values: Mapping[str, float]) -> int:
        """Return the step that values belong to; steps never fall."""
        if not self._has_steps:
            is_next = self._step is None or values.keys() & self._values.keys()
            return (self._step or 0) + bool(is_next)
        if raw is None or not math.isfinite(raw) or raw < 0:
            return self._step or 0
        step = int(raw) + self._offset
        if self._first_raw is None or self._step is None:
            self._first_raw = int(raw)
            return int(raw)
        if step >= self._step:
            return step
        if int(raw) <= self._first_raw and self._step - step >= 2:
            self.warn_once(
                "step",
                f"the script's steps began again at {int(raw)} after {self._step - self._offset}; "
                "they are counted on",
            )
            self._offset = self._step + 1 - int(raw)
            return self._step + 1
        # A straggler, such as another process's line for the step before.
        return self._step

    def _unsent(self) -> dict[str, float]:
        return {
            name: value
            for name, value in self._values.items()
            if name not in self._sent or not _same(self._sent[name], value)
        }


class Follower(Merger):
    """Finds metrics in lines by regular expressions, and turns them into reports.

    Named groups are metrics; the group ``step`` (or ``epoch``) gives the step, ``total`` the number
    of steps to come. A step is also reported at the end of the line at which every pattern has
    found something for it. If no pattern gives a step, steps are counted.

    Attributes:
        matched: the patterns that have matched a line.

    Raises:
        TrialError: a pattern is not a regular expression, or has no named group.
    """

    def __init__(self, patterns: Sequence[str], reports: Reports) -> None:
        self._patterns = [_compile(pattern) for pattern in patterns]
        groups = {pattern: set(pattern.groupindex) for pattern in self._patterns}
        self._with_metrics = {pattern for pattern in groups if groups[pattern] - _NO_METRICS}
        has_steps = any(names & set(_STEP_GROUPS) for names in groups.values())
        super().__init__(reports, has_steps=has_steps)
        self._found: set[re.Pattern[str]] = set()
        self._numbers = cells.Numbers()
        self.matched: set[str] = set()

    def line(self, line: Line, now: float) -> None:
        """Take one line at a monotonic time, s; a line that is overwritten closes no step."""
        matches = [
            (pattern, found.groupdict())
            for pattern in self._patterns
            for found in pattern.finditer(line.text)
        ]
        for text in (text for _, groups in matches for text in groups.values() if text):
            self._numbers.see(text)
        # A match with a step gives the step of the others on its line.
        matches.sort(key=lambda match: _step_text(match[1]) is None)
        fresh: set[str] = set()
        for pattern, groups in matches:
            self.matched.add(pattern.pattern)
            fresh |= self._take_match(pattern, groups, now)
        if fresh - self._repeating and self._with_metrics <= self._found and not line.in_place:
            self.send()

    def unfinished(self, line: Line, now: float) -> None:
        """Take a line that has begun and then paused; it may come again, longer."""
        # If steps are counted, the same line would count twice.
        if self._has_steps:
            self.line(line, now)

    def _take_match(
        self, pattern: re.Pattern[str], groups: Mapping[str, str | None], now: float
    ) -> set[str]:
        """Take one match and return the names of its metrics."""
        values = {}
        for name, text in groups.items():
            if text is None or name in _NO_METRICS:
                continue
            number = self._numbers.read(text)
            if number is not None:
                values[name] = number
            else:
                self.warn_once(name, f"the pattern's {name} is not a number (found {text!r})")
        if self.take(cells.number(_step_text(groups)), values, now):
            self._found = set()
        self.total(cells.number(groups.get("total")))
        if values:
            self._found.add(pattern)
        return set(values)


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


def _same(one: float, other: float) -> bool:
    """Return whether two values are equal, NaN included."""
    return one == other or (math.isnan(one) and math.isnan(other))
