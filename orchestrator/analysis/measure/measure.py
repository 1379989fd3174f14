"""One run folder read for a comparison: its metrics recomputed, or why that cannot be.

Which run folders are complete, what the others lack, and what could still be had from them.

The learning rates that a run reported: the first, the greatest and the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.evaluation import Evaluation, evaluate_folder
from orchestrator.analysis.measure.row import Incomplete, Lineage, Row
from orchestrator.analysis.measure.targets import judge, parse_bound, tier_of
from orchestrator.divergence.schedule import Rates
from orchestrator.divergence.series import is_rate
from orchestrator.metrics import ArrayProblem, resolve_kind
from orchestrator.runs import RunDir, TrialRecord, TrialState, read_reports
from orchestrator.runs.find import RunFolder, SweepInfo
from orchestrator.runs.foreign import (
    ROLES,
    Found,
    metadata as foreign,
    read_tool,
    read_values,
)

_NO_AIMS = SweepInfo("", Path())


def read_run(
    run: RunFolder, kind: str | None = None, data: Mapping[str, Any] | None = None
) -> Row | Incomplete:
    """Return the row of a run with its metrics recomputed, or why there can be none.

    Args:
        run: the folder, as `scan.find_runs` found it.
        kind: what its arrays are where it does not say so itself.
        data: what else is known about them.
    """
    record = run.record
    lineage = Lineage.of(record)
    sweep = run.sweep.name if run.sweep is not None else None
    facts = Incomplete(
        run.path, tuple(run.missing), None, sweep, run.name, run.state, lineage=lineage
    )
    metadata = foreign.read_metadata(run.path)
    said = read_said(run)
    if _only_logs(run, said):
        evaluation = Evaluation({}, None, ())
    elif run.missing:
        return replace(facts, problem=_why_missing(run))
    else:
        try:
            kind, data = _means(run, kind, data)
            evaluation = evaluate_folder(
                run.path, kind=kind, data=data, metadata=metadata, places=run.places
            )
        except ArrayProblem as error:
            return replace(facts, problem=str(error))
    asked = foreign.flatten(record.config) if record is not None else {}
    script = foreign.read_script_metadata(run.path)
    logged = {**said.logged, **foreign.logged_metrics(run.path, {**script, **metadata})}
    if record is not None and run.sweep is not None and record.value is not None:
        value = foreign.as_number(record.value)
        logged.update({run.sweep.metric: value} if value is not None else {})
    warnings = [
        *(foreign.warnings_of({"warnings": record.warnings}) if record is not None else []),
        *foreign.warnings_of(metadata),
        *foreign.metadata_problems(run.path),
        *said.problems,
        *evaluation.problems,
    ]
    aims = run.sweep if run.sweep is not None else _NO_AIMS
    values = {**logged, **evaluation.metrics}
    knows_split = (
        (run.sweep is not None and not run.sweep.is_program)
        or any(split == "val" for split, _ in run.places)
        or (run.meaning is not None and bool(run.meaning.arrays))
    )
    return Row(
        trial=run.name,
        path=run.path,
        sweep=sweep,
        state=run.state,
        config={**said.config, **foreign.config_of(metadata), **asked},
        metrics=evaluation.metrics,
        targets=judge(aims.targets, values),
        warnings=tuple(dict.fromkeys(warnings)),
        split="test" if knows_split else "unknown",
        kind=evaluation.kind,
        logged=logged,
        info=run.sweep,
        lineage=lineage,
        expected=judge(_expected(aims, record), values, partial(_value_at, run.path)),
        tier=tier_of(aims.tiers, values),
        rates=learning_rates(run.path) if run.is_ours else {},
    )


def _expected(aims: SweepInfo, record: TrialRecord | None) -> dict[str, str]:
    """Return the milestones of a sweep, and what the file expects of this trial in bounds."""
    own = record.note.get("expect") if record is not None else None
    words = own if isinstance(own, dict) else {}
    bounds = {str(name): str(text) for name, text in words.items() if parse_bound(str(text))}
    return {**aims.expect, **bounds}


def _value_at(path: Path, metric: str, step: int) -> float | None:
    """Return what a run reported of `metric` at `step`, or None where it did not."""
    found = None
    for reported, metrics in read_reports(RunDir(path)):
        if reported == step and metric in metrics:
            found = metrics[metric]  # of a repeated step the last report counts
    return found


def read_said(run: RunFolder) -> Found:
    """Return what the tool that made a folder, and a ``sweep-runs.yaml``, say of it."""
    if run.is_ours:
        return Found()
    said = read_tool(run.tool, run.path) if run.tool is not None else Found()
    meaning = run.meaning
    if meaning is not None and meaning.config:
        said.config |= read_values(meaning.file(run.path, meaning.config), meaning.config, said)
    if meaning is not None and meaning.logged:
        values = read_values(meaning.file(run.path, meaning.logged), meaning.logged, said)
        numbers = {name: foreign.as_number(value) for name, value in values.items()}
        said.logged |= {name: value for name, value in numbers.items() if value is not None}
    return said


def _means(
    run: RunFolder, kind: str | None, data: Mapping[str, Any] | None
) -> tuple[str | None, Mapping[str, Any] | None]:
    """Return what the arrays of a run are: as its ``sweep-runs.yaml`` says, else as asked."""
    meaning = run.meaning
    if meaning is None:
        return kind, data
    if meaning.metrics is not None:
        kind = resolve_kind(meaning.metrics, where=f"{meaning.path}: metrics")
    if meaning.rate_hz is not None:
        data = {**(data or {}), "rate_hz": meaning.rate_hz}
    return kind, data


def _only_logs(run: RunFolder, said: Found) -> bool:
    """Tell whether a run saved no arrays and is whole without them: it logged its metrics."""
    if any(role in ROLES for _, role in run.places):
        return False
    if not run.is_ours:
        return run.tool is not None and run.tool.is_complete and bool(said.logged)
    record = run.record
    return (
        record is not None
        and record.state is TrialState.COMPLETE
        and record.value is not None
        and run.sweep is not None
        and run.sweep.is_program
    )


def _why_missing(run: RunFolder) -> str | None:
    if run.error is not None:
        return run.error
    others = foreign.other_formats(run.files)
    if others:
        return f"only .npy arrays are read, not {', '.join(others)}"
    if run.state == "COMPLETE":
        # A script need not save arrays: then its log was to tell the metric.
        if run.sweep is not None and run.sweep.is_program and run.sweep.metric and not run.places:
            return f"COMPLETE, but reported no {run.sweep.metric} and saved no arrays"
        return "COMPLETE, but without its arrays"
    if run.state is not None:
        # Of a failure's words the first line names it; the others are the end of its log.
        return f"{run.state}: {run.reason.splitlines()[0]}" if run.reason else run.state
    if run.sweep is not None:
        return "state.json is missing or cannot be read"
    return None if run.files else "the folder is empty"


def rates_in(reports: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Return ``first``, ``peak`` and ``last`` of the learning rate; {} where none was reported.

    Where groups of parameters have rates of their own, the group that is reported first counts.
    """
    rates, name = Rates(), None
    for step, metrics in reports:
        name = name or next((key for key in metrics if is_rate(key)), None)
        if name is not None and name in metrics:
            rates.add(step, metrics[name])
    if rates.first is None or rates.peak is None or rates.last is None:
        return {}
    return {"first": rates.first, "peak": rates.peak, "last": rates.last}


def learning_rates(run: Path) -> dict[str, float]:
    """Return the same of a run folder of ours, from its metrics log alone."""
    return rates_in(read_reports(RunDir(run)))
