"""What a run's learning rate, gradient norm and validation loss show about its training loss.

None of them ends a run. A rate that still climbs, or a validation loss that is as good as ever,
speaks against a verdict on the training loss; exploding gradients speak for it; and a rate that
starts again, or a phase that the run declares, begins a new part of the curve.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping

from orchestrator.divergence.series import median
from orchestrator.files.direction import named_goal
from orchestrator.files.series_names import best_validation_name, is_state, kind_of, words

PHASE = "phase"
"""Reported name of the phase of a training; another value begins a new one."""

CLIMBED = 1.05
"""A rate that never fell is in its warm-up once it is this many times its first value."""

STILL = 1e-3
"""Fraction by which a rate must grow from report to report to be climbing."""

RESTART = 3.0
"""A rate that grows by this factor from one report to the next, after it fell, starts again."""

OF_PEAK = 0.5
"""And is then at least this fraction of its greatest value."""

NORMS = 20
EXPLODING = 10.0
"""Gradients explode if their norm is this many times its median over as many reports."""

WELL = 0.1
"""Validation is as good as ever if it is above its best by less than this fraction of progress."""

LEARNT = 0.1
"""Validation is as good as ever if it is above its best by less than this share of progress."""

MOVED_BEFORE = 3
"""Reports between a change of the weights and what the rule notices of it."""

_NO_QUALITY = frozenset(("fps", "throughput", "latency", "mfu", "best", "reg", "penalty"))


class Other:
    """Another series, oriented so that lower is better."""

    __slots__ = ("_first", "_latest", "_lowest", "_sign")

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self._first = self._lowest = math.inf
        self._latest: deque[float] = deque(maxlen=3)

    def add(self, value: float) -> None:
        """Add a finite value as it was reported."""
        value *= self._sign
        self._first = value if not self._latest else self._first
        self._lowest = min(self._lowest, value)
        self._latest.append(value)

    @property
    def level(self) -> float:
        """The median of its last three values; infinite before there are three."""
        return median(sorted(self._latest)) if len(self._latest) == 3 else math.inf

    @property
    def well(self) -> float:
        """Its lowest value if it is as good as ever, else -inf: nothing is better than that."""
        allowed = WELL * (self._first / 2 - self._lowest / 2)  # halved: it may overflow
        is_well = self.level / 2 - self._lowest / 2 <= allowed
        return self._lowest if is_well and self._lowest < self._first else -math.inf


class Companions:
    """Follows the series beside the deciding one, report by report.

    Args:
        phases: the steps at which the run begins a new phase.
    """

    def __init__(self, phases: Collection[int] = ()) -> None:
        self._phases = sorted(phases)
        self._phase: float | None = None
        self._last_step: int | None = None
        self._rate_name: str | None = None
        self._first_rate = self._peak_rate = self._last_rate = math.nan
        self._has_fallen = False
        self._norms: deque[float] = deque(maxlen=NORMS)
        self._first_val: float | None = None
        self._best_val = math.inf
        self._last_val = math.nan
        self._others: dict[str, Other | None] = {}
        self._weights: dict[str, float] = {}
        self._reports = 0
        self._weight_moved = 0
        self.val_age = 0
        self.is_climbing = False
        self.are_gradients_exploding = False
        self.begins_phase = False
        self.rate_restarts = False

    @property
    def is_validation_well(self) -> bool:
        """True if validation was as good as ever when it was last reported, `val_age` ago."""
        if self._first_val is None or not math.isfinite(self._last_val):
            return False
        if self._first_val / 2 - self._best_val / 2 < LEARNT * abs(self._first_val) / 2:
            return False
        above = self._last_val / 2 - self._best_val / 2  # halved: it may overflow
        return above <= WELL * (self._first_val / 2 - self._best_val / 2)

    def moved_within(self, reports: int) -> bool:
        """Return whether a weight of the loss or the difficulty of the data changed since then."""
        return self._weight_moved > max(0, self._reports - reports - MOVED_BEFORE)

    def before(self) -> dict[str, float]:
        """Return the best value of each other series that is as good as ever, by name."""
        return {name: other.well for name, other in self._others.items() if other is not None}

    def improved_on(self, before: Mapping[str, float]) -> bool:
        """Return whether another series is better by now than the best value it had then."""
        return any(
            other is not None and other.level < before.get(name, -math.inf)
            for name, other in self._others.items()
        )

    def update(self, step: int, values: Mapping[str, float], judged: str | None) -> None:
        """Process one report, whose deciding series is `judged`."""
        self._follow_phase(step, values)
        self.rate_restarts = self.are_gradients_exploding = False
        self.val_age += 1
        self._reports += 1
        for name, value in values.items():
            if name == judged:
                continue
            kind = kind_of(name)
            if kind == "rate" and math.isfinite(value):
                self._follow_rate(name, value)
            elif kind == "norm" and "max" not in name:
                self._follow_norm(value)
            elif kind == "weight":
                if self._weights.setdefault(name, value) != value:
                    self._weights[name] = value
                    self._weight_moved = self._reports
            else:
                self._follow_other(name, value)
        loss = best_validation_name(values)
        if loss is not None and loss[1] != judged:
            self._follow_validation(values[loss[1]])

    def _follow_phase(self, step: int, values: Mapping[str, float]) -> None:
        phase, last = values.get(PHASE), self._last_step
        is_other = phase is not None and self._phase is not None and phase != self._phase
        is_due = last is not None and any(last < start <= step for start in self._phases)
        self.begins_phase = is_other or is_due
        if self.begins_phase:
            self._first_val, self._best_val = None, math.inf
        self._phase = phase if phase is not None else self._phase
        self._last_step = step

    def _follow_rate(self, name: str, rate: float) -> None:
        self._rate_name = self._rate_name or name
        if name != self._rate_name:
            return
        if math.isnan(self._last_rate):
            self._first_rate = self._peak_rate = rate
        elif rate < self._last_rate * (1 - STILL):
            self._has_fallen = True
        else:
            is_high = rate >= OF_PEAK * self._peak_rate
            self.rate_restarts = self._has_fallen and is_high and rate > RESTART * self._last_rate
        self.is_climbing = (
            not self._has_fallen
            and rate > CLIMBED * self._first_rate
            and rate > self._last_rate * (1 + STILL)
        )
        self._peak_rate = max(self._peak_rate, rate)
        self._last_rate = rate

    def _follow_norm(self, norm: float) -> None:
        if len(self._norms) == NORMS:
            usual = median(sorted(self._norms))
            self.are_gradients_exploding |= norm > EXPLODING * usual > 0
        if math.isfinite(norm) and not self.are_gradients_exploding:
            self._norms.append(norm)

    def _follow_other(self, name: str, value: float) -> None:
        if name not in self._others:
            self._others[name] = other_named(name)
        other = self._others[name]
        if other is not None and math.isfinite(value):
            other.add(value)

    def _follow_validation(self, loss: float) -> None:
        if not math.isfinite(loss):
            self._last_val = math.inf
            return
        self._first_val = loss if self._first_val is None else self._first_val
        self._best_val = min(self._best_val, loss)
        self._last_val, self.val_age = loss, 0


def other_named(name: str) -> Other | None:
    """Return what follows a series; None if its name shows no direction or it measures the run."""
    goal = named_goal(name)
    if goal is None or is_state(name) or not _NO_QUALITY.isdisjoint(words(name)):
        return None
    return Other(1.0 if goal == "minimize" else -1.0)
