"""Values of one step, found in several places, joined into reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun

HOLD_S = 1.0
"""How long metrics of a step wait for more of the same step before they are reported."""


class Reports:
    """Counts the reports of one script, and passes them on until the script should stop.

    What a fast script has printed by then is still in the pipe; nobody judges it any more.

    Args:
        run: receives reports, facts and warnings; None drops them.
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

    A step is reported when its finder calls `send`, when the next one begins, when `HOLD_S` have
    passed without more, or at the end. A metric that changes several times within one step (a
    line for each batch, a progress bar) does not delay the report: its last value is the step's.
    What comes for a step after its report makes another report of that step, with the new values
    only.

    If steps begin again (another fold, another phase), the count continues.

    Args:
        reports: receives the reports.
        has_steps: False counts steps from 1: one begins when a metric is found again.
    """

    def __init__(self, reports: Reports, *, has_steps: bool = True) -> None:
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
        self.count = 0

    def take(self, raw: float | None, values: Mapping[str, float], now: float) -> bool:
        """Take values of one step, and return whether the step has begun with them.

        Args:
            raw: the step as the script counts it; None for the last named one.
            values: metric name to value.
            now: a monotonic time, s.
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

    def is_repeating(self, name: str) -> bool:
        """Return whether a metric changes several times within a step."""
        return name in self._repeating

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


def _same(one: float, other: float) -> bool:
    """Return whether two values are equal, NaN included."""
    return one == other or (math.isnan(one) and math.isnan(other))
