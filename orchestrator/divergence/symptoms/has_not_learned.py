"""A run whose loss is noisy, but at its end no lower than at its start, or that of a guess."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from orchestrator.divergence.series import Noise, ThinnedPoints, median, number
from orchestrator.divergence.symptom import (
    KEEP_ARCHITECTURE,
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

KEPT = 64
LEAST_REPORTS = 20
SHARE_OF_STEPS = 1 / 4
"""Number of reports, and fraction of the planned steps, before which nothing is said."""

BEYOND_NOISE = 4.0
OF_SIZE = 0.03
STILL = 1e-3
"""A gain of less than so many times the noise of a report, and than this fraction of the first
values, is no progress."""

BEFORE = 0.2
"""A loss that came to the level of a guess within this fraction of the run may have been too high
to begin with."""

CLASSES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, 200, 1000)
COMMON = (10, 100, 1000)
BELOW, ABOVE = 0.97, 1.06
"""A loss between these fractions of ln(classes) may be that of a guess: unequal classes make it
lower, noise in the last layer higher."""


class Flat:
    """Follow one series, and compare its last values with its first ones."""

    def __init__(self, sign: float) -> None:
        self.sign = sign
        self.count = 0
        self._points = ThinnedPoints(KEPT)
        self._noise = Noise(100)

    def add(self, step: int, value: float) -> None:
        """Add a finite value."""
        self.count += 1
        self._points.add(step, self.sign * value)
        self._noise.add(self.sign * value)

    def since(self, begin: float) -> int:
        """Return the step at which a part of it begins."""
        points = self._points.points
        return int(points[int(begin * len(points))][0])

    def level(self, begin: float, end: float) -> float:
        """Return the median of a part of the series, as reported; both are fractions of it."""
        points = self._points.points
        part = points[int(begin * len(points)) : max(1, math.ceil(end * len(points)))]
        return self.sign * median(sorted(value for _, value in part))

    def is_flat(self, begin: float, end: float) -> bool:
        """Return whether the last third is as high as another part, but for its noise."""
        before, now = self.level(begin, end), self.level(2 / 3, 1)
        noise = max(BEYOND_NOISE * self._noise.value, STILL * abs(before))
        return abs(now - before) < min(noise, OF_SIZE * abs(before))


class HasNotLearned(Detector):
    """Find a loss that is flat from the start, or came at once to the level of a guess."""

    def __init__(self) -> None:
        self._judged: Flat | None = None
        self._validation: Flat | None = None
        self._found: str | None = None

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note once the run has had time to learn."""
        if seen.validation is not None:
            name, sign = seen.validation
            self._validation = self._validation or Flat(sign)
            self._validation.add(seen.step, seen.values[name])
        if seen.judged is None or seen.sign < 0:
            return
        judged = self._judged = self._judged or Flat(1.0)
        judged.add(seen.step, seen.values[seen.judged])
        if self._found is not None or seen.is_reached or not self._is_due(seen, judged.count):
            return
        level = self._level()
        if level is None:
            return
        self._found = seen.judged
        since = judged.since(0 if judged.is_flat(0, 0) else BEFORE)
        reason = (
            f"{seen.judged} has not come down from {number(level)} since step {since}, "
            f"beyond its noise{_like_a_guess(level)}"
        )
        yield Verdict("warn", "has not learned", since, reason, {"level": level})

    def holds(self, found: Verdict) -> bool:
        """Return whether nothing was learned since."""
        return self._level() is not None

    def _is_due(self, seen: Observation, count: int) -> bool:
        steps = seen.plan.total_steps
        is_early = steps is not None and seen.step < SHARE_OF_STEPS * steps
        return count >= LEAST_REPORTS and not is_early and count % 5 == 0

    def _level(self) -> float | None:
        """Return the level that the deciding series has not left; None if it has learned."""
        judged, validation = self._judged, self._validation
        if judged is None:
            return None
        is_seen = validation is not None and validation.count >= LEAST_REPORTS
        if validation is not None and is_seen and not validation.is_flat(0, 0):
            return None
        now = judged.level(2 / 3, 1)
        if not judged.is_flat(BEFORE, 1 / 2):
            return None
        came_down = judged.level(0, 0) > now
        is_guess = came_down and bool(_like_a_guess(now, COMMON))
        return now if is_guess or judged.is_flat(0, 0) else None


def _like_a_guess(level: float, among: Sequence[int] = CLASSES) -> str:
    """Return what a guess of this loss is one among, to append; empty if it is none."""
    nearest = min(among, key=lambda classes: abs(level - math.log(classes)))
    chance = math.log(nearest)
    is_guess = BELOW * chance <= level <= ABOVE * chance
    return f"; a guess among {nearest} classes has {number(chance)}" if is_guess else ""


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the model only guesses: dead units after too large steps, a rate that is far too low, or "
        "labels that do not belong to the inputs",
        (
            "train on ten samples until the loss is near 0: if that fails, it is model or data",
            facts.scale_rate(0.1),
            "warm up over the first epochs",
        ),
        ("do not train longer with everything as it is", KEEP_ARCHITECTURE),
    )


SYMPTOM = Symptom("has not learned", "warn", "possible", _advise, HasNotLearned, is_per_series=True)
