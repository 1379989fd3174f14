"""How long a condition has held, and whether the series is on its way back meanwhile."""

from __future__ import annotations

import math

NEW_LOW = 0.02
"""A value is a new low where its height above the best value is less by this part."""


class Streak:
    """How long a condition has held, and since which step."""

    __slots__ = ("count", "since")

    def __init__(self) -> None:
        self.count = 0
        self.since: int | None = None

    def feed(self, holds: bool, step: int) -> None:
        """Take in one report."""
        if not holds:
            self.clear()
            return
        if not self.count:
            self.since = step
        self.count += 1

    def clear(self) -> None:
        """Start anew."""
        self.count = 0
        self.since = None


class Excursion:
    """Where a series has been since it left its level: its peak, and how it came down from there.

    A spike that falls back and a training that begins again (a warm restart, parameters that were
    set back) are as high above the best value as a run that is lost, and for as long. What tells
    them apart is that they come down: at first with nearly every report, later in longer steps.
    """

    __slots__ = ("_best", "_low", "_peak", "_since_low", "_since_peak")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        self._peak = -math.inf
        self._low = self._best = math.inf
        self._since_peak = self._since_low = 0

    def feed(self, value: float, best: float) -> None:
        """Take in one oriented value of the excursion and the level that was left."""
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
        """The part of the way from the peak to the best value that the series came back, 0 to 1."""
        height = self._peak / 2 - self._best / 2
        return (self._peak / 2 - self._low / 2) / height if height > 0 else 0.0

    @property
    def is_falling(self) -> bool:
        """True while the last new low is no further back than half of the time since the peak."""
        return self._since_low < max(1, self._since_peak // 2)
