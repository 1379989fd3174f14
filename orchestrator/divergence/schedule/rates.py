"""The learning rates of one run as they are reported, audited on the way."""

from __future__ import annotations

import math
from collections.abc import Callable

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_audit import LEAST_POINTS, Fault, Point, audit


class Rates:
    """The rates of one run as they come, in bounded memory, and the audit on the way.

    Every report is taken in; once there are too many, every second one is let go.

    Args:
        configured: the schedule.
        last_step: the step at which training is planned to end.
        keep: how many points are kept at most.

    Attributes:
        configured: the schedule, which may also become known later.
        last_step: the last step, likewise.
        first: the first rate; None before one.
        peak: the greatest.
        last: the newest.
    """

    def __init__(
        self, configured: Declared | None = None, last_step: float | None = None, keep: int = 128
    ) -> None:
        self.configured = configured
        self.last_step = last_step
        self._keep = keep
        self._points: list[Point] = []
        self._stride = 1
        self._count = 0
        self._told: set[str] = set()
        self._due = LEAST_POINTS
        self.first: float | None = None
        self.peak: float | None = None
        self.last: float | None = None

    def add(self, step: float, rate: float) -> list[Fault]:
        """Take in one rate and return the faults that show for the first time.

        They are looked for after the first tenth of the training, and then each time that the
        number of reports has grown by half, so that a report costs the same on average.
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
        is_early = self.last_step is not None and step < self.last_step / 10
        is_last = self.last_step == step  # a run that goes on beyond it is looked at as before
        if self.configured is None or is_early or (self._count < self._due and not is_last):
            return []
        self._due = self._count + max(1, self._count // 2)
        return self._new(lambda: self.faults((step, rate)))

    def faults(self, now: Point | None = None) -> list[Fault]:
        """Return all that the rates kept so far show.

        Args:
            now: the newest point, where it may not be among those kept.
        """
        if self.configured is None:
            return []
        points = self._points
        if now is not None and points and points[-1] != now:
            points = [*points, now]
        return audit(points, self.configured, self.last_step)

    def _new(self, look: Callable[[], list[Fault]]) -> list[Fault]:
        new = [fault for fault in look() if fault.kind not in self._told]
        self._told.update(fault.kind for fault in new)
        return new
