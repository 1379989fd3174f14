"""Whether a target can still be reached at the pace that the run has."""

from __future__ import annotations

import math

from orchestrator.divergence.lost_levels import number
from orchestrator.divergence.verdict import Verdict

KEPT = 32
LEAST_REPORTS = 10
LEAST_SHARE = 0.3
"""Share of all steps after which the pace is judged; before it, most curves are still steep."""


class Pace:
    """Draws the best value on to the last step at the speed of the second half of the reports.

    Learning slows down, so a straight line promises too much: a run that misses its target even
    so is too slow.

    Args:
        target: the value to reach; oriented, lower is better.
        total_steps: the last step.

    Attributes:
        total_steps: the same; it may change while the run goes on.
    """

    def __init__(self, target: float, total_steps: float) -> None:
        self._target = target
        self.total_steps = total_steps
        self._best = math.inf
        self._kept: list[tuple[float, float]] = []
        self._stride = 1
        self._count = 0
        self._told = False

    @property
    def is_reached(self) -> bool:
        """True once a value was as good as the target."""
        return self._best <= self._target

    def feed(self, name: str, step: float, value: float, sign: float) -> Verdict | None:
        """Take in one finite oriented value and return a note once it is too slow."""
        self._best = min(self._best, value)
        if self._count % self._stride == 0:
            self._kept.append((step, self._best))
            if len(self._kept) > KEPT:
                self._kept, self._stride = self._kept[::2], self._stride * 2
        self._count += 1
        if self._told or self.is_reached or self._count < LEAST_REPORTS:
            return None
        if step < LEAST_SHARE * self.total_steps or step >= self.total_steps:
            return None
        promised = self.promise(step)
        if promised is None or promised <= self._target:
            return None
        self._told = True
        best, end, goal = (number(sign * item) for item in (self._best, promised, self._target))
        return Verdict(
            "warn",
            "too slow",
            int(self._kept[len(self._kept) // 2][0]),
            f"{name} is {best} at step {step:g} of {self.total_steps:g}; at this pace it ends at "
            f"{end} and misses its target {goal}",
            {"best": sign * self._best, "promised": sign * promised, "target": sign * self._target},
        )

    def promise(self, step: float) -> float | None:
        """Return the best value at the last step if the pace were kept; None before a half."""
        middle = next((item for item in self._kept if item[0] >= step / 2), None)
        if middle is None or middle[0] >= step:
            return None
        pace = (middle[1] - self._best) / (step - middle[0])
        return self._best - pace * (self.total_steps - step)
