"""Statistics of one series, kept as reports arrive: constant time and memory for each.

Values are oriented, so that lower is always better: a metric to maximise comes in negated.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass

NOISE_REPORTS = 20
"""How many differences the noise is taken over."""

_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""

_LOG_FALL = 3.0
"""A positive loss that fell by this factor is also judged by its logarithm."""


class RunningNoise:
    """Report-to-report noise: 1.4826 × the median of the last absolute differences.

    A trend adds to it, so that a series that falls steeply is given more room.
    """

    def __init__(self, reports: int = NOISE_REPORTS) -> None:
        self._window: deque[float] = deque(maxlen=reports)
        self._sorted: list[float] = []

    def add(self, difference: float) -> None:
        """Take in one difference of consecutive values, of any sign; finite."""
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
    """Where one report stands against the reports before it. All oriented: lower is better.

    Attributes:
        count: number of finite reports so far, this one included.
        value: this report.
        first: the first finite report.
        best: least median of three consecutive reports before this one.
        lowest: least single report before this one.
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
        """True where ratios mean something: all of value, first and best are above 0."""
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
        """The part of the progress that is lost: 0 at the best, 1 back at the first value.

        A positive loss that fell at least threefold is measured by its logarithm too, and the
        larger part counts: going from 1.0 to 0.001 and back to 0.1 loses two thirds by logarithm
        where it loses a tenth by difference.
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

    `measure` tells where a value would stand; `add` takes it in. The two are apart because the
    noise must not learn from reports that are under suspicion.
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
        """How far the best value came down from the first, as a part of the size of the first."""
        if not self.count or not math.isfinite(self._best) or not self._first:
            return 0.0
        # Apart, because the difference of two large finite values may overflow.
        return max(0.0, self._first / abs(self._first) - self._best / abs(self._first))

    def measure(self, value: float) -> Standing | None:
        """Return where `value` stands; None for the first value of all."""
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
        """Take in a finite `value`; the noise stays as it is while anything is suspected."""
        if self.count == 0:
            self._first = value
        elif not suspected:
            self._noise.add(value - self._last_three[-1])
        self.count += 1
        self._last_three.append(value)
        self._lowest = min(self._lowest, value)
        self._best = min(self._best, median(sorted(self._last_three)))


def median(ordered: list[float]) -> float:
    """Return the median of a sorted list that is not empty."""
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    # Halved apart: the sum of two large finite values may overflow.
    return ordered[middle - 1] / 2 + ordered[middle] / 2
