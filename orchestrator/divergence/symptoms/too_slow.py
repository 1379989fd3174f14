"""A target that cannot be reached any more at the pace of the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.divergence.series import ThinnedPoints, number
from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

KEPT = 32
LEAST_REPORTS = 10
LEAST_SHARE = 0.3
"""Fraction of all steps before which the pace is not judged: most curves are still steep."""

RENEWED = 1.5
"""A forecast is replaced by a new one after so many times the steps of its own."""

_AT_THIS_PACE = "; at this pace it ends at "


class Pace:
    """Extrapolate the best value to the last step at the speed of the second half of the reports.

    Learning slows down, so a straight line promises too much: a run that misses its target even
    so is too slow.

    Args:
        name: the reported name.
        target: the value to reach.
        sign: 1.0, or -1.0 for a maximized name.
    """

    def __init__(self, name: str, target: float, sign: float) -> None:
        self._name = name
        self._target = sign * target
        self._sign = sign
        self._best = math.inf
        self._bests = ThinnedPoints(KEPT)
        self._found_at = 0.0
        self.found: Verdict | None = None
        self.is_behind = False

    def update(self, step: float, value: float, total_steps: float) -> Verdict | None:
        """Process one finite value and return a note once it is too slow."""
        self._best = min(self._best, self._sign * value)
        self._bests.add(step, self._best)
        if self._best <= self._target or step >= total_steps:
            self.is_behind = False
            return None
        if self._bests.count < LEAST_REPORTS or step < LEAST_SHARE * total_steps:
            return None
        promised = self._promise(step, total_steps)
        if promised is None:
            return None
        self.is_behind = promised > self._target
        if not self.is_behind or step < RENEWED * self._found_at:
            return None
        self._found_at = step
        numbers = {"best": self._best, "promised": promised, "target": self._target}
        numbers = {key: self._sign * value for key, value in numbers.items()}
        best, end, goal = map(number, numbers.values())
        reason = (
            f"{self._name} is {best} at step {step:g} of {total_steps:g}{_AT_THIS_PACE}"
            f"{end} and misses its target {goal}"
        )
        kept = self._bests.points
        onset = int(kept[len(kept) // 2][0])
        self.found = Verdict("warn", "too slow", onset, reason, numbers)
        return self.found

    def _promise(self, step: float, total_steps: float) -> float | None:
        middle = next((point for point in self._bests.points if point[0] >= step / 2), None)
        if middle is None or middle[0] >= step:
            return None
        pace = (middle[1] - self._best) / (step - middle[0])
        return self._best - pace * (total_steps - step)


class TooSlow(Detector):
    """Watch the pace towards every target."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note for each target that has come out of reach."""
        total_steps = seen.plan.total_steps
        if not total_steps:
            return
        for name, (target, sign) in seen.plan.targets.items():
            if name not in seen.values:
                continue
            if name not in self._paces:
                self._paces[name] = Pace(name, target, sign)
            found = self._paces[name].update(seen.step, seen.values[name], total_steps)
            if found is not None:
                yield found

    def holds(self, found: Verdict) -> bool:
        """Return whether its target is still out of reach at the present pace."""
        pace = next(
            (p for p in self._paces.values() if p.found and p.found.reason == found.reason), None
        )
        return pace is not None and pace.is_behind


def is_forecast(warning: str) -> bool:
    """Return whether a warning is a forecast, of use only while its run continues."""
    return _AT_THIS_PACE in warning


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the steps are too small for the length of the run",
        (facts.scale_rate(3.0), "or train for more epochs"),
        ("do not rank it against runs that had time to converge",),
    )


SYMPTOM = Symptom(
    "too slow", "warn", "likely", _advise, TooSlow, is_forecast=True, is_separate=True
)
