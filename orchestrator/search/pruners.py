"""Stop trials that cannot win: Optuna's pruners, and W&B's ``early_terminate``.

Both judge the metric of the sweep. They are blind to divergence, which has a rule of its own. A
file has one of the two, and the judge asks it at every report of the metric.
"""

from __future__ import annotations

import inspect
import math
import pkgutil
import statistics
import sys
import warnings
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from orchestrator.errors import UsageError, nearest
from orchestrator.runs import SweepDir, TrialRecord, TrialState as RecordState, read_reports
from orchestrator.sweepfile import should_stop
from orchestrator.sweepfile.model import EarlyTerminate, MetricGoal
from orchestrator.sweepfile.space import PRUNERS, PrunerRecord


def make_pruner(name: str, options: Mapping[str, Any] | None = None) -> BasePruner:
    """Return the Optuna pruner of the record with this name, or of a class ``module:Class``.

    Raises:
        UsageError: there is no such class, or it does not accept the options.
    """
    record = PrunerRecord.of(name)
    if record is None:
        hint = nearest(name, PRUNERS) or f" Choices: {', '.join(PRUNERS)}."
        raise UsageError(f"pruner: unknown pruner {name!r}.{hint}")
    chosen = {**record.defaults, **(options or {})}
    inner = chosen.get("wrapped_pruner")
    if isinstance(inner, str):
        chosen["wrapped_pruner"] = make_pruner(inner)
    elif isinstance(inner, Mapping):
        rest = {key: value for key, value in inner.items() if key not in ("name", "options")}
        chosen["wrapped_pruner"] = make_pruner(inner["name"], {**rest, **inner.get("options", {})})
    pruner: BasePruner = made_from(record.optuna, "pruner", chosen, BasePruner)
    return pruner


def made_from(path: str, key: str, options: Mapping[str, Any], kind: Any) -> Any:
    """Return an object of the class ``module:Class`` that a file names, which must be a `kind`.

    Raises:
        UsageError: there is no such class, or it does not accept the options.
    """
    try:
        with warnings.catch_warnings():
            # That Optuna may change a class one day does not concern the user of a sweep.
            warnings.simplefilter("ignore", ExperimentalWarning)
            named = pkgutil.resolve_name(path)
            made = named(**options) if isinstance(named, type) else None
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{key}: no class {path!r} can be imported ({error}).") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{key}: {path} does not accept the options: {error}") from None
    except Exception as error:  # whatever a class of the user's own raises is its own mistake
        raise UsageError(f"{key}: {path} fails: {type(error).__name__}: {error}.") from error
    if not isinstance(made, kind):
        raise UsageError(f"{key}: {path} is no class of Optuna's kind {kind.__name__}.")
    return made


def find_in(folder: Path, *classes: str) -> None:
    """Let a class ``module:Class`` be imported from the folder of its sweep file too."""
    if any(":" in name for name in classes) and str(folder) not in sys.path:
        sys.path.append(str(folder))


def prunes(name: str, trial: Trial) -> bool:
    """Return whether a pruner stops a trial now.

    Raises:
        UsageError: it fails.
    """
    try:
        return trial.should_prune()
    except Exception as error:
        if name in PRUNERS:
            raise
        raise UsageError(f"pruner: {name} fails: {type(error).__name__}: {error}.") from error


def reason(
    name: str, study: Study, trial: FrozenTrial, metric: str, options: Mapping[str, Any]
) -> str:
    """Return why a pruner stopped `trial`, in the text of its record.

    The text may use ``metric``, its ``value`` at the last ``step``, the ``best`` value so far, the
    ``median`` of the complete ``trials`` that reported at that step, and the pruner's arguments.
    """
    step, values = trial.last_step, trial.intermediate_values
    best = min if study.direction == StudyDirection.MINIMIZE else max
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    reports = (other.intermediate_values.get(step) for other in complete if step is not None)
    others = [value for value in reports if value is not None]
    record = PrunerRecord.of(name) or PrunerRecord(name)
    arguments: dict[str, Any] = {}
    if name in PRUNERS:  # the text for a class of the user's own names none of its arguments
        signature = inspect.signature(pkgutil.resolve_name(record.optuna)).parameters
        arguments = {key: parameter.default for key, parameter in signature.items()}
        arguments |= {**record.defaults, **options}
    known = {
        "metric": metric,
        "step": step,
        "value": f"{values.get(step, math.nan) if step is not None else math.nan:.4g}",
        "best": f"{best(values.values(), default=math.nan):.4g}",
        "median": f"{statistics.median(others) if others else math.nan:.4g}",
        "trials": f"{len(others)} trials" if len(others) != 1 else "1 trial",
    }
    return f"{name} pruner: {record.reason.format_map(arguments | known)}"


def is_pruners(reason: str) -> bool:
    """Return whether a reason is a pruner's: the trial could not win, but was not lost."""
    head = reason.partition(": ")[0]
    return head == "early_terminate" or head.endswith(" pruner")


class Bands:
    """W&B's ``early_terminate``: compare each trial with all that have come as far.

    Steps are counted by finite reports, as W&B counts them, whatever their numbers. The reports of
    trials that ran before this driver, and those of an earlier attempt that is continued, are read
    from their logs. Trials of other stages have other budgets and are not compared. Of a config
    that runs with several seeds only the first replicate is judged and compared, for all of them.

    `records` are all trials by number: the driver's own mapping, which grows.
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
        """Process one report and return why the trial is stopped; None if it continues.

        A value that is not finite does not count as a report.
        """
        if record.replicate > 0:
            return None
        if not self._is_read:
            self._read_others()
        number, attempt = record.number, record.attempt
        known, last = self._attempts.get(number, (-1, -1))
        if known != attempt:
            # What an attempt continues from is in its log; one from scratch has a new log.
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
        self._is_read = True
        for number, record in self._records.items():
            # A waiting trial is judged again, with the reports that it continues from.
            has_run = record.state is not RecordState.WAITING and record.replicate == 0
            if has_run and number not in self._values:
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
