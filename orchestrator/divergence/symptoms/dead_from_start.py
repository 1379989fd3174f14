"""A run that does not learn at all from the start."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.divergence.series import Streak, number
from orchestrator.divergence.symptom import (
    KEEP_ARCHITECTURE,
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

DEAD_REPORTS = 5
"""Number of reports without movement, from one of the first three on, that make a run dead."""

DEAD_FROM = 3
STILL = 1e-3
"""Values that differ by no more than this fraction of their size do not move."""


class NoMovement:
    """Find a series that does not move from its first reports on, once.

    One jump at the very beginning is allowed: if everything saturates at once, the loss jumps to a
    level and stays there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = 0
        self._level = math.nan
        self._still = Streak()  # reports at the level, the one that reached it included
        self._is_over = False
        self.last = math.nan

    def update(self, step: int, value: float) -> Verdict | None:
        """Process one value."""
        self.last = value
        if self._is_over:
            return None
        self._count += 1
        if not abs(value - self._level) <= STILL * abs(self._level):
            self._level = value
            self._still.clear()
        self._still.feed(True, step)
        is_dead = self._still.count > DEAD_REPORTS
        moved = self._count - self._still.count >= DEAD_FROM
        self._is_over = is_dead or moved
        if moved or not is_dead:
            return None
        reason = (
            f"{self.name} has not moved from {number(self._level)} since step "
            f"{self._still.since}, {self._still.count} reports in a row"
        )
        numbers = {"level": self._level, "reports": float(self._still.count)}
        return Verdict("warn", "dead from the start", self._still.since, reason, numbers)


class DeadFromStart(Detector):
    """Find a loss that does not move, or gradients that are exactly zero."""

    def __init__(self) -> None:
        self._movement: NoMovement | None = None
        self._no_gradient = Streak()

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note once the run is dead."""
        if seen.judged is not None:
            if self._movement is None or self._movement.name != seen.judged:
                self._movement = NoMovement(seen.judged)
            found = self._movement.update(seen.step, seen.values[seen.judged])
            if found is not None:
                yield found
        streak = self._no_gradient
        for name, norm in seen.of_kind("norm"):
            streak.feed(norm == 0, seen.step)
            if streak.count == DEAD_FROM:
                reason = (
                    f"{name} is 0 since step {streak.since}, {streak.count} reports in a row: "
                    "nothing is learned"
                )
                numbers = {"reports": float(streak.count)}
                yield Verdict("warn", "dead from the start", streak.since, reason, numbers)

    def holds(self, found: Verdict) -> bool:
        """Return whether neither the loss nor a gradient has moved since."""
        level = found.numbers.get("level")
        if level is None or self._movement is None:
            return self._no_gradient.count > 0
        return abs(self._movement.last - level) <= STILL * abs(level)


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    if found.onset is not None and facts.first_step is not None and found.onset > facts.first_step:
        return Advice(
            "the first steps were so large that everything saturated",
            (facts.scale_rate(0.1), "warm up over the first epochs", "restart from scratch"),
            ("do not wait: it has not moved since", KEEP_ARCHITECTURE),
        )
    return Advice(
        "no gradient reaches the parameters: frozen layers, a rate of 0, a detached loss, or "
        "inputs that are all alike",
        (
            "print the gradient norm of the first batch",
            "check that the optimizer holds the parameters of the model",
            facts.scale_rate(10.0),
        ),
        ("do not wait: it has not moved at all",),
    )


SYMPTOM = Symptom(
    "dead from the start", "warn", "likely", _advise, DeadFromStart, is_per_series=True
)
