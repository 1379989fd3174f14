"""Values of one step, found here and there, made into one report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

HOLD_S = 1.0
"""How long metrics of a step wait for more of the same step before they are reported."""


class Reports(Protocol):
    """Where metrics go."""

    def report(self, step: int, **metrics: float) -> None:
        """Take one report."""

    def describe(self, **facts: Any) -> None:
        """Take facts; only ``total_steps`` (int) is used here."""

    def warn(self, text: str) -> None:
        """Take a warning."""


class Merger:
    """Join values of one step into reports.

    A step is reported when its finder says that it is whole, when the next one begins, when
    `HOLD_S` have passed without more, or at the end. A metric that changes several times within
    one step (a line for each batch, a progress bar) does not hold the report up: its last value
    is the step's. What comes for a step after its report makes another report of that step, with
    the new values only.

    Steps that begin again (another fold, another phase) are counted on.

    Args:
        sink: takes the reports.
        has_steps: False where steps are counted from 1: one begins when a metric is found again.
    """

    def __init__(self, sink: Reports, *, has_steps: bool = True) -> None:
        self._sink = sink
        self._has_steps = has_steps
        self._total: int | None = None
        self._first_raw: int | None = None
        self._offset = 0
        self._values: dict[str, float] = {}
        self._sent: dict[str, float] = {}
        self._repeating: set[str] = set()
        self._last_found = 0.0
        self._warned: set[str] = set()
        self.step: int | None = None
        self.count = 0

    def take(self, raw: float | None, values: Mapping[str, float], now: float) -> bool:
        """Take values of one step.

        Args:
            raw: the step as the script counts it; None for the one that was named last.
            values: metric name to value.
            now: the present time, s, of any clock that only rises.

        Returns:
            True where a step has begun with them.
        """
        self._last_found = now
        has_begun = self._move(raw, values)
        for name, value in values.items():
            if name in self._values and not same(self._values[name], value):
                self._repeating.add(name)
        self._values.update(values)
        return has_begun

    def total(self, total: float | None) -> None:
        """Take the number of steps to come."""
        if total is None or not math.isfinite(total) or total < 0 or int(total) == self._total:
            return
        self._total = int(total)
        self._sink.describe(total_steps=self._total)

    def is_repeating(self, name: str) -> bool:
        """Tell whether a metric changes several times within a step."""
        return name in self._repeating

    def tick(self, now: float) -> None:
        """Report what has waited long enough."""
        if now - self._last_found >= HOLD_S and set(self._unsent()) - self._repeating:
            self.send()

    def send(self) -> None:
        """Report what is not reported yet."""
        unsent = self._unsent()
        if unsent and self.step is not None:
            self._sent.update(unsent)
            self.count += 1
            self._sink.report(self.step, **unsent)

    def warn_once(self, kind: str, text: str) -> None:
        """Pass on the first warning of a kind."""
        if kind not in self._warned:
            self._warned.add(kind)
            self._sink.warn(text)

    def _move(self, raw: float | None, values: Mapping[str, float]) -> bool:
        """Go to the step that values belong to."""
        if not self._has_steps:
            if self.step is None or values.keys() & self._values.keys():
                return self._begin((self.step or 0) + 1)
            return False
        if raw is None or not math.isfinite(raw) or raw < 0:
            return self._begin(0) if self.step is None else False
        step = self._counted_on(int(raw))
        return self._begin(step) if step != self.step else False

    def _counted_on(self, raw: int) -> int:
        """Return the step for the number that the script gave; steps never fall."""
        if self._first_raw is None or self.step is None:
            self._first_raw = raw
            return raw
        step = raw + self._offset
        if step >= self.step:
            return step
        if raw <= self._first_raw and self.step - step >= 2:
            self.warn_once(
                "step",
                f"the script's steps began again at {raw} after {self.step - self._offset}; "
                "they are counted on",
            )
            self._offset = self.step + 1 - raw
            return self.step + 1
        # A straggler, such as another process's line for the step before.
        return self.step

    def _begin(self, step: int) -> bool:
        self.send()
        self.step = step
        self._values, self._sent = {}, {}
        return True

    def _unsent(self) -> dict[str, float]:
        return {
            name: value
            for name, value in self._values.items()
            if name not in self._sent or not same(self._sent[name], value)
        }


def same(one: float, other: float) -> bool:
    """Tell whether two values are one, NaN included."""
    return one == other or (math.isnan(one) and math.isnan(other))
