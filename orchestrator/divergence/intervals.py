"""Means of a noisy series over intervals that grow with it, for a loss that is one batch's."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from orchestrator.divergence.companions import Companions
from orchestrator.divergence.lost_levels import JudgedSeries
from orchestrator.divergence.series import median
from orchestrator.divergence.symptom import CONTINUE, Verdict

LEAST = 64
"""Number of intervals from which on a series has so many to twice as many."""


class Intervals:
    """Splits a series into 64 to 128 intervals of equal length, whatever its length.

    The mean of an interval is that of medians of three, so that single outliers do not count.

    Attributes:
        length: reports in an interval; 1 until there are enough.
        points: (first step, mean) of each complete interval.
    """

    def __init__(self) -> None:
        self.length = 1
        self.points: list[tuple[int, float]] = []
        self._last_three: deque[float] = deque(maxlen=3)
        self._mean = 0.0
        self._count = 0
        self._since = 0

    def add(self, step: int, value: float) -> bool:
        """Add a finite value and return whether it completes an interval."""
        self._last_three.append(value)
        if not self._count:
            self._since, self._mean = step, 0.0
        # Divided first: the sum of large finite values may overflow.
        self._mean += median(sorted(self._last_three)) / self.length
        self._count += 1
        if self._count < self.length:
            return False
        self._count = 0
        self.points.append((self._since, self._mean))
        if len(self.points) >= 2 * LEAST:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(step, one / 2 + other / 2) for (step, one), (_, other) in pairs]
            self.length *= 2
        return True


class JudgedMeans:
    """Judges the means of a series as the series itself, while it is noisy."""

    def __init__(self) -> None:
        self._intervals = Intervals()
        self._judged: JudgedSeries | None = None
        self._length = self._parts = 0

    def update(self, step: int, value: float, of: JudgedSeries, others: Companions) -> Verdict:
        """Process a finite value of a series, which was judged before, and return a stop or none.

        Args:
            of: the series.
            others: as for it.
        """
        if of.parts != self._parts:
            self._parts, self._intervals, self._judged = of.parts, Intervals(), None
        if not self._intervals.add(step, value):
            return CONTINUE
        length, points = self._intervals.length, self._intervals.points
        if length == 1 or not of.is_noisy:
            self._judged = None
            return CONTINUE
        if self._judged is None or length != self._length:
            self._length = length
            self._judged = JudgedSeries(of.name, of.sign)
            for earlier, mean in points[:-1]:
                self._judged.update(earlier, mean)
        verdict = self._judged.update(*points[-1], others)
        text = f"{verdict.reason} (means of {length} reports)"
        return replace(verdict, reason=text) if verdict.stops else CONTINUE
