"""The rule that distinguishes a lost run from one that recovers.

::

    rule = DivergenceRule(metric="val_mae", goal="minimize")
    for step, metrics in reports:
        verdict = rule.update(step, metrics)
        if verdict.action == "stop":
            print(verdict.reason)   # "train_loss is nan since step 3"

In the order of gravity:

1. A non-finite training loss stops the run at once. Non-finite validation values are a warning:
   with mixed precision they come and go in runs that end well.
2. Explosion: a positive training loss that is more than twice its first and its best value for
   three reports in a row, or ten times for two, stops the run.
3. Lost progress: all of the progress lost for three reports in a row, half of it for four, or a
   fifth of it for ten, beyond what noise explains, stops the run; so does a loss that is stuck at
   more than twice its best for six, or that relapses by half and by twenty times its noise for
   eight, as dead networks do. In long runs 2 % of all reports are waited for (20 % if a fifth is
   lost).
4. Rising: a loss that was never below its first value and is a fifth above it is a warning after
   three reports in a row, and stops the run after twenty.

A rise is only warned of if it may be meant, as when a weight of the loss or the difficulty of the
data grows: it is gradual and costs less than half of the progress or has turned; or more than half
of it has come back and less than half is lost; or another series gets better meanwhile.

A loss that falls at a pace that brings it back to its best is recovering, and the run continues:
spikes and warm restarts are as high for as long as a lost run. Neither is a transient within the
first ten reports lost while it comes down, nor a log that repeats its first reports: another run
begins there.

Other series take part: while the learning rate still climbs in its warm-up, a logged weight of the
loss changes, or validation is as good as ever, only a tenfold explosion stops a run; exploding
gradients shorten the wait; a rate that starts again, or a new `phase`, lets the best value start
over.

A run that reports no training loss is judged by the sweep's metric, else by its validation loss,
which alone only warns.
Values are best means over an epoch or an evaluation; of a series as noisy as the loss of single
batches, means over intervals that grow with it are judged too. The rule keeps one small window per
series; its verdicts depend on the reports alone, so that replaying a metrics log gives
the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from orchestrator.divergence.companions import Companions
from orchestrator.divergence.intervals import JudgedMeans
from orchestrator.divergence.lost_levels import JudgedSeries
from orchestrator.divergence.series import Streak, fatal_value, in_a_row
from orchestrator.divergence.symptom import CONTINUE, Verdict
from orchestrator.files.series_names import (
    Rank,
    best_training_name,
    best_validation_name,
    is_validation,
    training_rank,
)

LONGEST_TRANSIENT = 13
"""Number of reports for which validation stayed non-finite in runs that ended well."""

FALLEN = 0.2
"""A loss that came down by this fraction of its first value has shown that it can fall."""

LASTING_METRIC = 3
"""Number of reports after which a non-finite metric is fatal if it is not a validation value."""


class DivergenceRule:
    """Judge one run, report by report.

    To judge a continued run, feed its earlier reports first. Steps may repeat or go back. After
    ``"stop"`` every verdict is the same one, until `spare` is called.

    Args:
        metric: the reported name that ranks the sweep's trials; None if there is none.
        goal: ``"minimize"`` or ``"maximize"`` `metric`.
        phases: the steps at which the loss changes its meaning, as in a curriculum; so does a
            reported `phase` that changes.

    Raises:
        ValueError: `goal` is neither of the two.
    """

    def __init__(
        self, metric: str | None = None, goal: str = "minimize", *, phases: Collection[int] = ()
    ) -> None:
        if goal not in ("minimize", "maximize"):
            raise ValueError(f"goal: expected minimize or maximize (found {goal!r}).")
        self._metric = metric
        self._metric_sign = 1.0 if goal == "minimize" else -1.0
        self._judged: JudgedSeries | None = None
        self._companions = Companions(phases)
        self._means = JudgedMeans()
        self._rank: Rank | None = None  # None while no training loss is judged
        self._fatal = Streak()
        self._non_finite: dict[str, Streak] = {}
        self._last_step: int | None = None
        self._lost: Verdict | None = None

    @property
    def judged(self) -> str | None:
        """The name of the deciding series; None before there is one."""
        return self._judged.name if self._judged else None

    @property
    def sign(self) -> float:
        """-1.0 if the deciding series is maximized, else 1.0."""
        return self._judged.sign if self._judged else 1.0

    @property
    def begins_phase(self) -> bool:
        """True if the last report began another phase."""
        return self._companions.begins_phase

    @property
    def has_fallen(self) -> bool:
        """True once the deciding series has come down by a fifth of its first value."""
        return self._judged is not None and self._judged.fell_by >= FALLEN

    @property
    def is_rising(self) -> bool:
        """True while the deciding series is rising, see 4. of the rules."""
        return self._judged is not None and self._judged.is_rising

    @classmethod
    def judge(
        cls, losses: Iterable[float], metric: str | None = None, goal: str = "minimize"
    ) -> Verdict:
        """Return the verdict on a whole curve: what would have ended it, else its last warning.

        Args:
            losses: training losses, or values of `metric`; steps count from 0.
            metric: as for the class.
            goal: as for the class.
        """
        rule, last = cls(metric, goal), CONTINUE
        for step, loss in enumerate(losses):
            verdict = rule.update(step, {metric or "train_loss": loss})
            if verdict.stops:
                return verdict
            last = verdict if verdict.symptom else last
        return last if last.symptom and rule.holds(last) else CONTINUE

    def holds(self, found: Verdict) -> bool:
        """Return whether a warning, or a verdict that the policy spared, still holds."""
        if found.symptom == "non-finite":
            return bool(self._fatal.count or self._non_finite)
        if found.symptom == "rising":
            return self.is_rising
        return self._judged is not None and (self._judged.is_suspected or self._judged.is_raised)

    def spare(self) -> None:
        """Continue to judge a run that was found lost, because the policy keeps it running."""
        self._lost = None

    def update(self, step: int, metrics: Mapping[str, float]) -> Verdict:
        """Process one report and return what should happen to the run.

        Each onset is warned of once: when its condition has held for long enough, and not again
        until it has ceased and returned. Values that are not numbers are ignored.
        """
        if self._lost is not None:
            return self._lost
        values = numbers_in(metrics)
        self._choose(values)
        self._companions.update(step, values, self.judged)
        if self._judged is not None and self._companions.begins_phase:
            self._judged.start_over()
        verdicts = [self._judge(step, values)]
        if self._non_finite or not all(map(math.isfinite, values.values())):
            verdicts += self._watch(step, values)
        elif not verdicts[0].symptom:  # nearly all reports of nearly all runs
            self._last_step = step
            return CONTINUE
        self._last_step = step
        self._lost = next((verdict for verdict in verdicts if verdict.action == "stop"), None)
        if self._lost is not None:
            return self._lost
        warnings = [verdict for verdict in verdicts if verdict.action == "warn"]
        if not warnings:
            return CONTINUE
        first, reason = warnings[0], "; ".join(warning.reason for warning in warnings)
        return Verdict("warn", first.symptom, first.onset, reason, first.numbers)

    def _choose(self, values: Mapping[str, float]) -> None:
        """Choose the deciding series; a better name that appears later takes over."""
        found = best_training_name(values)
        if found is not None and (self._rank is None or found[0] < self._rank):
            self._rank = found[0]
            self._judged, self._means = JudgedSeries(found[1], 1.0), JudgedMeans()
        if self._rank is not None:
            return
        if self._metric is not None and self._metric in values:
            if self.judged != self._metric:
                self._judged = JudgedSeries(self._metric, self._metric_sign)
        elif self._judged is None:
            loss = best_validation_name(values)
            self._judged = None if loss is None else JudgedSeries(loss[1], 1.0)

    def _judge(self, step: int, values: Mapping[str, float]) -> Verdict:
        """Judge the deciding series if this report contains it."""
        judged = self._judged
        if judged is None or judged.name not in values:
            return CONTINUE
        value = values[judged.name]
        if math.isfinite(value):
            self._fatal.clear()
            verdict = judged.update(step, value, self._companions)
            means = self._means.update(step, value, judged, self._companions)
            verdict = means if means.stops and not verdict.stops else verdict
            # Without a training loss it may as well be overfitting.
            is_loss = "loss" in judged.name.lower() and is_validation(judged.name)
            is_unsure = verdict.stops and self._rank is None and is_loss
            return replace(verdict, action="warn") if is_unsure else verdict
        if self._rank is None:
            return CONTINUE
        self._fatal.feed(True, step)
        reason = fatal_value(judged.name, value, self._fatal.since)
        return Verdict("stop", "non-finite", self._fatal.since, reason)

    def _watch(self, step: int, values: Mapping[str, float]) -> Iterator[Verdict]:
        """Watch the metric, validation values and further losses for non-finite values."""
        for name, value in values.items():
            if math.isfinite(value):
                self._non_finite.pop(name, None)
                continue
            if self._rank is not None and name == self.judged:
                continue
            if name != self._metric and not is_validation(name) and training_rank(name) is None:
                continue
            streak = self._non_finite.setdefault(name, Streak())
            if step != self._last_step or not streak.count:
                streak.feed(True, step)
                yield self._judge_non_finite(name, value, streak)

    def _judge_non_finite(self, name: str, value: float, streak: Streak) -> Verdict:
        """Judge a non-finite value that is not the training loss."""
        allowed = LONGEST_TRANSIENT + 1 if is_validation(name) else LASTING_METRIC
        if self._rank is None and name == self.judged and streak.count >= allowed:
            reason = (
                f"{name} is {value:g}{in_a_row(streak.count)} since step {streak.since}, and no "
                "training loss is reported that could show that the run is well"
            )
            return Verdict("stop", "non-finite", streak.since, reason)
        if streak.count > 1:
            return CONTINUE
        reason = f"{name} is {value:g} at step {streak.since}, which may pass"
        return Verdict("warn", "non-finite", streak.since, reason)


def numbers_in(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return those values of a report that are numbers, as floats."""
    return {
        name: float(value)
        for name, value in metrics.items()
        # Nearly all are floats, for which this is fastest.
        if type(value) is float or (isinstance(value, int | float) and type(value) is not bool)
    }
