"""W&B's ``early_terminate`` while trials run: who is stopped at which band.

::

    bands = Bands(rule, metric, sweep, records)
    reason = bands.should_stop(record, step, value)   # at every report of the metric

The judge asks it where it asks the pruner; a file has one of the two. Steps are counted by finite
reports, as W&B counts them, whatever their numbers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, read_reports
from orchestrator.runs.records import TrialState as RecordState
from orchestrator.sweepfile.bands import should_stop
from orchestrator.sweepfile.model.spec import EarlyTerminate, MetricGoal


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
