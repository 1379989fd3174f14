"""The learning rates of one run as they are reported, audited on the way."""

from __future__ import annotations

import math

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_audit import LEAST_POINTS, Fault, Point, audit


class Rates:
    """The rates of one run as they arrive, in bounded memory, and their audit.

    Every report is kept until there are too many; then every second one is dropped.

    Args:
        keep: how many points are kept at most.

    Attributes:
        first: the first rate; None before there is one.
        peak: the highest.
        last: the latest.
    """

    def __init__(self, keep: int = 128) -> None:
        self._keep = keep
        self._points: list[Point] = []
        self._stride = 1
        self._count = 0
        self._found: set[str] = set()
        self._due = LEAST_POINTS
        self.first: float | None = None
        self.peak: float | None = None
        self.last: float | None = None

    def add(
        self,
        step: float,
        rate: float,
        schedule: Declared | None = None,
        last_step: float | None = None,
    ) -> list[Fault]:
        """Record one rate and return the faults that show for the first time.

        The audit runs after the first tenth of the training, and then whenever the number of
        reports has grown by half, so that a report costs the same on average.

        Args:
            step: step of the report.
            rate: learning rate; one that is not finite is ignored.
            schedule: the configured schedule; None if unknown, then nothing is audited.
            last_step: the step at which training is planned to end; None if unknown.
        """
        if not math.isfinite(rate):
            return []
        self.first = rate if self.first is None else self.first
        self.peak = rate if self.peak is None else max(self.peak, rate)
        self.last = rate
        if self._count % self._stride == 0:
            self._points.append((step, rate))
            if len(self._points) > self._keep:
                self._points = self._points[::2]
                self._stride *= 2
        self._count += 1
        is_early = last_step is not None and step < last_step / 10
        is_last = last_step == step  # a run that continues beyond it is audited as before
        if schedule is None or is_early or (self._count < self._due and not is_last):
            return []
        self._due = self._count + max(1, self._count // 2)
        now = (step, rate)
        points = self._points if self._points[-1] == now else [*self._points, now]
        new = [f for f in audit(points, schedule, last_step) if f.kind not in self._found]
        self._found.update(fault.kind for fault in new)
        return new
