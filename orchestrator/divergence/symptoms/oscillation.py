"""A loss that swings up and down by large parts instead of falling."""

from __future__ import annotations

from collections import deque

from orchestrator.divergence.series import median
from orchestrator.divergence.verdict import Verdict
from orchestrator.divergence.wording import number

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
        self._values: deque[tuple[int, float]] = deque(maxlen=WINDOW + 1)
        self._told = False

    def feed(self, name: str, step: int, value: float) -> Verdict | None:
        """Take in one finite value of either sign and return a note where it begins."""
        self._values.append((step, value))
        if len(self._values) <= REVERSALS + 1:
            return None
        level = median(sorted(abs(item) for _, item in self._values))
        turns = self._turns(level)
        if turns <= CALM:
            self._told = False
        if self._told or turns < REVERSALS or not level:
            return None
        self._told = True
        since = self._values[0][0]
        low, high = min(v for _, v in self._values), max(v for _, v in self._values)
        return Verdict(
            "warn",
            "oscillation",
            since,
            f"{name} swings between {number(low)} and {number(high)}: {turns} turns of "
            f"{SWING:.0%} and more in {len(self._values)} reports since step {since}",
            {"low": low, "high": high, "turns": float(turns)},
        )

    def _turns(self, level: float) -> int:
        turns, direction, extreme = 0, 0, self._values[0][1]
        for _, value in self._values:
            if direction >= 0 and extreme - value >= SWING * level:
                turns += direction > 0
                direction, extreme = -1, value
            elif direction <= 0 and value - extreme >= SWING * level:
                turns += direction < 0
                direction, extreme = 1, value
            elif (direction > 0 and value > extreme) or (direction < 0 and value < extreme):
                extreme = value
        return turns
