"""A validation that becomes worse while the training still becomes better."""

from __future__ import annotations

import math
from collections import deque

from orchestrator.divergence.lost_levels import number
from orchestrator.divergence.series import median
from orchestrator.divergence.verdict import Verdict

REPORTS = 5
WORSE = 0.1
"""Validation is worse by this part of its best value; of its progress where that is below 0."""


class Overfitting:
    """Compares medians of three reports with those at the best validation."""

    def __init__(self) -> None:
        self._train: deque[float] = deque(maxlen=3)
        self._val: deque[float] = deque(maxlen=3)
        self._first = math.nan
        self._best = math.inf
        self._train_at_best = math.inf
        self._best_step = 0
        self._held = 0

    def feed(self, name: str, step: int, train: float, val: float, sign: float) -> Verdict | None:
        """Take in both losses of one report, finite; lower is better for both.

        Args:
            name: the validation series.
            step: the step of the report.
            train: training loss.
            val: oriented value of the validation series.
            sign: 1.0, or -1.0 where it was negated.
        """
        self._train.append(train)
        self._val.append(val)
        if math.isnan(self._first):
            self._first = val
        if len(self._val) < 3:
            return None
        now, fits = median(sorted(self._val)), median(sorted(self._train))
        if now < self._best:
            self._best, self._train_at_best, self._best_step = now, fits, step
        worse = now - self._best
        scale = self._best if self._best > 0 and sign > 0 else max(0.0, self._first - self._best)
        holds = scale > 0 and worse > WORSE * scale and fits < self._train_at_best
        self._held = self._held + 1 if holds else 0
        if self._held != REPORTS:
            return None
        return Verdict(
            "warn",
            "overfitting",
            self._best_step,
            f"{name} went from {number(sign * self._best)} at step {self._best_step} to "
            f"{number(sign * now)}, while the training loss went on from "
            f"{number(self._train_at_best)} to {number(fits)}",
            {"best": sign * self._best, "now": sign * now, "train": fits},
        )
