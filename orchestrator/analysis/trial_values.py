"""What is known of a trial, by the names that conditions use, and whether a sweep is a success.

::

    known = facts_of(record, run, spec.metrics)
    evaluate(parse("stable and val_mae <= 0.02"), known.values, at=known.at)

All conditions on trials use it: promotion, gates, success, remedies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis.measure.logged import Rule, logged_by
from orchestrator.analysis.measure.measuring import evaluation_of
from orchestrator.divergence import Watch
from orchestrator.metrics import ArrayProblem
from orchestrator.runs import RunDir, SweepDir, TrialRecord, TrialState
from orchestrator.runs.foreign import metadata as foreign
from orchestrator.runs.read import StoredRun, open_run, value_at
from orchestrator.sweepfile.conditions import (
    WORDS,
    Among,
    Condition,
    evaluate,
    gap,
    names,
    parse,
    shortfall,
)
from orchestrator.sweepfile.model import MetricGoal

UNSTABLE = ("explosion", "lost progress", "rising", "oscillation")
"""Symptoms that make a curve unstable, as does a training loss that is not finite."""

_MOST_NAMED = 3  # trials in a verdict

Reports = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True)
class Facts:
    """What is known of one trial.

    Attributes:
        values: parameters, metrics and the words ``stable``, ``improving`` and ``complete``, by
            name, as far as they are known.
        reports: of its last attempt.
    """

    values: Mapping[str, Any]
    reports: Reports = ()

    def at(self, metric: str, step: int) -> float | None:
        """Return what was reported of a metric at a step; the last value if it was repeated."""
        return value_at(self.reports, metric, step)

    def hold(self, condition: Condition) -> bool | None:
        """Return whether a condition about one trial holds; None if that is not known."""
        return evaluate(condition, self.values, at=self.at)


def facts_of(record: TrialRecord, run: RunDir, metrics: Sequence[MetricGoal] = ()) -> Facts:
    """Return what is known of a trial; `metrics` are the sweep's, the one that ranks first.

    Of values with the same name the later is stronger: parameters (with defaults if its program
    reported its whole config), logged metrics by the rule of the table (of each the best report),
    those recomputed from saved arrays (``test_mae``, also as ``mae``, and ``val_mae``), the sweep's
    metric as it ranks the trial, what `jumps` returns, and the words ``complete`` (it ended well),
    ``stable`` (it did not fail, and its curve shows none of `UNSTABLE`) and ``improving`` (see
    `is_improving`).
    """
    stored = open_run(run.path, record)
    built = stored.metadata.get("config")
    values: dict[str, Any] = {
        **(foreign.flatten(built) if isinstance(built, Mapping) else {}),
        **foreign.flatten(record.config),
        **record.config,
    }
    rule = Rule(goals={metric.name: metric.goal for metric in metrics})
    values |= {name: value for name, (_, value) in logged_by(rule, stored).items()}
    values |= jumps(stored.reports)
    if ("test", "predictions") in stored.places:
        values |= _recomputed(stored)
    metric = metrics[0] if metrics else None
    if metric is not None and record.value is not None:
        values[metric.name] = record.value
    values["complete"] = record.state is TrialState.COMPLETE
    return Facts(values | _curve_words(record, stored.reports, metric), stored.reports)


def _recomputed(run: StoredRun) -> dict[str, float]:
    try:
        found = dict(evaluation_of(run).metrics)
    except ArrayProblem:
        return {}
    # Tables show roots only, but conditions may use squares.
    found |= {
        f"{name.removesuffix('rmse')}mse": value * value
        for name, value in found.items()
        if name.rpartition("_")[2] == "rmse"
    }
    of_splits = ("val_", "train_", "test_")
    tests = {
        f"test_{name}": value for name, value in found.items() if not name.startswith(of_splits)
    }
    return {**tests, **found}


def _curve_words(
    record: TrialRecord, reports: Reports, metric: MetricGoal | None
) -> dict[str, bool]:
    """Return ``stable`` and ``improving``, as far as the reports show it."""
    if not reports:
        return {}
    name, goal = (metric.name, metric.goal) if metric is not None else (None, "minimize")
    watch = Watch(name, goal)
    verdicts = [
        verdict
        for step, metrics in reports
        for verdict in watch.update(step, metrics, loss_can_fall=True)
    ]
    is_unstable = any(
        verdict.symptom in UNSTABLE or (verdict.stops and verdict.symptom == "non-finite")
        for verdict in verdicts
    )
    words = {"stable": record.state is not TrialState.FAIL and not is_unstable}
    for judged in (name, watch.judged):
        series = [metrics[judged] for _, metrics in reports if judged in metrics] if judged else []
        if len(series) > 1:
            words["improving"] = is_improving(series, goal if judged == name else "minimize")
            break
    return words


def jumps(reports: Reports) -> dict[str, float]:
    """Return ``jump.METRIC`` of each: its largest rise from one report to the next.

    It is a fraction of the size of the value before it, and 0 if the metric never rose.
    """
    found: dict[str, float] = {}
    last: dict[str, float] = {}
    for _, metrics in reports:
        for name, value in metrics.items():
            before = last.get(name)
            last[name] = value
            if before is None or not math.isfinite(before):
                continue
            rise = (value - before) / abs(before) if before else math.copysign(math.inf, value)
            key = f"jump.{name}"
            found[key] = max(found.get(key, 0.0), rise if value != before else 0.0)
    return found


def is_improving(series: Sequence[float], goal: str) -> bool:
    """Return whether a series still got better at its end.

    Its best value must be in the last quarter of its reports, and better than the best before by
    a hundredth of all progress since the first report. Values that are not finite are no progress.
    """
    sign = 1.0 if goal == "minimize" else -1.0
    oriented = [sign * value if math.isfinite(value) else math.inf for value in series]
    last = max(1, len(oriented) // 4)
    before, end = min(oriented[:-last], default=math.inf), min(oriented[-last:], default=math.inf)
    if not math.isfinite(end) or not math.isfinite(before):
        return False
    first = next(value for value in oriented if math.isfinite(value))
    return end < before - 0.01 * max(0.0, first - end)


def joint_facts(many: Sequence[Facts]) -> Facts:
    """Return what is known of a config that ran with one seed or more.

    A number is the mean over those that ended well and know it, a word holds if it does for
    every one, and what is the same for all stays; the rest is not known.
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
    for step, metrics in (report for facts in complete for report in facts.reports):
        for name, value in metrics.items():
            steps.setdefault(step, {}).setdefault(name, []).append(value)
    reports = [
        (step, {name: sum(found) / len(found) for name, found in metrics.items()})
        for step, metrics in sorted(steps.items())
    ]
    return Facts(values, reports)


