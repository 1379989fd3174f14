"""Validation gets worse while training still gets better."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from orchestrator.divergence.series import median, number
from orchestrator.divergence.symptom import Advice, Observation, RunFacts, Symptom, Verdict

REPORTS = 5
WORSE = 0.1
"""Worse by this fraction of the best value, or of the progress if that value is not positive."""


class Overfitting:
    """Compare medians of three reports with those at the best validation."""

    def __init__(self) -> None:
        self._train: deque[float] = deque(maxlen=3)
        self._val: deque[float] = deque(maxlen=3)
        self._first = math.nan
        self._best = math.inf
        self._train_at_best = math.inf
        self._best_step = 0
        self._held = 0

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note once validation is worse for long enough."""
        if seen.judged is None or seen.validation is None:
            return
        name, sign = seen.validation
        self._train.append(seen.values[seen.judged])
        self._val.append(sign * seen.values[name])
        if math.isnan(self._first):
            self._first = self._val[0]
        if len(self._val) < 3:
            return
        now, fits = median(sorted(self._val)), median(sorted(self._train))
        if now < self._best:
            self._best, self._train_at_best, self._best_step = now, fits, seen.step
        scale = self._best if self._best > 0 and sign > 0 else max(0.0, self._first - self._best)
        is_worse = scale > 0 and now - self._best > WORSE * scale and fits < self._train_at_best
        self._held = self._held + 1 if is_worse else 0
        if self._held != REPORTS:
            return
        best, worse = sign * self._best, sign * now
        reason = (
            f"{name} went from {number(best)} at step {self._best_step} to {number(worse)}, while "
            f"the training loss continued from {number(self._train_at_best)} to {number(fits)}"
        )
        numbers = {"best": best, "now": worse, "train": fits}
        yield Verdict("warn", "overfitting", self._best_step, reason, numbers)


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


SYMPTOM = Symptom("overfitting", "warn", "likely", _advise, Overfitting)
