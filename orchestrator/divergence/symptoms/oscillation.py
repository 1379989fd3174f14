"""A loss that swings up and down by large parts instead of falling."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from orchestrator.divergence.lost_levels import number
from orchestrator.divergence.series import median
from orchestrator.divergence.verdict import Verdict

WINDOW = 24
"""Differences that are looked at."""

REVERSALS = 10
"""Turns among them, each between two large swings."""

SWING = 0.3
"""A swing is large from this part of the level on."""

CALM = 4
"""So few turns end an oscillation."""


class Oscillation:
    """Counts turns between large swings. The level is the median size of the last values."""

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=WINDOW + 1)
        self._values: deque[float] = deque(maxlen=WINDOW + 1)
        self._sizes: list[float] = []  # of the values, in order
        self._told = False

    def feed(self, name: str, step: int, value: float) -> Verdict | None:
        """Take in one finite value of either sign and return a note where it begins."""
        if len(self._values) == self._values.maxlen:
            del self._sizes[bisect_left(self._sizes, abs(self._values[0]))]
        self._steps.append(step)
        self._values.append(value)
        insort(self._sizes, abs(value))
        if len(self._values) <= REVERSALS + 1:
            return None
        level = median(self._sizes)
        low, high = min(self._values), max(self._values)
        # Most runs do not swing at all, which is seen at once; halved, as the span may overflow.
        turns = self._turns(level) if high / 2 - low / 2 >= SWING * level / 2 else 0
        if turns <= CALM:
            self._told = False
        if self._told or turns < REVERSALS or not level:
            return None
        self._told = True
        since = self._steps[0]
        return Verdict(
            "warn",
            "oscillation",
            since,
            f"{name} swings between {number(low)} and {number(high)}: {turns} turns of "
            f"{SWING:.0%} and more in {len(self._values)} reports since step {since}",
            {"low": low, "high": high, "turns": float(turns)},
        )

    def _turns(self, level: float) -> int:
        turns, direction, extreme = 0, 0, self._values[0]
        for value in self._values:
            if direction >= 0 and extreme - value >= SWING * level:
                turns += direction > 0
                direction, extreme = -1, value
            elif direction <= 0 and value - extreme >= SWING * level:
                turns += direction < 0
                direction, extreme = 1, value
            elif (direction > 0 and value > extreme) or (direction < 0 and value < extreme):
                extreme = value
        return turns
