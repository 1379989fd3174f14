"""Measure one run: recompute its metrics from its arrays, or find out why that is impossible."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.logged import Rule, configured_schedule, is_metric, logged_by
from orchestrator.analysis.measure.row import FACTS, NO_SWEEP, Incomplete, Lineage, Row
from orchestrator.analysis.measure.targets import judge, parse_bound, tier_of
from orchestrator.divergence.schedule import learning_rates
from orchestrator.files.series_names import SPLITS
from orchestrator.metrics import (
    ArrayProblem,
    evaluate,
    goal,
    kind_names,
    own_values,
    resolve_kind,
)
from orchestrator.runs import TrialRecord, TrialState
from orchestrator.runs.foreign import ROLES, metadata as foreign
from orchestrator.runs.read import StoredRun, SweepInfo, open_run

Reader = Callable[
    [StoredRun, "str | None", "Mapping[str, Any] | None", Rule], "Reading | Incomplete"
]
"""Called as `read`."""

_SPLIT_NAMES = {"val": "validation", "train": "training"}


@dataclass(frozen=True)
class Evaluation:
    """The metrics recomputed from the arrays of one run.

    Attributes:
        metrics: bare names from the test arrays (``mae``, ``t20_mae``), ``val_`` names from the
            validation arrays and ``train_`` names from the training arrays.
        problems: what could not be computed although the test arrays are good: unusable
            validation arrays, metrics of a kind that the arrays do not fit.
    """

    metrics: Mapping[str, float]
    kind: str | None = None
    problems: tuple[str, ...] = ()


def evaluate_run(path: Path) -> dict[str, float]:
    """Return the recomputed metrics of the run folder `path`; see `evaluation_of`."""
    return dict(evaluation_of(open_run(path)).metrics)


def evaluation_of(
    run: StoredRun, *, kind: str | None = None, data: Mapping[str, Any] | None = None
) -> Evaluation:
    """Recompute the metrics of a run.

    Args:
        run: of ours or of another tool.
        kind: of the arrays if the run does not state it, as ``"decay_curve"``.
        data: more about them, as ``{"rate_hz": 48000}``; what the run states is stronger.

    Raises:
        ArrayProblem: the test arrays are missing or unreadable, their shapes differ, they have
            values that are not finite, or are sequences of a kind that has no metrics for them.
    """
    known = run.data
    declared = known.get("kind")
    problems = []
    if declared is not None and declared not in (*kind_names(), "regression"):
        problems.append(f"its arrays are of the kind '{declared}', which has no metrics here")
    kind = kind if declared is None else declared
    places = run.places
    splits = [split for split in SPLITS if any((split, role) in places for role in ROLES)]
    metrics: dict[str, float] = {}
    for split in splits or ["test"]:
        prefix = "" if split == "test" else f"{split}_"
        try:
            found = _evaluate_pair(run, split, kind, {**(data or {}), **known}, problems)
        except ArrayProblem as error:
            # Next to good test arrays, problems of the others are only worth a warning.
            if split == "test" or len(splits) == 1:
                raise
            problems.append(f"{_SPLIT_NAMES[split]} arrays: {error}")
        else:
            metrics.update({f"{prefix}{name}": value for name, value in found.items()})
    return Evaluation(metrics, kind, tuple(dict.fromkeys(problems)))


def _evaluate_pair(
    run: StoredRun, split: str, kind: str | None, data: Mapping[str, Any], problems: list[str]
) -> dict[str, float]:
    predictions, targets = run.load_pair(split)
    own, failed = own_values(predictions, targets, data)
    problems += failed
    try:
        found = evaluate(kind, predictions, targets, data)
    except ArrayProblem as error:
        is_sequences = isinstance(predictions, list) or isinstance(targets, list)
        if is_sequences and not own:
            raise
        # The pair is good and only the kind does not fit, as for a decay curve of one dimension.
        # It can still be ranked by its errors.
        problems.append(str(error))
        found = {} if is_sequences else evaluate(None, predictions, targets, data)
    return {**found, **own}


@dataclass(frozen=True)
class Reading:
    """What the files of a run hold, measured, in JSON types; as in `Row`."""

    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    kind: str | None
    data: Mapping[str, Any]
    warnings: tuple[str, ...]
    logged: Mapping[str, float]
    steps: Mapping[str, int]
    facts: Mapping[str, float]
    rates: Mapping[str, float]


def read(
    run: StoredRun, kind: str | None, data: Mapping[str, Any] | None, rule: Rule
) -> Reading | Incomplete:
    """Read and measure the files of a run; arguments as of `measure`."""
    sweep, record, manifest = run.sweep, run.record, run.manifest
    lineage = Lineage.of(record)
    sweep_name = sweep.name if sweep is not None else None
    # A script that saves no arrays at all misses none.
    has_none = sweep is not None and sweep.is_program and not run.places
    missing = () if has_none else tuple(run.missing)
    without = Incomplete(run.path, missing, None, sweep_name, run.name, run.state, lineage)
    evaluation = Evaluation({})
    info = sweep or NO_SWEEP
    own_goals = {info.metric: info.goal, **dict([info.second] if info.second else [])}
    found = logged_by(replace(rule, goals={**own_goals, **rule.goals}), run)
    logged = {name: value for name, (_, value) in found.items()}
    if record is not None and record.value is not None and rule.at in ("best", "last"):
        logged = {**foreign.numbers({info.metric: record.value}), **logged}
    warnings = list(run.warnings)
    if _is_whole_without_arrays(run, logged):
        if run.data:
            warnings.append(f"{' and '.join(run.missing)} are missing: ranked by what it logged")
    else:
        if run.missing or run.log is not None:
            return replace(without, problem=_why_missing(run))
        try:
            if manifest is not None and manifest.metrics is not None:
                kind = resolve_kind(manifest.metrics, where=f"{manifest.path}: metrics")
            if manifest is not None and manifest.rate_hz is not None:
                data = {**(data or {}), "rate_hz": manifest.rate_hz}
            evaluation = evaluation_of(run, kind=kind, data=data)
        except ArrayProblem as error:
            return replace(without, problem=str(error))
    return Reading(
        config=run.config,
        metrics=evaluation.metrics,
        kind=evaluation.kind,
        data={**(data or {}), **run.data},
        warnings=tuple(dict.fromkeys([*warnings, *evaluation.problems])),
        logged=logged,
        steps={name: step for name, (step, _) in found.items() if step is not None},
        facts=run_facts(run, record),
        rates=_rates(run) if run.is_ours else {},
    )


def measure(
    run: StoredRun,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
    rule: Rule | None = None,
    *,
    reader: Reader = read,
) -> Row | Incomplete:
    """Return the row of a run with its metrics recomputed, or why there can be none.

    `kind` and `data` are as for `evaluation_of`; `rule` chooses among logged values.
    """
    found = reader(run, kind, data, rule or Rule())
    if isinstance(found, Incomplete):
        return found
    sweep, record, manifest = run.sweep, run.record, run.manifest
    info = sweep or NO_SWEEP
    values = {**found.logged, **found.metrics}
    knows_split = (
        (sweep is not None and not sweep.is_program)
        or any(split == "val" for split, _ in run.places)
        or (manifest is not None and bool(manifest.arrays))
    )
    return Row(
        trial=run.name,
        path=run.path,
        sweep=sweep.name if sweep is not None else None,
        state=run.state,
        targets=judge(info.targets, values),
        split="test" if knows_split else "unknown",
        info=info,
        lineage=Lineage.of(record),
        expected=judge(_expected(info, record), values, run.report_at),
        tier=tier_of(info.tiers, values),
        run=run,
        **vars(found),
    )


def _expected(info: SweepInfo, record: TrialRecord | None) -> dict[str, str]:
    """Return the milestones of a sweep, and the bounds that the file expects of this trial."""
    own = record.note.get("expect") if record is not None else None
    texts = own if isinstance(own, dict) else {}
    bounds = {str(name): _bound_of(str(name), text, info) for name, text in texts.items()}
    return {**info.expect, **{name: text for name, text in bounds.items() if parse_bound(text)}}


def _bound_of(name: str, expected: Any, info: SweepInfo) -> str:
    """Return a bound as text; of a number, that the metric is at least as good."""
    if isinstance(expected, bool) or not isinstance(expected, int | float):
        return str(expected)
    way = info.goal if name == info.metric else goal(name)
    return f"{'>=' if way == 'maximize' else '<='} {expected:g}"


def run_facts(run: StoredRun, record: TrialRecord | None) -> dict[str, float]:
    """Return what is known of how a run went, as in `FACTS`."""
    about, steps = {**run.logged_facts, **run.metadata}, [step for step, _ in run.curve]
    done = about.get("epochs_done") or (max(steps) if steps else None)
    duration, per_step = (
        about.get("duration_s", about.get("duration")),
        about.get("seconds_per_epoch"),
    )
    if per_step is None and isinstance(duration, int | float) and isinstance(done, int) and done:
        per_step = duration / done
    peak = about.get("peak_gpu_memory_mib") or about.get("peak_memory_mib")
    if record is not None:
        peak = record.need.get("peak_mib") or peak
    known = dict(
        zip(FACTS, (done, None, duration, per_step, about.get("parameters"), peak), strict=True)
    )
    return {name: value for name, value in foreign.numbers(known).items() if math.isfinite(value)}


def _rates(run: StoredRun) -> dict[str, float]:
    steps = run.record.total_steps if run.record is not None else None
    return learning_rates(run.reports, configured_schedule(run, run.sweep, steps), steps)


def _is_whole_without_arrays(run: StoredRun, logged: Mapping[str, float]) -> bool:
    """Return whether a run that saved no arrays ended well and has a metric."""
    if any(role in ROLES for _, role in run.places) or run.error is not None:
        return False
    ended_well = run.state is TrialState.COMPLETE if run.is_ours else True
    return ended_well and any(map(is_metric, logged))


def _why_missing(run: StoredRun) -> str | None:
    if run.error is not None:
        return run.error
    others = foreign.other_formats(run.files)
    if others:
        return f"only .npy arrays are read, not {', '.join(others)}"
    if run.state == "COMPLETE":
        # A script need not save arrays, but then it has to report metrics.
        if run.sweep is not None and run.sweep.is_program and not run.places:
            return (
                "COMPLETE, but no metric was found: nothing was reported, no line of the output or "
                "file that metrics names has one, and no arrays were saved"
            )
        return "COMPLETE, but without its arrays"
    if run.state is not None:
        # The first line of the reason names the failure; the others are the end of its log.
        return f"{run.state}: {run.reason.splitlines()[0]}" if run.reason else str(run.state)
    if run.sweep is not None:
        return "state.json is missing or cannot be read"
    if not run.files:
        return "the folder is empty"
    return "; ".join(run.warnings) or None
