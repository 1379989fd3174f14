"""A loss that swings up and down by large parts instead of falling."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from orchestrator.divergence.series import SlidingMedian, number
from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

WINDOW = 24
"""Number of differences in the window."""

REVERSALS = 10
"""Least number of turns in the window, each between two large swings."""

SWING = 0.3
"""A swing is large from this fraction of the level on."""

CALM = 4
"""An oscillation is over at this number of turns."""


class Oscillation(Detector):
    """Count turns between large swings. The level is the median size of the last values."""

    def __init__(self) -> None:
        self._steps: deque[int] = deque(maxlen=WINDOW + 1)
        self._values: deque[float] = deque(maxlen=WINDOW + 1)
        self._level = SlidingMedian(WINDOW + 1)
        self._reported = False

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note when an oscillation begins."""
        if seen.judged is None:
            return
        value = seen.values[seen.judged]
        self._steps.append(seen.step)
        self._values.append(value)
        self._level.add(value)
        if len(self._values) <= REVERSALS + 1:
            return
        level = self._level.value
        low, high = min(self._values), max(self._values)
        # Most runs do not swing at all, which this shows at once; halved, as the span may overflow.
        turns = self._turns(level) if high / 2 - low / 2 >= SWING * level / 2 else 0
        if turns <= CALM:
            self._reported = False
        if self._reported or turns < REVERSALS or not level:
            return
        self._reported = True
        since = self._steps[0]
        reason = (
            f"{seen.judged} swings between {number(low)} and {number(high)}: {turns} turns of "
            f"{SWING:.0%} and more in {len(self._values)} reports since step {since}"
        )
        numbers = {"low": low, "high": high, "turns": float(turns)}
        yield Verdict("warn", "oscillation", since, reason, numbers)

    def holds(self, found: Verdict) -> bool:
        """Return whether the loss has not become calm since."""
        return self._reported

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


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "steps that jump over the minimum: the rate is high for this batch size",
        (facts.scale_rate(0.3), "let the rate fall towards the end", "use larger batches"),
        ("do not pick the best of the swings as a result",),
    )


SYMPTOM = Symptom("oscillation", "warn", "possible", _advise, Oscillation, is_per_series=True)
