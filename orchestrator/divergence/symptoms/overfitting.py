"""Validation gets worse while training still gets better."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from orchestrator.divergence.companions import Other, other_named
from orchestrator.divergence.series import Noise, number
from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)
from orchestrator.files.series_names import is_validation

REPORTS = 5
WORSE = 0.1
WORSE_OF_PROGRESS = 0.02
"""Worse by this fraction of the best value, and by this fraction of the progress made."""

BEYOND_NOISE = 3.0
"""And by this many times the noise of the validation."""

FITS = 0.02
"""The training loss must have fallen by this fraction of its size since the best validation."""

Point = tuple[float, int]
"""A value, oriented so that lower is better, and its step."""


class Overfitting(Detector):
    """Compare medians of three reports with those at the best validation of the whole run."""

    def __init__(self) -> None:
        self._train: deque[Point] = deque(maxlen=3)
        self._val: deque[Point] = deque(maxlen=3)
        self._noise = Noise()
        self._first = math.nan
        self._best: Point = (math.inf, 0)
        self._lowest: Point = (math.inf, 0)
        self._train_at_best: Point = (math.inf, 0)
        self._metric: Other | None = None
        self._held = 0
        self._is_worse = False

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note once validation is worse for long enough."""
        if seen.judged is None or seen.validation is None:
            return
        name, sign = seen.validation
        self._follow_metric(seen, name)
        value = sign * seen.values[name]
        self._train.append((seen.values[seen.judged], seen.step))
        self._val.append((value, seen.step))
        self._noise.add(value)
        self._lowest = min(self._lowest, (value, seen.step))
        if math.isnan(self._first):
            self._first = value
        if len(self._val) < 3:
            return
        # The median of three is one of them, so that the step of each quoted number is known.
        now, fits = sorted(self._val)[1], sorted(self._train)[1]
        if now[0] < self._best[0]:
            self._best, self._train_at_best = now, fits
        is_well = self._metric is not None and self._metric.well > -math.inf
        self._is_worse = not is_well and self._compare(now[0], fits[0], is_loss=sign > 0)
        self._held = self._held + 1 if self._is_worse else 0
        if self._held != REPORTS:
            return
        (best, best_step), (worse, step) = self._lowest, now
        (before, _), (after, _) = self._train_at_best, fits
        reason = (
            f"{name} rose from {number(sign * best)} at step {best_step} to "
            f"{number(sign * worse)} at step {step}, while {seen.judged} fell from "
            f"{number(before)} to {number(after)}"
        )
        if sign < 0:
            reason = reason.replace(" rose from", " went from", 1)
        numbers = {"best": sign * best, "now": sign * worse, "train": after}
        yield Verdict("warn", "overfitting", best_step, reason, numbers)

    def holds(self, found: Verdict) -> bool:
        """Return whether validation is still worse than its best in the whole run."""
        return self._is_worse

    def _follow_metric(self, seen: Observation, judged: str) -> None:
        """Follow the metric that ranks the trials: while it is as good as ever, nothing is lost."""
        metric = seen.plan.metric
        if metric is None or metric == judged or not is_validation(metric):
            return
        self._metric = self._metric or other_named(metric)
        if self._metric is not None and metric in seen.values:
            self._metric.add(seen.values[metric])

    def _compare(self, now: float, fits: float, *, is_loss: bool) -> bool:
        """Return whether validation is worse than at its best, and training better."""
        best, before = self._best[0], self._train_at_best[0]
        progress = max(0.0, self._first - best)
        size = best if best > 0 and is_loss else progress
        least = max(WORSE * size, WORSE_OF_PROGRESS * progress, BEYOND_NOISE * self._noise.value)
        return size > 0 and now - best > least and before - fits > FITS * abs(before)


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    best = "" if found.onset is None else f" of {facts.unit} {found.onset}"
    return Advice(
        "it learns the training data by heart",
        (
            f"keep the checkpoint{best}",
            "regularize: dropout, weight decay, augmentation, more data",
            "stop early",
        ),
        ("do not train longer, and do not lower the rate for it",),
    )


SYMPTOM = Symptom("overfitting", "warn", "likely", _advise, Overfitting, is_per_series=True)
