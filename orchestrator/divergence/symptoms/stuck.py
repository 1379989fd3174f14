"""A loss that stays where it is: from the start, or after it had begun to fall."""

from __future__ import annotations

import math

from orchestrator.divergence.lost_levels import number
from orchestrator.divergence.verdict import Verdict

DEAD_REPORTS = 5
"""Reports without any movement, from one of the first three on, after which a run is dead."""

DEAD_FROM = 3
STILL = 1e-3
"""Values that differ by no more than this part of their size do not move."""

PLATEAU_REPORTS = 15
PLATEAU_SHARE = 1 / 2
"""A plateau is that many reports long, and that share of all."""

HIGH = 1 / 3
"""A positive loss stands high where it is above this part of its first value."""

IMPROVES = 0.01
"""Progress is a best value that is better by this part of all progress so far."""


class Dead:
    """Notes a series that does not move from its first reports on.

    One jump at the very beginning is allowed: where everything saturates at once, the loss jumps
    to a level and stays there.
    """

    def __init__(self) -> None:
        self._count = 0
        self._level = math.nan
        self._since = 0
        self._still = 0
        self._over = False

    def feed(self, name: str, step: int, value: float) -> Verdict | None:
        """Take in one finite value; the note comes once, early in the run."""
        if self._over:
            return None
        self._count += 1
        if self._count > 1 and abs(value - self._level) <= STILL * abs(self._level):
            self._still += 1
        else:
            self._level, self._since, self._still = value, step, 0
        if self._count - self._still > DEAD_FROM:
            self._over = True
        if self._over or self._still < DEAD_REPORTS:
            return None
        self._over = True
        return Verdict(
            "warn",
            "dead from the start",
            self._since,
            f"{name} has not moved from {number(self._level)} since step {self._since}, "
            f"{self._still + 1} reports running",
            {"level": self._level, "reports": self._still + 1.0},
        )


class NoGradient:
    """Notes gradients that are nothing at all."""

    def __init__(self) -> None:
        self._still = 0
        self._since = 0

    def feed(self, name: str, step: int, norm: float) -> Verdict | None:
        """Take in one gradient norm, and return a note once it was 0 for three reports running."""
        if norm != 0:
            self._still = 0
            return None
        if not self._still:
            self._since = step
        self._still += 1
        if self._still != DEAD_FROM:
            return None
        return Verdict(
            "warn",
            "dead from the start",
            self._since,
            f"{name} is 0 since step {self._since}, {self._still} reports running: nothing learns",
            {"reports": float(self._still)},
        )


class Plateau:
    """Notes a series that stands high and has not become better for long.

    A loss that fell to a third of its first value and rests has converged, for all that can be
    told; where the sweep has a target, whoever asks knows better.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first = math.nan
        self._best = math.inf
        self._mark = math.inf
        self._marked_at = 0
        self._marked_step = 0
        self._told = False

    def feed(self, name: str, step: int, value: float, sign: float) -> Verdict | None:
        """Take in one finite value, lower better, and return a note where a plateau is reached.

        Args:
            name: the series.
            step: the step of the report.
            value: oriented.
            sign: 1.0, or -1.0 where the series was negated.
        """
        self._count += 1
        if self._count == 1:
            self._first = self._mark = value
        self._best = min(self._best, value)
        gained = self._mark - self._best
        progress = self._first - self._best
        if gained > max(IMPROVES * progress, STILL * abs(self._best)) or self._count == 1:
            self._mark, self._marked_at, self._marked_step = self._best, self._count, step
            self._told = False
        flat = self._count - self._marked_at
        if self._told or flat < max(PLATEAU_REPORTS, PLATEAU_SHARE * self._count):
            return None
        if 0 < self._best <= HIGH * self._first:
            return None
        self._told = True
        best = sign * self._best
        return Verdict(
            "warn",
            "plateau",
            self._marked_step,
            f"{name} has made no progress since step {self._marked_step}: its best is "
            f"{number(best)}, {flat} reports ago {number(sign * self._mark)}",
            {"best": best, "reports": float(flat)},
        )
