"""A target that cannot be reached any more at the pace of the run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.divergence.symptom import Advice, Observation, RunFacts, Symptom
from orchestrator.divergence.verdict import Verdict, number

KEPT = 32
LEAST_REPORTS = 10
LEAST_SHARE = 0.3
"""Fraction of all steps before which the pace is not judged: most curves are still steep."""


class Pace:
    """Extrapolate the best value to the last step at the speed of the second half of the reports.

    Learning slows down, so a straight line promises too much: a run that misses its target even
    so is too slow.

    Args:
        target: the value to reach; oriented, lower is better.
    """

    def __init__(self, target: float) -> None:
        self._target = target
        self._best = math.inf
        self._kept: list[tuple[float, float]] = []
        self._stride = 1
        self._count = 0
        self._reported = False

    def feed(
        self, name: str, step: float, value: float, sign: float, total_steps: float
    ) -> Verdict | None:
        """Process one finite oriented value and return a note once it is too slow."""
        self._best = min(self._best, value)
        if self._count % self._stride == 0:
            self._kept.append((step, self._best))
            if len(self._kept) > KEPT:
                self._kept, self._stride = self._kept[::2], self._stride * 2
        self._count += 1
        if self._reported or self._best <= self._target or self._count < LEAST_REPORTS:
            return None
        if step < LEAST_SHARE * total_steps or step >= total_steps:
            return None
        promised = self._promise(step, total_steps)
        if promised is None or promised <= self._target:
            return None
        self._reported = True
        best, end, goal = (number(sign * item) for item in (self._best, promised, self._target))
        return Verdict(
            "warn",
            "too slow",
            int(self._kept[len(self._kept) // 2][0]),
            f"{name} is {best} at step {step:g} of {total_steps:g}; at this pace it ends at "
            f"{end} and misses its target {goal}",
            {"best": sign * self._best, "promised": sign * promised, "target": sign * self._target},
        )

    def _promise(self, step: float, total_steps: float) -> float | None:
        middle = next((item for item in self._kept if item[0] >= step / 2), None)
        if middle is None or middle[0] >= step:
            return None
        pace = (middle[1] - self._best) / (step - middle[0])
        return self._best - pace * (total_steps - step)


class TooSlow:
    """Watch the pace towards every target."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report and yield a note for each target that has come out of reach."""
        total_steps = seen.plan.total_steps
        if not total_steps:
            return
        for name, (target, sign) in seen.plan.targets.items():
            if name not in seen.values:
                continue
            pace = self._paces.setdefault(name, Pace(sign * target))
            found = pace.feed(name, seen.step, sign * seen.values[name], sign, total_steps)
            if found is not None:
                yield found


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the steps are too small for the length of the run",
        (facts.scale_rate(3.0), "or train for more epochs"),
        ("do not rank it against runs that had time to converge",),
    )


SYMPTOM = Symptom("too slow", "warn", "likely", _advise, TooSlow, is_separate=True)
