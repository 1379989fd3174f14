"""The learning rates of a log, compared with the schedule that they should follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.files.series_names import kind_of

RELATIVE = 0.02
"""Fraction of a rate by which a log may differ from its schedule: logs are rounded."""

OF_PEAK = 1e-3
"""Fraction of the peak by which it may differ too: rates close to 0 need not be exact."""

FIT = 0.9
"""Fraction of the points that must fit a schedule if the log follows it."""

Point = tuple[float, float]


def reported_rates(reports: Sequence[tuple[int, Mapping[str, float]]]) -> list[Point]:
    """Return (step, learning rate); of several parameter groups those of the first."""
    names = (name for _, metrics in reports for name in metrics if kind_of(name) == "rate")
    first = next(names, None)
    if first is None:
        return []
    return [(step, metrics[first]) for step, metrics in reports if first in metrics]


class RateLog:
    """The logged rates with the schedule that they should follow; arguments as for `audit`.

    Attributes:
        ratio: scheduler steps in one step of the reports.
        start: the step of the reports at which the schedule begins.
        slack: scheduler steps by which a point may be off.
        is_constant: True if the rate never moves, although it does not depend on the losses.
        is_followed: True if nearly all points fit the schedule.
    """

    def __init__(
        self, points: Sequence[Point], configured: Declared, last_step: float | None
    ) -> None:
        self.points = points
        self.schedule = configured.schedule
        self.per = configured.per
        self.last_step = last_step
        self.counts_epochs = _counts_epochs(configured, points, last_step)
        self.batches = configured.batches_per_epoch
        end = self.schedule.end
        if self.batches is None and self.per == "batch" and self.counts_epochs:
            length = None if end is None else end + 1 + configured.start
            self.batches = length / last_step if length is not None and last_step else None
        self.ratio = 1.0
        if self.per == "batch" and self.counts_epochs:
            self.ratio = self.batches or 1.0
        elif self.per == "epoch" and not self.counts_epochs:
            self.ratio = 1.0 / (self.batches or 1.0)
        self.start = configured.start / self.ratio
        self.slack = max(1.0, self.ratio)
        self.peak = self.schedule.peak
        rates = [rate for _, rate in points]
        is_still = max(rates) - min(rates) <= 1e-3 * max(map(abs, rates))
        self.is_constant = is_still and not self.schedule.follows_losses
        self.is_followed = self.follows()

    def at(self, step: float) -> float:
        """Return the scheduler steps done at a step of the reports."""
        return (step - self.start) * self.ratio

    def bounds(self, step: float, ratio: float | None = None) -> tuple[float, float]:
        """Return the rates that a log may show at `step`, without tolerance."""
        ratio = self.ratio if ratio is None else ratio
        place, slack = (step - self.start) * ratio, max(1.0, ratio)
        return self.schedule.bounds(place - slack, place + slack)

    def fits(self, point: Point, ratio: float | None = None, factor: float = 1.0) -> bool:
        """Return whether a point fits, at another pace or with its rate divided by a factor."""
        low, high = self.bounds(point[0], ratio)
        slack = OF_PEAK * self.peak
        return low * (1 - RELATIVE) - slack <= point[1] / factor <= high * (1 + RELATIVE) + slack

    def follows(
        self, share: float = FIT, *, ratio: float | None = None, factor: float = 1.0
    ) -> bool:
        """Return whether at least a fraction of the points fit."""
        spare = math.floor(len(self.points) * (1 - share) + 1e-9)
        for point in self.points:
            spare -= not self.fits(point, ratio, factor)
            if spare < 0:
                return False
        return True

    def first_off(self) -> Point:
        """Return the first point that does not fit, or the last one."""
        return next((point for point in self.points if not self.fits(point)), self.points[-1])


def _counts_epochs(configured: Declared, points: Sequence[Point], last_step: float | None) -> bool:
    """Return whether the steps of the reports count epochs.

    If nobody stated it: a schedule per epoch ends near the last step if they do; one per batch ends
    far beyond it, unless they count batches.
    """
    if configured.steps is not None:
        return configured.steps == "epoch"
    if configured.per == "epoch":
        return True
    last = last_step if last_step is not None else points[-1][0]
    end = configured.schedule.end
    if configured.batches_per_epoch and end is not None:
        return last <= 2 * (end + 1) / configured.batches_per_epoch
    are_consecutive = all(after[0] - before[0] == 1 for before, after in pairwise(points))
    return are_consecutive and end is not None and last < end / 2