@dataclass(frozen=True)
class Success:
    """The verdict on the ``success`` of a sweep.

    Attributes:
        met: whether every condition holds.
        conditions: each as it is in the file, whether it holds (None if not known, because no
            trial has a value that it needs), and what is missing, or "".
    """

    met: bool
    conditions: tuple[tuple[str, bool | None, str], ...]

    @property
    def words(self) -> str:
        """The verdict as text."""
        shown = {True: "holds", False: "does not hold", None: "is not known"}
        parts = [
            f"{text} {shown[holds]}{f' ({missing})' if missing else ''}"
            for text, holds, missing in self.conditions
        ]
        return f"success: {'met' if self.met else 'missed'}; {'; '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict in JSON types."""
        conditions = [{"condition": text, "holds": holds} for text, holds, _ in self.conditions]
        return {"met": self.met, "conditions": conditions, "words": self.words}


def judge_success(
    conditions: Sequence[str],
    sweep: SweepDir,
    records: Sequence[TrialRecord],
    metrics: Sequence[MetricGoal],
) -> Success:
    """Return the verdict over all trials of a sweep; the first of its `metrics` ranks them.

    A condition without ``any`` or ``all`` is about the best trial by the sweep's metric.
    """
    known = [
        (record.name, facts_of(record, sweep.run_dir(record.number, record.name), metrics))
        for record in records
    ]
    best = _best([facts for _, facts in known], metrics[0] if metrics else None)
    judged: list[tuple[str, bool | None, str]] = []
    for text in conditions:
        condition = parse(text)
        # The grammar looks for a metric at a step among the values of each of many trials.
        steps = [(name.name, name.step) for name in names(condition) if name.step is not None]
        many = []
        for _, facts in known:
            reported = {f"{name}@{step}": facts.at(name, step) for name, step in steps}
            found = {name: value for name, value in reported.items() if value is not None}
            many.append({**facts.values, **found})
        holds = evaluate(condition, best.values, at=best.at, many=many)
        if holds is None and isinstance(condition, Among) and condition.word == "any":
            # A trial that has ended without a value will never meet it.
            is_known = any(facts.hold(condition.part) is not None for _, facts in known)
            holds = False if is_known else None
        judged.append((text, holds, "" if holds else _missing(condition, known)))
    return Success(all(holds is True for _, holds, _ in judged), tuple(judged))


def _missing(condition: Condition, known: Sequence[tuple[str, Facts]]) -> str:
    """Return what keeps an ``any`` or ``all`` from holding; "" if that is not known."""
    if not isinstance(condition, Among):
        return ""
    part = condition.part
    if condition.word == "all":
        without = [name for name, facts in known if facts.hold(part) is not True]
        more = f" and {len(without) - _MOST_NAMED} more" if len(without) > _MOST_NAMED else ""
        return f"missed by {', '.join(without[:_MOST_NAMED])}{more}"
    gaps = [(gap(part, facts.values, facts.at), place) for place, (_, facts) in enumerate(known)]
    least = min(((off, place) for off, place in gaps if off is not None), default=None)
    if least is None:
        return ""
    name, facts = known[least[1]]
    return f"nearest is {name}: {shortfall(part, facts.values, facts.at)}"


def _best(known: Sequence[Facts], metric: MetricGoal | None) -> Facts:
    if metric is None:
        return Facts({})
    sign = 1.0 if metric.goal == "minimize" else -1.0

    def rank(facts: Facts) -> float:
        value = facts.values.get(metric.name)
        is_known = isinstance(value, int | float) and math.isfinite(value)
        return sign * float(value or 0.0) if is_known else math.inf

    complete = (facts for facts in known if facts.values["complete"])
    return min(complete, key=rank, default=Facts({}))
