"""One reported series: what it is by its name, and statistics of its values as they arrive.

Values are oriented so that lower is always better: a maximized metric is negated. Each report costs
constant time and memory.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RATE_PARAMETERS = ("lr", "learning_rate", "max_lr", "base_lr", "lr0", "optimizer.lr")

NOISE_REPORTS = 20
"""Number of differences in the window of the noise."""

_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""

LOG_NOISE = 6.0
"""The logarithm counts only if it is this many times its noise above the best."""

_LOG_FALL = 3.0
"""A positive loss that fell by this factor is also judged by its logarithm."""

OPENING = 3
SAME = 0.02
SAME_OF_SPREAD = 0.3
"""Another run begins in the same log if that many reports repeat the first ones: they differ by
less than the fraction of their size and of the spread of the first ones."""


def rate_in(config: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return name and value of the learning rate in a config; None if it has none."""
    names = {str(key).lower(): key for key in config}
    for plain in _RATE_PARAMETERS:
        value = config[names[plain]] if plain in names else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return str(names[plain]), float(value)
    return None


def number(value: float) -> str:
    """Return `value` with four significant digits: ``"0.2847"``, ``"41.2"``, ``"1.3e+20"``."""
    return f"{value:.4g}"


def fatal_value(name: str, value: float, step: int) -> str:
    """Return the reason for a training loss that is not finite."""
    return f"{name} is {value:g} since step {step}"


def in_a_row(reports: int) -> str:
    """Return for how many reports something holds, to insert into a sentence."""
    return f", {reports} reports in a row" if reports > 1 else ""


def median(ordered: list[float]) -> float:
    """Return the median of a sorted, non-empty list."""
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    # Halved separately: the sum of two large finite values may overflow.
    return ordered[middle - 1] / 2 + ordered[middle] / 2


class SlidingMedian:
    """The median size (absolute value) of the last finite values; 0 before there is one."""

    def __init__(self, values: int) -> None:
        self._window: deque[float] = deque(maxlen=values)
        self._sorted: list[float] = []

    def add(self, value: float) -> None:
        """Add a finite value, of any sign."""
        size = abs(value)
        if len(self._window) == self._window.maxlen:
            del self._sorted[bisect_left(self._sorted, self._window[0])]
        self._window.append(size)
        insort(self._sorted, size)

    @property
    def value(self) -> float:
        """The median, in units of the series."""
        return median(self._sorted) if self._sorted else 0.0


class Noise:
    """The report-to-report noise of a series, whatever its trend.

    1.4826 × the median of the last second differences, divided by √6: a straight trend adds
    nothing to it.
    """

    def __init__(self, reports: int = NOISE_REPORTS) -> None:
        self._last: deque[float] = deque(maxlen=2)
        self._sizes = SlidingMedian(reports)

    def add(self, value: float) -> None:
        """Add a finite value."""
        if len(self._last) == 2:
            before, last = self._last
            # In sixths: sums and products of large finite values may overflow.
            self._sizes.add((value / 6 - last / 6) - (last / 6 - before / 6))
        self._last.append(value)

    @property
    def value(self) -> float:
        """The standard deviation of a report, in units of the series."""
        return _TO_SIGMA * math.sqrt(6) * self._sizes.value


class ThinnedPoints:
    """Points spread over a series of any length: if there are too many, every second is dropped.

    Attributes:
        points: (step, value), the first one always among them.
        count: number of points that were added.
    """

    def __init__(self, most: int) -> None:
        self.points: list[tuple[float, float]] = []
        self.count = 0
        self._most = most
        self._stride = 1

    def add(self, step: float, value: float) -> None:
        """Add a point, which is kept or not."""
        if self.count % self._stride == 0:
            self.points.append((step, value))
            if len(self.points) > self._most:
                self.points = self.points[::2]
                self._stride *= 2
        self.count += 1


