"""Configured learning-rate schedules as pure functions of the number of scheduler steps.

``at(n)`` is the rate after `n` steps of the scheduler, from 0: the rate of the first batch (or
epoch) is ``at(0)``. Past its end a schedule stays at its last value; schedulers that climb again
there (`torch.optim.lr_scheduler.CosineAnnealingLR` does) are what an audit wants to find.

The formulas are those of PyTorch's schedulers and, for warm-up, of its `LinearLR` before another
schedule; tests hold them against PyTorch itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Schedule(ABC):
    """One configured schedule.

    Attributes:
        kind: its name, as in a sweep file.
    """

    kind: str

    @abstractmethod
    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps, 0 or more; fractions lie between two steps."""

    @property
    def turns(self) -> tuple[float, ...]:
        """The step counts at which it stops rising or falling."""
        return ()

    @property
    def end(self) -> float | None:
        """The step count of its last value; None where it has no end of its own."""
        return None

    @property
    def follows_losses(self) -> bool:
        """True where the rate may be below `at`, because it falls as the losses tell it to."""
        return False

    def bounds(self, start: float, end: float) -> tuple[float, float]:
        """Return the least and the greatest rate between two step counts, both inclusive."""
        start = max(0.0, start)
        end = max(start, end)
        places = [start, end, *(turn for turn in self.turns if start < turn < end)]
        rates = [self.at(place) for place in places]
        return min(rates), max(rates)

    @property
    def peak(self) -> float:
        """The greatest rate that it reaches."""
        return max(self.at(place) for place in (0.0, *self.turns, self.end or 0.0))

    @property
    def peak_at(self) -> float:
        """The first step count at which it is at its peak."""
        places = sorted({0.0, *self.turns, self.end or 0.0})
        return next(place for place in places if self.at(place) >= self.peak * (1 - 1e-12))


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout.

    Attributes:
        lr: the rate.
    """

    lr: float
    kind = "constant"

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps."""
        return self.lr


@dataclass(frozen=True)
class Steps(Schedule):
    """Falls by a factor every `size` steps, or at given ones (`StepLR`, `MultiStepLR`).

    Attributes:
        lr: the first rate.
        size: steps between two falls; None where `milestones` are given.
        gamma: the factor of each fall.
        milestones: the step counts of the falls.
    """

    lr: float
    size: float | None = None
    gamma: float = 0.1
    milestones: tuple[float, ...] = ()
    kind = "step"

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps."""
        if self.size:
            falls = math.floor(n / self.size)
        else:
            falls = sum(n >= place for place in self.milestones)
        return self.lr * self.gamma**falls


@dataclass(frozen=True)
class Linear(Schedule):
    """Goes straight from one rate to another (`LinearLR`).

    Attributes:
        lr: the first rate.
        total: steps until the last.
        final: the last rate.
    """

    lr: float
    total: float
    final: float = 0.0
    kind = "linear"

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps."""
        return self.lr + (self.final - self.lr) * min(n, self.total) / self.total

    @property
    def turns(self) -> tuple[float, ...]:
        """The step counts at which it stops rising or falling."""
        return (self.total,)

    @property
    def end(self) -> float | None:
        """The step count of its last value."""
        return self.total


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from one rate down to another (`CosineAnnealingLR` up to its T_max).

    Attributes:
        lr: the first rate.
        total: steps until the last, T_max.
        final: the last rate, eta_min.
    """

    lr: float
    total: float
    final: float = 0.0
    kind = "cosine"

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps."""
        share = min(n, self.total) / self.total
        return self.final + (self.lr - self.final) * (1 + math.cos(math.pi * share)) / 2

    @property
    def turns(self) -> tuple[float, ...]:
        """The step counts at which it stops rising or falling."""
        return (self.total,)

    @property
    def end(self) -> float | None:
        """The step count of its last value."""
        return self.total


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to a peak and far down, as `OneCycleLR` does.

    The first rate is ``max_lr / div_factor``, the last ``max_lr / div_factor / final_div_factor``.

    Attributes:
        max_lr: the peak.
        total: steps of the whole cycle.
        pct_start: share of the steps that rise.
        div_factor: peak over first rate.
        final_div_factor: first over last rate.
        anneal: ``"cos"`` or ``"linear"``.
        three_phase: fall back to the first rate as fast as it rose, then to the last.
    """

    max_lr: float
    total: float
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: str = "cos"
    three_phase: bool = False
    kind = "onecycle"

    @property
    def _phases(self) -> list[tuple[float, float, float]]:
        """End of each phase in steps, with its first and its last rate."""
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        up = self.pct_start * self.total - 1
        if self.three_phase:
            return [
                (up, first, self.max_lr),
                (2 * self.pct_start * self.total - 2, self.max_lr, first),
                (self.total - 1, first, last),
            ]
        return [(up, first, self.max_lr), (self.total - 1, self.max_lr, last)]

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps."""
        place = min(n, self.total - 1)
        begin = 0.0
        phases = self._phases
        for end, start_rate, end_rate in phases:
            if place <= end or end == phases[-1][0]:
                share = (place - begin) / (end - begin) if end > begin else 1.0
                if self.anneal == "linear":
                    return start_rate + (end_rate - start_rate) * share
                return end_rate + (start_rate - end_rate) / 2 * (1 + math.cos(math.pi * share))
            begin = end
        return phases[-1][2]

    @property
    def turns(self) -> tuple[float, ...]:
        """The step counts at which it stops rising or falling."""
        return tuple(max(0.0, end) for end, _, _ in self._phases)

    @property
    def end(self) -> float | None:
        """The step count of its last value."""
        return self.total - 1


