"""A run that does not learn at all from the start."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.divergence.symptom import (
    KEEP_ARCHITECTURE,
    Advice,
    Observation,
    RunFacts,
    Symptom,
)
from orchestrator.divergence.verdict import Verdict, number

DEAD_REPORTS = 5
"""Number of reports without movement, from one of the first three on, that make a run dead."""

DEAD_FROM = 3
STILL = 1e-3
"""Values that differ by no more than this fraction of their size do not move."""


class NoMovement:
    """Find a series that does not move from its first reports on.

    One jump at the very beginning is allowed: if everything saturates at once, the loss jumps to a
    level and stays there.
    """

    def __init__(self) -> None:
        self._count = 0
        self._level = math.nan
        self._since = 0
        self._still = 0
        self._over = False

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; the note comes once, early in the run."""
        if self._over or seen.judged is None:
            return
        name, step, value = seen.judged, seen.step, seen.values[seen.judged]
        self._count += 1
        if self._count > 1 and abs(value - self._level) <= STILL * abs(self._level):
            self._still += 1
        else:
            self._level, self._since, self._still = value, step, 0
        if self._count - self._still > DEAD_FROM:
            self._over = True
        if self._over or self._still < DEAD_REPORTS:
            return
        self._over = True
        yield Verdict(
            "warn",
            "dead from the start",
            self._since,
            f"{name} has not moved from {number(self._level)} since step {self._since}, "
            f"{self._still + 1} reports in a row",
            {"level": self._level, "reports": self._still + 1.0},
        )


class NoGradient:
    """Find gradients that are exactly zero."""

    def __init__(self) -> None:
        self._still = 0
        self._since = 0

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report and yield a note once the norm was 0 for three reports in a row."""
        for name, norm in seen.of_kind("norm"):
            if norm != 0:
                self._still = 0
                continue
            if not self._still:
                self._since = seen.step
            self._still += 1
            if self._still == DEAD_FROM:
                yield Verdict(
                    "warn",
                    "dead from the start",
                    self._since,
                    f"{name} is 0 since step {self._since}, {self._still} reports in a row: "
                    "nothing is learned",
                    {"reports": float(self._still)},
                )


class DeadFromStart:
    """Find a loss that does not move, or gradients that are zero."""

    def __init__(self) -> None:
        self._judged: str | None = None
        self._movement = NoMovement()
        self._gradient = NoGradient()

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report and yield a note once the run is dead."""
        if seen.judged is not None and seen.judged != self._judged:
            self._judged, self._movement = seen.judged, NoMovement()
        yield from self._movement.feed(seen)
        yield from self._gradient.feed(seen)


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


SYMPTOM = Symptom("dead from the start", "warn", "likely", _advise, DeadFromStart)
