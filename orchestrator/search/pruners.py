"""Who stops trials that cannot win: Optuna's pruners with our defaults, and their reasons in words.

========== ==================================================================================
name       what it does
========== ==================================================================================
none       stops nothing
median     stops a trial whose best value so far is worse than the median, at the same step, of
           the trials that are complete; from the fifth complete trial on
hyperband  successive halving in brackets: at steps 1, 3, 9, … of its bracket a trial must be
           among the best third; once a first trial is complete, whose last step is taken for
           the length of all
========== ==================================================================================

Both judge the metric of the sweep. They are blind to divergence, which has a rule of its own.

W&B's ``early_terminate`` while trials run: who is stopped at which band.

::

    bands = Bands(rule, metric, sweep, records)
    reason = bands.should_stop(record, step, value)   # at every report of the metric

The judge asks it where it asks the pruner; a file has one of the two. Steps are counted by finite
reports, as W&B counts them, whatever their numbers.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from array import array
from collections.abc import Mapping

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from orchestrator.errors import UsageError, nearest
from orchestrator.runs import SweepDir, TrialRecord, TrialState as RecordState, read_reports
from orchestrator.sweepfile import should_stop
from orchestrator.sweepfile.model import EarlyTerminate, MetricGoal

MEDIAN_STARTUP_TRIALS = 5
HYPERBAND_MIN_STEP = 1
HYPERBAND_REDUCTION = 3


class NamedPruner(ABC):
    """One pruner that a spec can name.

    Attributes:
        name: as in the spec.
    """

    name: str

    @abstractmethod
    def make(self) -> BasePruner:
        """Return the Optuna pruner."""

    @abstractmethod
    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word why `trial`, which the pruner has just refused, is stopped."""


class NonePruner(NamedPruner):
    """Stops nothing."""

    name = "none"

    def make(self) -> BasePruner:
        """Return the Optuna pruner."""
        return NopPruner()

    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word a refusal, which never comes."""
        raise AssertionError("the pruner 'none' refuses no trial")


class MedianNamedPruner(NamedPruner):
    """Stops what is worse than the median of the complete trials at the same step."""

    name = "median"

    def make(self) -> BasePruner:
        """Return the Optuna pruner."""
        return MedianPruner(n_startup_trials=MEDIAN_STARTUP_TRIALS)

    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word the median, and of how many trials it is."""
        step = trial.last_step
        values = list(trial.intermediate_values.values())
        best = min(values) if study.direction == StudyDirection.MINIMIZE else max(values)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        others = [
            other.intermediate_values[step]
            for other in complete
            if step is not None and step in other.intermediate_values
        ]
        of = f"{len(others)} trials" if len(others) != 1 else "1 trial"
        return (
            f"median pruner: {metric} {best:.4g}, the best up to step {step}, "
            f"is worse than the median {statistics.median(others):.4g} of {of} at that step"
        )


class HyperbandNamedPruner(NamedPruner):
    """Stops, at growing steps, all but the best third of each bracket."""

    name = "hyperband"

    def make(self) -> BasePruner:
        """Return the Optuna pruner."""
        return HyperbandPruner(
            min_resource=HYPERBAND_MIN_STEP, reduction_factor=HYPERBAND_REDUCTION
        )

    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word the step and the part that goes on."""
        step = trial.last_step
        value = math.nan if step is None else trial.intermediate_values[step]
        return (
            f"hyperband pruner: {metric} {value:.4g} at step {step} is not among the best "
            f"1/{HYPERBAND_REDUCTION} of the trials of its bracket that came this far"
        )


_BY_NAME: dict[str, type[NamedPruner]] = {
    pruner.name: pruner for pruner in (NonePruner, MedianNamedPruner, HyperbandNamedPruner)
}
PRUNERS = tuple(_BY_NAME)
_WORDS = (*(f"{name} pruner" for name in PRUNERS), "early_terminate")


def named_pruner(name: str) -> NamedPruner:
    """Return the pruner that a spec calls `name`.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in _BY_NAME:
        raise UsageError(
            f"pruner: must be one of {', '.join(PRUNERS)}, but got {name!r}."
            f"{nearest(name, PRUNERS)}"
        )
    return _BY_NAME[name]()


def is_pruners(reason: str) -> bool:
    """Tell whether a reason is a pruner's: what it stopped could not win, but was not lost."""
    return reason.startswith(tuple(f"{word}:" for word in _WORDS))


class Bands:
    """Holds each trial against all that have come as far.

    The reports of trials that ran before this driver, and those of an earlier attempt that is
    gone on with, are read from their logs. Trials of other stages have other budgets, and are not
    compared. Of a config that runs with several seeds the first replicate alone is judged and
    held against: what it decides, it decides for the config.

    Args:
        rule: W&B's rule.
        metric: what is compared; its name is looked for in the logs.
        sweep: the folder that holds the logs.
        records: all trials by number; the driver's own mapping, which grows.
    """

    def __init__(
        self,
        rule: EarlyTerminate,
        metric: MetricGoal,
        sweep: SweepDir,
        records: Mapping[int, TrialRecord],
    ) -> None:
        self._rule = rule
        self._metric = metric
        self._sweep = sweep
        self._records = records
        self._values: dict[int, array[float]] = {}
        self._attempts: dict[int, tuple[int, int]] = {}
        self._is_read = False

    def should_stop(self, record: TrialRecord, step: int, value: float) -> str | None:
        """Take in one report of the metric and return why the trial is stopped, if it is.

        Args:
            record: of the trial that reports.
            step: of the report.
            value: of the metric; what is not finite does not count as a report.

        Returns:
            The reason in words; None where the trial goes on.
        """
        if record.replicate > 0:
            return None
        self._read_others()
        number, attempt = record.number, record.attempt
        known, last = self._attempts.get(number, (-1, -1))
        if known != attempt:
            # What an attempt goes on with stands in its log; one that starts anew has a new log.
            self._values[number] = self._logged(record, step)
            last = -1
        if step <= last:
            return None
        self._attempts[number] = (attempt, step)
        if not math.isfinite(value):
            return None
        mine = self._values[number]
        mine.append(value)
        others = [
            values
            for other, values in self._values.items()
            if other != number and self._records[other].stage == record.stage
        ]
        stop = should_stop(self._rule, self._metric.goal, mine, others)
        if stop is None:
            return None
        rivals = sum(len(values) >= stop.band for values in (mine, *others))
        return (
            f"early_terminate: {self._metric.name} {stop.value:.4g} at band {stop.band} is worse "
            f"than {stop.threshold:.4g}, which the best 1/{self._rule.eta:g} of the {rivals} "
            "trials that came this far reach"
        )

    def _read_others(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        for number, record in self._records.items():
            # One that waits is judged again with what it goes on with.
            ran = record.state is not RecordState.WAITING and record.replicate == 0
            if ran and number not in self._values:
                self._values[number] = self._logged(record, None)

    def _logged(self, record: TrialRecord, before: int | None) -> array[float]:
        values = array("d")
        for step, metrics in read_reports(self._sweep.run_dir(record.number, record.name)):
            if before is not None and step >= before:
                break
            value = metrics.get(self._metric.name, math.nan)
            if math.isfinite(value):
                values.append(value)
        return values