@dataclass(slots=True)  # one for each report, and a frozen one takes four times as long
class Standing:
    """One report compared with the reports before it; oriented, lower is better.

    Attributes:
        count: number of finite reports so far, including this one.
        first: the first finite report.
        best: lowest median of three consecutive reports before this one.
        lowest: lowest single report before this one.
        noise: report-to-report noise before anything was suspected; a trend adds to it.
        log_noise: the same of the logarithms.
        detrended: the same without the trend.
        level: median of three consecutive reports before this one.
        steepest: the largest rise of the level, from report to report, since the best.
    """

    count: int
    value: float
    first: float
    best: float
    lowest: float
    noise: float
    log_noise: float = 0.0
    detrended: float = 0.0
    level: float = math.inf
    steepest: float = 0.0

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
            above = math.log(self.value) - best
            if above > LOG_NOISE * self.log_noise:
                return max(linear, above / (math.log(self.first) - best))
        return linear


class Series:
    """Statistics of finite values, in the order of reporting.

    `measure` compares a value with the series and `add` adds it. They are separate because the
    noise must not learn from suspected reports.

    The noise is 1.4826 × the median of the last absolute differences. A trend adds to it, so that a
    steeply falling series is allowed more.

    Args:
        first: the value that progress is measured from; by default the first one that is added.
    """

    def __init__(self, first: float | None = None) -> None:
        self._count = 0
        self._first = math.nan if first is None else first
        self._best = math.inf if first is None else first
        self._lowest = math.inf
        self._last_three: deque[float] = deque(maxlen=3)
        self._differences = SlidingMedian(NOISE_REPORTS)
        self._log_differences = SlidingMedian(NOISE_REPORTS)
        self._detrended = Noise()
        self._level = math.nan
        self._steepest = 0.0

    @property
    def fell_by(self) -> float:
        """How far the best value came down from the first, as a fraction of its size."""
        if not self._count or not math.isfinite(self._best) or not self._first:
            return 0.0
        # Separately, because the difference of two large finite values may overflow.
        return max(0.0, self._first / abs(self._first) - self._best / abs(self._first))

    @property
    def first(self) -> float | None:
        """The value that progress is measured from; None before there is one."""
        return None if math.isnan(self._first) else self._first

    def measure(self, value: float) -> Standing | None:
        """Return `value` compared with the series; None for the very first value."""
        if math.isnan(self._first):
            return None
        noise = _TO_SIGMA * self._differences.value
        return Standing(
            self._count + 1,
            value,
            self._first,
            self._best,
            self._lowest,
            noise,
            _TO_SIGMA * self._log_differences.value,
            self._detrended.value,
            self._level,
            self._steepest,
        )

    def start_from_level(self) -> None:
        """Take its present level for its best, because it was raised to it."""
        self._best, self._steepest = self._level, 0.0

    def add(self, value: float, *, suspected: bool) -> None:
        """Add a finite `value`; the noise does not change while anything is suspected."""
        if not self._count:
            self._first = value if math.isnan(self._first) else self._first
        elif not suspected and self._last_three:
            last = self._last_three[-1]
            self._differences.add(value - last)
            if value > 0 and last > 0:
                self._log_differences.add(math.log(value) - math.log(last))
        if not suspected:
            self._detrended.add(value)
        self._count += 1
        self._last_three.append(value)
        self._lowest = min(self._lowest, value)
        # Two values have no median that a third one could not refute.
        level = median(sorted(self._last_three)) if self._count > 2 else max(self._last_three)
        if level <= self._best:
            self._best, self._steepest = level, 0.0
        elif level - self._level > self._steepest:
            self._steepest = level - self._level
        self._level = level


class Opening:
    """The first values of a run, by which another run in the same log is recognized."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._latest: deque[float] = deque(maxlen=OPENING)

    def repeats(self, value: float) -> bool:
        """Process a finite value and return whether the last ones repeat the first ones."""
        self._latest.append(value)
        if len(self.values) < OPENING:
            self.values.append(value)
            return False
        last = self.values[-1]
        if abs(value - last) > SAME * abs(last):  # nearly all values of nearly all runs
            return False
        spread = max(self.values) - min(self.values)
        return all(
            abs(now - then) <= min(SAME * abs(then), SAME_OF_SPREAD * spread)
            for now, then in zip(self._latest, self.values, strict=True)
        )


class Streak:
    """How long a condition has held, and since which step (0 if it does not hold)."""

    __slots__ = ("count", "since")

    def __init__(self) -> None:
        self.clear()

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
        self.since = 0