@dataclass(frozen=True)
class Plateau(Schedule):
    """Falls when the validation stops improving (`ReduceLROnPlateau`): only its bounds are known.

    Attributes:
        lr: the first rate, which is never exceeded.
        factor: the factor of each fall.
        final: the least rate.
    """

    lr: float
    factor: float = 0.1
    final: float = 0.0
    kind = "plateau"

    def at(self, n: float) -> float:
        """Return the greatest rate that it may have after `n` scheduler steps."""
        return self.lr

    @property
    def follows_losses(self) -> bool:
        """True: the rate may be anywhere from `final` to `lr`."""
        return True

    def bounds(self, start: float, end: float) -> tuple[float, float]:
        """Return the least and the greatest rate that it may have."""
        return min(self.final, self.lr), self.lr


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight rise before another schedule, which starts where the rise ends.

    Attributes:
        then: the schedule after the rise; its own steps count from the end of the rise.
        steps: steps of the rise.
        start: share of the rate that the rise begins at.
    """

    then: Schedule
    steps: float
    start: float = 0.0

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The name of the schedule, with what stands before it."""
        return f"warm-up and {self.then.kind}"

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps."""
        if n < self.steps:
            return self.then.at(0) * (self.start + (1 - self.start) * n / self.steps)
        return self.then.at(n - self.steps)

    @property
    def turns(self) -> tuple[float, ...]:
        """The step counts at which it stops rising or falling."""
        return (self.steps, *(self.steps + turn for turn in self.then.turns))

    @property
    def end(self) -> float | None:
        """The step count of its last value."""
        return None if self.then.end is None else self.steps + self.then.end

    @property
    def follows_losses(self) -> bool:
        """True where what follows the rise falls as the losses tell it to."""
        return self.then.follows_losses

    def bounds(self, start: float, end: float) -> tuple[float, float]:
        """Return the least and the greatest rate between two step counts, both inclusive."""
        if not self.follows_losses or end <= self.steps:
            return super().bounds(start, end)
        low, high = self.then.bounds(max(0.0, start - self.steps), end - self.steps)
        if start < self.steps:
            low = min(low, self.at(max(0.0, start)))
        return low, high
