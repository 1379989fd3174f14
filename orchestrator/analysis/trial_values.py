"""What is known of a trial, by the names that conditions use.

::

    known = facts_of(record, run, spec.metric)
    evaluate(parse("stable and val_mae <= 0.02"), known.values, at=known.at)

One place for all who judge a trial by a condition: promotion, gates, success, remedies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.analysis.measure.measuring import evaluation_of
from orchestrator.analysis.measure.targets import square
from orchestrator.divergence import Watch
from orchestrator.metrics import ArrayProblem
from orchestrator.runs import RunDir, TrialRecord, TrialState
from orchestrator.runs.foreign import metadata as foreign
from orchestrator.runs.read import StoredRun, open_run, value_at
from orchestrator.sweepfile.conditions import WORDS, Condition, evaluate
from orchestrator.sweepfile.model import MetricGoal

UNSTABLE = ("explosion", "lost progress", "rising", "oscillation")
"""Symptoms without which a curve is stable, beside a training loss that is not finite."""

LAST_PART = 4
"""A series improves where its best value is in the last one of so many parts of its reports,"""

IMPROVES = 0.01
"""and is better than all before by this part of all progress."""

Reports = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True)
class Facts:
    """What is known of one trial.

    Attributes:
        values: parameters, metrics and the words ``stable``, ``improving`` and ``complete``, by
            name. What is not known is not there.
        reports: step and metrics of each report of its last attempt.
    """

    values: Mapping[str, Any]
    reports: Reports = field(default=())

    def at(self, metric: str, step: int) -> float | None:
        """Return what was reported of a metric at a step; the last value if it was repeated."""
        return value_at(self.reports, metric, step)

    def hold(self, condition: Condition) -> bool | None:
        """Return whether a condition about one trial holds; None if that is not known."""
        return evaluate(condition, self.values, at=self.at)


def facts_of(record: TrialRecord, run: RunDir, metric: MetricGoal | None = None) -> Facts:
    """Return what is known of a trial.

    ==================== ==========================================================================
    name                 value
    ==================== ==========================================================================
    a parameter          the trial's; where its program told its whole config, defaults too
    ``mae``, ``test_mae`` recomputed from the saved test arrays
    ``val_mae``          recomputed from the saved validation arrays
    the sweep's metric   the value that ranks the trial
    another metric       as it was logged last
    ``complete``         whether it has ended well
    ``stable``           whether its curve shows none of `UNSTABLE` and it did not fail
    ``improving``        whether it still got better at its end, see `is_improving`
    ==================== ==========================================================================

    A metric that is recomputed is stronger than one that was logged, and a metric than a parameter
    of the same name.

    Args:
        record: the trial.
        run: its run directory.
        metric: what ranks the sweep, or None.
    """
    stored = open_run(run.path, record)
    reports = stored.reports
    built = stored.metadata.get("config")
    values: dict[str, Any] = {
        **(foreign.flatten(built) if isinstance(built, Mapping) else {}),
        **foreign.flatten(record.config),
        **record.config,
        **stored.logged,
    }
    for _, metrics in reports:
        values |= metrics
    if ("test", "predictions") in stored.folder.places:
        values |= _recomputed(stored)
    if metric is not None and record.value is not None:
        values[metric.name] = record.value
    values["complete"] = record.state is TrialState.COMPLETE
    return Facts(values | _words(record, reports, metric), reports)


def _recomputed(run: StoredRun) -> dict[str, float]:
    try:
        found = dict(evaluation_of(run).metrics)
    except ArrayProblem:
        return {}
    # No table shows squares, as they say what their roots do; conditions may speak of them.
    found |= {
        f"{name.removesuffix('rmse')}mse": square(value)
        for name, value in found.items()
        if name.rpartition("_")[2] == "rmse"
    }
    tests = {
        f"test_{name}": value
        for name, value in found.items()
        if not name.startswith(("val_", "train_", "test_"))
    }
    return {**tests, **found}


def _words(record: TrialRecord, reports: Reports, metric: MetricGoal | None) -> dict[str, bool]:
    if not reports:
        return {}
    goal = metric.goal if metric is not None else "minimize"
    watch = Watch(metric.name if metric is not None else None, goal)
    is_stable = record.state is not TrialState.FAIL
    for step, metrics in reports:
        for verdict in watch.update(step, metrics, loss_can_fall=True):
            lost = verdict.stops and verdict.symptom == "non-finite"
            is_stable = is_stable and not lost and verdict.symptom not in UNSTABLE
    found = {"stable": is_stable}
    names = [metric.name] if metric is not None else []
    for name in [*names, *([watch.judged] if watch.judged is not None else [])]:
        series = [metrics[name] for _, metrics in reports if name in metrics]
        if len(series) > 1:
            way = goal if name in names else "minimize"
            found["improving"] = is_improving(series, way)
            break
    return found


def is_improving(series: Sequence[float], goal: str) -> bool:
    """Return whether a series still got better at its end.

    Its best value must be in the last quarter of its reports, and better than the best before by
    a hundredth of all progress since the first report.

    Args:
        series: reported values; those that are not finite count as no progress.
        goal: ``"minimize"`` or ``"maximize"``.
    """
    sign = 1.0 if goal == "minimize" else -1.0
    oriented = [sign * value if math.isfinite(value) else math.inf for value in series]
    last = max(1, len(oriented) // LAST_PART)
    before, end = min(oriented[:-last], default=math.inf), min(oriented[-last:], default=math.inf)
    if not math.isfinite(end):
        return False
    first = next((value for value in oriented if math.isfinite(value)), end)
    return end < before - IMPROVES * max(0.0, first - end) if math.isfinite(before) else False


def joint_facts(many: Sequence[Facts]) -> Facts:
    """Return what is known of a config that ran with several seeds.

    A number is the mean over those that ended well and know it, a word holds where it does for
    every one, and what is the same for all stays; the rest is not known.

    Args:
        many: of each seed, one at least.
    """
    if len(many) == 1:
        return many[0]
    complete = [facts for facts in many if facts.values.get("complete")] or list(many)
    values: dict[str, Any] = {}
    for name in dict.fromkeys(name for facts in complete for name in facts.values):
        if name in WORDS:
            known = [facts.values.get(name) for facts in many]
            if None not in known:
                values[name] = all(known)
            continue
        found = [facts.values[name] for facts in complete if name in facts.values]
        if len(found) < len(complete):
            continue
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
            values[name] = sum(found) / len(found)
        elif all(value == found[0] for value in found):
            values[name] = found[0]
    steps: dict[int, dict[str, list[float]]] = {}
    for facts in complete:
        for step, metrics in facts.reports:
            for name, value in metrics.items():
                steps.setdefault(step, {}).setdefault(name, []).append(value)
    reports = [
        (step, {name: sum(found) / len(found) for name, found in metrics.items()})
        for step, metrics in sorted(steps.items())
    ]
    return Facts(values, reports)
