"""Statistics of one series as reports arrive, in constant time and memory for each.

Values are oriented so that lower is always better: a maximized metric is negated.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

NOISE_REPORTS = 20
"""Number of differences in the window of the noise."""

_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""

_LOG_FALL = 3.0
"""A positive loss that fell by this factor is also judged by its logarithm."""


class RunningNoise:
    """Report-to-report noise: 1.4826 × the median of the last absolute differences.

    A trend adds to it, so that a steeply falling series is allowed more.
    """

    def __init__(self, reports: int = NOISE_REPORTS) -> None:
        self._window: deque[float] = deque(maxlen=reports)
        self._sorted: list[float] = []

    def add(self, difference: float) -> None:
        """Add one finite difference of consecutive values, of any sign."""
        size = abs(difference)
        if len(self._window) == self._window.maxlen:
            del self._sorted[bisect_left(self._sorted, self._window[0])]
        self._window.append(size)
        insort(self._sorted, size)

    @property
    def value(self) -> float:
        """The noise in units of the series; 0 before there is a difference."""
        return _TO_SIGMA * median(self._sorted) if self._sorted else 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One report compared with the reports before it; oriented, lower is better.

    Attributes:
        count: number of finite reports so far, including this one.
        value: this report.
        first: the first finite report.
        best: lowest median of three consecutive reports before this one.
        lowest: lowest single report before this one.
        noise: report-to-report noise before anything was suspected.
    """

    count: int
    value: float
    first: float
    best: float
    lowest: float
    noise: float

    @property
    def is_positive(self) -> bool:
        """True if ratios are meaningful: value, first and best are above 0."""
        return self.value > 0 and self.first > 0 and self.best > 0

    @property
    def progress(self) -> float:
        """How far the series had come down."""
        return self.first - self.best

    @property
    def excess(self) -> float:
        """How far this report is above the best."""
        return self.value - self.best

    @property
    def lost(self) -> float:
        """The fraction of the progress that is lost: 0 at the best, 1 back at the first value.

        A positive loss that fell at least threefold is measured by its logarithm too, and the
        larger fraction counts: from 1.0 to 0.001 and back to 0.1 is a loss of two thirds by
        logarithm and of a tenth by difference.
        """
        if self.progress <= 0:
            return 0.0
        linear = self.excess / self.progress
        if self.is_positive and self.first >= _LOG_FALL * self.best:
            # Differences of logarithms: quotients of far values overflow.
            best = math.log(self.best)
            logs = (math.log(self.value) - best) / (math.log(self.first) - best)
            return max(linear, logs)
        return linear


class Series:
    """One series of finite values, in the order of reporting.

    `measure` compares a value with the series and `add` adds it. They are separate because the
    noise must not learn from suspected reports.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first = math.nan
        self._best = math.inf
        self._lowest = math.inf
        self._last_three: deque[float] = deque(maxlen=3)
        self._noise = RunningNoise()

    @property
    def fell_by(self) -> float:
        """How far the best value came down from the first, as a fraction of its size."""
        if not self.count or not math.isfinite(self._best) or not self._first:
            return 0.0
        # Separately, because the difference of two large finite values may overflow.
        return max(0.0, self._first / abs(self._first) - self._best / abs(self._first))

    def measure(self, value: float) -> Standing | None:
        """Return `value` compared with the series; None for the very first value."""
        if not self.count:
            return None
        return Standing(
            count=self.count + 1,
            value=value,
            first=self._first,
            best=self._best,
            lowest=self._lowest,
            noise=self._noise.value,
        )

    def add(self, value: float, *, suspected: bool) -> None:
        """Add a finite `value`; the noise does not change while anything is suspected."""
        if self.count == 0:
            self._first = value
        elif not suspected:
            self._noise.add(value - self._last_three[-1])
        self.count += 1
        self._last_three.append(value)
        self._lowest = min(self._lowest, value)
        self._best = min(self._best, median(sorted(self._last_three)))


def median(ordered: list[float]) -> float:
    """Return the median of a sorted, non-empty list."""
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    # Halved separately: the sum of two large finite values may overflow.
    return ordered[middle - 1] / 2 + ordered[middle] / 2


NEW_LOW = 0.02
"""A value is a new low if its height above the best value is less by this fraction."""


class Streak:
    """How long a condition has held, and since which step."""

    __slots__ = ("count", "since")

    def __init__(self) -> None:
        self.count = 0
        self.since: int | None = None

    def feed(self, holds: bool, step: int) -> None:
        """Process one report."""
        if not holds:
            self.clear()
            return
        if not self.count:
            self.since = step
        self.count += 1

    def clear(self) -> None:
        """Reset it."""
        self.count = 0
        self.since = None


class Excursion:
    """The peak of a series since it left its best value, and how it came down from there.

    A spike that falls back and a training that starts again (a warm restart, parameters that were
    reset) are as high above the best value as a lost run, and for as long. The difference is that
    they come down: at first with nearly every report, later at longer intervals.
    """

    __slots__ = ("_best", "_low", "_peak", "_since_low", "_since_peak")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Reset it."""
        self._peak = -math.inf
        self._low = self._best = math.inf
        self._since_peak = self._since_low = 0

    def feed(self, value: float, best: float) -> None:
        """Process one oriented value of the excursion and the best value before it."""
        self._best = best
        if value >= self._peak:
            self._peak = self._low = value
            self._since_peak = self._since_low = 0
            return
        self._since_peak += 1
        # Halved: the difference of two large finite values may overflow.
        if self._low / 2 - value / 2 >= NEW_LOW * (self._low / 2 - best / 2):
            self._low = value
            self._since_low = 0
        else:
            self._since_low += 1

    @property
    def recovered(self) -> float:
        """The fraction of the way from the peak to the best value that the series came back."""
        height = self._peak / 2 - self._best / 2
        return (self._peak / 2 - self._low / 2) / height if height > 0 else 0.0

    @property
    def is_falling(self) -> bool:
        """True while the last new low is no further back than half of the time since the peak."""
        return self._since_low < max(1, self._since_peak // 2)
