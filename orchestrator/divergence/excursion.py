"""What a series does after it left its best value: how high it went, and how it came down."""

from __future__ import annotations

import math

NEW_LOW = 0.02
"""A value is a new low if its height above the best value is less by this fraction."""

NEW_HIGH = 1.1
"""It still rises if it is so many times as high above the best value as before."""

RETURNING = 0.15
"""It has a pace only once it came back by this fraction: less may be noise."""

OUTLIER = 10.0
"""A first report this many times as high as the second one is no peak from which to tell a pace."""

LIKE_BEFORE = 1.1
LONGER = 1.5
"""An excursion is like one that the run recovered from if it is at most these many times as high
and as long."""


class Excursion:
    """The peak of a series since it left its best value, and how it came down from there.

    A spike that falls back and a training that starts again (a warm restart, parameters that were
    reset) are as high above the best value as a lost run, and for as long. The difference is that
    they come down: at first with nearly every report, later at longer intervals.
    """

    def __init__(self) -> None:
        self.count = 0
        self._survived = (0.0, 0)  # height and reports of the largest one before
        self.clear()

    def clear(self) -> None:
        """Begin another one, since the run has recovered from this one."""
        if self.count:
            self._survived = max(self._survived, (self._height, self.count))
        self.count = 0
        self._peak = -math.inf
        self._low = self._best = math.inf
        self._high = -math.inf
        self._since_peak = self._since_low = self._since_high = 0

    def feed(self, value: float, best: float) -> None:
        """Process one oriented value of the excursion and the best value before it."""
        self._best = best
        self.count += 1
        self._since_high += 1
        # Halved: the difference of two large finite values may overflow.
        if value / 2 - best / 2 > NEW_HIGH * (self._high / 2 - best / 2):
            self._high, self._since_high = value, 0
        is_outlier = self.count == 2 and value - best < (self._peak - best) / OUTLIER
        if value >= self._peak or (is_outlier and math.isfinite(self._peak)):
            self._peak = self._low = value
            self._since_peak = self._since_low = 0
            return
        self._since_peak += 1
        if self._low / 2 - value / 2 >= NEW_LOW * (self._low / 2 - best / 2):
            self._low = value
            self._since_low = 0
        else:
            self._since_low += 1

    @property
    def recovered(self) -> float:
        """The fraction of the way from the peak to the best value that the series came back."""
        height = self._height
        return (self._peak / 2 - self._low / 2) / height if height > 0 else 0.0

    @property
    def is_as_before(self) -> bool:
        """True while it is like an excursion that the run recovered from."""
        height, reports = self._survived
        return self._height <= LIKE_BEFORE * height and self.count <= LONGER * reports

    @property
    def _height(self) -> float:
        return self._peak / 2 - self._best / 2

    @property
    def rise_ended(self) -> bool:
        """True once it has hardly risen for half of its reports."""
        return self._since_high > self.count / 2

    @property
    def has_turned(self) -> bool:
        """True if it came back from its peak, as far as that is a pace, and is still falling."""
        return self.is_falling and self.recovered >= RETURNING

    def returns_within(self, reports: int) -> bool:
        """Return whether it is falling at a pace that brings it back within some reports."""
        if not self.has_turned:
            return False
        came, height = self._peak / 2 - self._low / 2, self._low / 2 - self._best / 2
        return came > 0 and height / came * self._since_peak <= reports

    @property
    def peak(self) -> float:
        """The highest value since it left its best."""
        return self._peak

    @property
    def is_falling(self) -> bool:
        """True while the last new low is no further back than half of the time since the peak."""
        return self._since_low < max(1, self._since_peak // 2)
