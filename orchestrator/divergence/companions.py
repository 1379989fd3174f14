"""What a run's learning rate, gradient norm and validation loss show about its training loss.

None of them ends a run. A rate that still climbs, or a validation loss that is as good as ever,
speaks against a verdict on the training loss; exploding gradients speak for it; and a rate that
starts again, or a phase that the run declares, begins a new part of the curve.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping

from orchestrator.divergence.series import kind_of, median
from orchestrator.files.series_names import best_validation_name

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

    def update(self, step: int, values: Mapping[str, float], judged: str | None) -> None:
        """Process one report, whose deciding series is `judged`."""
        self._follow_phase(step, values)
        self.rate_restarts = self.are_gradients_exploding = False
        self.val_age += 1
        for name, value in values.items():
            kind = kind_of(name)
            if kind == "rate" and math.isfinite(value):
                self._follow_rate(name, value)
            elif kind == "norm" and "max" not in name:
                self._follow_norm(value)
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

    def _follow_validation(self, loss: float) -> None:
        if not math.isfinite(loss):
            self._last_val = math.inf
            return
        self._first_val = loss if self._first_val is None else self._first_val
        self._best_val = min(self._best_val, loss)
        self._last_val, self.val_age = loss, 0
