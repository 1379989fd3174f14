"""The rule that tells a lost run from one that recovers.

::

    rule = DivergenceRule(metric="val_mae", goal="minimize")
    for step, metrics in reports:
        verdict = rule.update(step, metrics)
        if verdict.action == "stop":
            print(verdict.reason)   # "train_loss is nan since step 3"

What it does, in the order of gravity:

1. A non-finite training loss stops the run at once. Non-finite validation values are warned of:
   with mixed precision they come and go in runs that end well.
2. Explosion: a positive training loss that is more than twice its first and its best value for
   three reports running, or ten times for two, stops the run.
3. Lost progress: all of the progress lost for three reports running, half of it for four, or a
   fifth of it for ten (in long runs a tenth of all reports), beyond what noise explains, stops the
   run; so does a loss that is stuck at more than twice its best for six.
4. Rising: a loss that was never below its first value and is a fifth above it for three reports
   running is warned of.

What came back by a third from its peak and falls on is on its way back and lives: spikes and warm
restarts are as high for as long, and differ in nothing else from a run that is lost.

A run that reports no training loss is judged by the sweep's metric, else by its validation loss.
Values are meant to be means over an epoch or an evaluation, not over one batch. The rule holds
one small window per series; its answers depend on the reports alone, so that replaying a metrics
log gives the same verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from orchestrator.divergence import lost_levels
from orchestrator.divergence.lost_levels import RISING_REPORTS, Levels
from orchestrator.divergence.series.names import (
    Rank,
    best_training_name,
    is_validation,
    is_validation_loss,
    training_rank,
)
from orchestrator.divergence.series.statistics import Series, Streak
from orchestrator.divergence.verdict import CONTINUE, Action, Verdict

__all__ = ["Action", "DivergenceRule", "Verdict"]

LONGEST_TRANSIENT = 13
"""Reports for which validation stayed non-finite in runs that ended well (real curves)."""

FALLEN = 0.2
"""A loss that came down by this part of its first value has shown that it can."""

LASTING_METRIC = 3
"""Reports after which a non-finite metric is fatal where neither loss nor split vouches for it."""


class _Judged:
    """The one series that decides, with its conditions.

    Attributes:
        name: the reported name.
        sign: 1.0, or -1.0 for a metric that is maximised.
    """

    def __init__(self, name: str, sign: float) -> None:
        self.name = name
        self.sign = sign
        self._series = Series()
        self._levels = Levels()
        self._last: tuple[int, float] | None = None

    @property
    def fell_by(self) -> float:
        """How far the series came down, as a part of the size of its first value."""
        return self._series.fell_by

    @property
    def is_rising(self) -> bool:
        """True while the series has been rising for long enough to be told."""
        return self._levels.rising_for >= RISING_REPORTS

    def update(self, step: int, value: float) -> Verdict:
        """Judge one finite value."""
        if self._last == (step, value):
            return CONTINUE  # one evaluation that was reported twice is no second report
        if self._last is not None and step < self._last[0]:
            self._levels.clear()  # a resumed run went back: it gets its own three reports
        self._last = (step, value)
        oriented = self.sign * value
        standing = self._series.measure(oriented)
        found = self._levels.feed(standing, step) if standing else None
        self._series.add(oriented, suspected=self._levels.is_suspecting)
        if found is None:
            return CONTINUE
        return Verdict(
            action="stop" if found.is_fatal else "warn",
            symptom=found.symptom,
            onset=found.since,
            reason=lost_levels.finding(self.name, found, sign=self.sign),
            numbers=lost_levels.numbers(found, sign=self.sign),
        )


class DivergenceRule:
    """Judge one run, report by report.

    A continued run is judged from where it stood when the reports that it made before are fed
    first. Steps may repeat or go back. Once the rule has said ``"stop"`` it says so until it is
    told to `spare` the run.

    Args:
        metric: the reported name that ranks the sweep's trials, or None.
        goal: ``"minimize"`` or ``"maximize"``: which way `metric` is better.

    Raises:
        ValueError: `goal` is another word.
    """

    def __init__(self, metric: str | None = None, goal: str = "minimize") -> None:
        if goal not in ("minimize", "maximize"):
            raise ValueError(f"goal must be 'minimize' or 'maximize', but got {goal!r}.")
        self._metric = metric
        self._metric_sign = 1.0 if goal == "minimize" else -1.0
        self._training_rank: Rank | None = None
        self._training: _Judged | None = None
        self._substitute: _Judged | None = None
        self._non_finite: dict[str, Streak] = {}
        self._last_step: int | None = None
        self._lost: Verdict | None = None
        self._fatal_since: int | None = None

    @property
    def judged(self) -> str | None:
        """The name of the series that decides; None before there is one."""
        judged = self._training or self._substitute
        return judged.name if judged else None

    @property
    def sign(self) -> float:
        """-1.0 where the series that decides is maximised, else 1.0."""
        judged = self._training or self._substitute
        return judged.sign if judged else 1.0

    @property
    def has_fallen(self) -> bool:
        """True once the series that decides has come down by a fifth of its first value."""
        judged = self._training or self._substitute
        return judged is not None and judged.fell_by >= FALLEN

    @property
    def is_rising(self) -> bool:
        """True while the series that decides is rising; see the fourth of the rules."""
        judged = self._training or self._substitute
        return judged is not None and judged.is_rising

    def spare(self) -> None:
        """Go on judging a run that was found lost, because somebody decided that it lives."""
        self._lost = None

    def update(self, step: int, metrics: Mapping[str, float]) -> Verdict:
        """Take in one report and say what should happen to the run.

        A warning is given once for each onset: when its condition has held for long enough, and
        not again until it has ceased and come back.

        Args:
            step: the step or epoch of the report.
            metrics: reported names and values, NaN and infinities among them. Values that are no
                numbers are passed over.
        """
        if self._lost is not None:
            return self._lost
        values = numbers_in(metrics)
        self._choose(values)
        verdicts = [self._judge(step, values), *self._watch(step, values)]
        self._last_step = step
        for verdict in verdicts:
            if verdict.action == "stop":
                self._lost = verdict
                return verdict
        return _together([verdict for verdict in verdicts if verdict.action == "warn"])

    def _choose(self, values: Mapping[str, float]) -> None:
        """Settle which series decides; a better name that turns up later takes over."""
        found = best_training_name(values)
        if found is not None and (self._training_rank is None or found[0] < self._training_rank):
            self._training_rank = found[0]
            self._training = _Judged(found[1], 1.0)
            self._substitute = None
        if self._training is not None:
            return
        current = self._substitute.name if self._substitute else None
        if self._metric is not None and self._metric in values:
            if current != self._metric:
                self._substitute = _Judged(self._metric, self._metric_sign)
        elif current is None:
            losses = sorted(name for name in values if is_validation_loss(name))
            if losses:
                self._substitute = _Judged(losses[0], 1.0)

    def _judge(self, step: int, values: Mapping[str, float]) -> Verdict:
        """Judge the deciding series where this report holds it."""
        judged = self._training or self._substitute
        if judged is None or judged.name not in values:
            return CONTINUE
        value = values[judged.name]
        if math.isfinite(value):
            self._fatal_since = None
            return judged.update(step, value)
        if judged is not self._training:
            return CONTINUE
        self._fatal_since = step if self._fatal_since is None else self._fatal_since
        reason = lost_levels.fatal_value(judged.name, value, self._fatal_since)
        return Verdict("stop", "non-finite", self._fatal_since, reason)

    def _watch(self, step: int, values: Mapping[str, float]) -> Iterator[Verdict]:
        """Watch the metric, validation values and further losses for non-finite values."""
        for name, value in values.items():
            if math.isfinite(value):
                self._non_finite.pop(name, None)
                continue
            if self._training is not None and name == self._training.name:
                continue
            if not self._is_watched(name):
                continue
            streak = self._non_finite.setdefault(name, Streak())
            if step != self._last_step or not streak.count:
                streak.feed(True, step)
                yield self._weigh(name, value, streak)

    def _is_watched(self, name: str) -> bool:
        return name == self._metric or is_validation(name) or training_rank(name) is not None

    def _weigh(self, name: str, value: float, streak: Streak) -> Verdict:
        """Say whether a non-finite value that is no training loss has lasted too long."""
        since = streak.since if streak.since is not None else 0
        if self._substitute is not None and name == self._substitute.name:
            allowed = LONGEST_TRANSIENT + 1 if is_validation(name) else LASTING_METRIC
            if streak.count >= allowed:
                reason = lost_levels.lasting_value(name, value, since, streak.count)
                return Verdict("stop", "non-finite", since, reason)
        if streak.count > 1:
            return CONTINUE
        return Verdict("warn", "non-finite", since, lost_levels.passing_value(name, value, since))


def numbers_in(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what of a report are numbers, as floats."""
    return {
        name: float(value)
        for name, value in metrics.items()
        # Nearly all are floats, which this tells fastest.
        if type(value) is float or (isinstance(value, int | float) and type(value) is not bool)
    }


def _together(warnings: list[Verdict]) -> Verdict:
    """Return the warnings of one report as one; the first gives symptom and onset."""
    if not warnings:
        return CONTINUE
    reason = "; ".join(warning.reason for warning in warnings)
    first = warnings[0]
    return Verdict("warn", first.symptom, first.onset, reason, first.numbers)
