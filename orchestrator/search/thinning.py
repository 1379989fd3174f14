"""Decide which reports of a trial reach the study.

Optuna keeps every report of every trial in memory and iterates over them at each decision. The
reports kept here grow with the logarithm of the steps: all steps below 512, then one in two, one in
four and so on, 256 in each doubling. Which ones are kept depends on the steps alone, so that trials
with the same rhythm keep the same steps and can be compared.
"""

from __future__ import annotations

import math

from orchestrator.divergence import LONGEST_TRANSIENT

FULL_STEPS = 512
"""All steps below this are kept."""


def stride(step: int) -> int:
    """Return the distance of kept steps around `step`: 1, then growing powers of two."""
    return 1 << max(0, step.bit_length() - FULL_STEPS.bit_length() + 1)


class Reports:
    """The reports of one trial, on their way to the study.

    Attributes:
        last: the last finite report, (step, value); None before there is one.
        last_is_kept: True if the study has `last`.
        non_finite: number of consecutive reports, up to the last, that were not finite.
        non_finite_since: the step of the first of them.
        latest_word: ``"nan"``, ``"inf"`` or ``"-inf"`` if the last report was not finite.
    """

    def __init__(self) -> None:
        self.last: tuple[int, float] | None = None
        self.last_is_kept = True
        self.non_finite = 0
        self.non_finite_since = 0
        self.latest_word = ""
        self._newest = -1
        self._newest_kept: int | None = None

    def take(self, step: int, value: float) -> bool:
        """Record one report and return whether the study should keep it.

        Steps that repeat or go back, as in a resumed run, were reported before: the first value
        counts. A value that is not finite is never kept: NaN compares as neither better nor worse,
        and one infinity would be the best value of all.
        """
        if step <= self._newest:
            return False
        self._newest = step
        if not math.isfinite(value):
            if not self.non_finite:
                self.non_finite_since = step
            self.non_finite += 1
            self.latest_word = f"{value:g}"
            return False
        self.non_finite = 0
        self.last = (step, value)
        every = stride(step)
        kept = self._newest_kept
        self.last_is_kept = kept is None or step // every > kept // every
        if self.last_is_kept:
            self._newest_kept = step
        return self.last_is_kept

    @property
    def is_lost(self) -> bool:
        """True if values stayed non-finite for longer than in runs that ended well."""
        return self.non_finite > LONGEST_TRANSIENT
