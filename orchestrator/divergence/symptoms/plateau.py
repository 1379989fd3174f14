"""A loss that is high and has stopped falling."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from orchestrator.divergence.series import Noise, median, number
from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

STILL = 1e-3
"""Values that differ by no more than this fraction of their size do not move."""

PLATEAU_REPORTS = 15
PLATEAU_SHARE = 1 / 2
"""A plateau has at least this number of reports and this fraction of all reports."""

LEAST_REPORTS = 8
SHARE_OF_STEPS = 1 / 4
"""In a short run fewer reports are enough, so that it is found while something can be done: this
fraction of its planned steps."""

ABOVE_BEST = 0.1
BEYOND_NOISE = 4.0
"""A loss that is above its best by this fraction of its progress, and this many times its noise, is
not flat: it has got worse."""

HIGH = 1 / 3
"""A positive loss is high if it is above this fraction of its first value."""

IMPROVES = 0.01
"""Progress is a best value that is better by this fraction of all progress so far."""


class Plateau(Detector):
    """Find a series that is high and has not improved for long.

    A loss that fell to a third of its first value and stays there has converged as far as anyone
    can see. A run whose metric has met its target is on no plateau, and neither is one whose loss
    rises: its remedy is the opposite.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first = math.nan
        self._best = math.inf
        self._mark = math.inf
        self._marked_at = 0
        self._marked_step = 0
        self._last: deque[float] = deque(maxlen=3)
        self._noise = Noise()
        self._reported = False

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note when a plateau is reached."""
        if seen.judged is None:
            return
        value = seen.sign * seen.values[seen.judged]
        self._count += 1
        self._last.append(value)
        self._noise.add(value)
        if self._count == 1:
            self._first = self._mark = value
        self._best = min(self._best, value)
        gained = self._mark - self._best
        least_gain = max(IMPROVES * (self._first - self._best), STILL * abs(self._best))
        if gained > least_gain or self._count == 1:
            self._mark, self._marked_at, self._marked_step = self._best, self._count, seen.step
            self._reported = False
        flat = self._count - self._marked_at
        if self._reported or flat < max(self._needed(seen), PLATEAU_SHARE * self._count):
            return
        if 0 < self._best <= HIGH * self._first or self._has_got_worse:
            return
        self._reported = True
        if seen.is_reached:
            return
        best = seen.sign * self._best
        reason = (
            f"{seen.judged} has made no progress since step {self._marked_step}: its best is "
            f"{number(best)}, {flat} reports ago {number(seen.sign * self._mark)}"
        )
        numbers = {"best": best, "reports": float(flat)}
        yield Verdict("warn", "plateau", self._marked_step, reason, numbers)

    def holds(self, found: Verdict) -> bool:
        """Return whether there was no progress since, and the loss did not rise instead."""
        is_low = 0 < self._best <= HIGH * self._first
        return self._reported and not is_low and not self._has_got_worse

    @property
    def _has_got_worse(self) -> bool:
        now, progress = median(sorted(self._last)), self._first - self._best
        noise = max(BEYOND_NOISE * self._noise.value, STILL * abs(self._best))
        return now - self._first > noise or now - self._best > max(ABOVE_BEST * progress, noise)

    def _needed(self, seen: Observation) -> float:
        """Return the least number of flat reports."""
        steps = seen.plan.total_steps
        if steps is None or not seen.step:
            return PLATEAU_REPORTS
        reports = SHARE_OF_STEPS * steps * self._count / seen.step
        return min(PLATEAU_REPORTS, max(LEAST_REPORTS, reports))


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the rate is too low to leave this level, or it fell too early",
        (facts.scale_rate(3.0), "resume from the last checkpoint"),
        ("do not train longer with everything as it is",),
    )


SYMPTOM = Symptom("plateau", "warn", "possible", _advise, Plateau, is_per_series=True)
