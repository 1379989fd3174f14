"""One run measured for a comparison: a row with recomputed metrics, or why there can be none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.evaluation import Evaluation, evaluation_of
from orchestrator.analysis.measure.row import Incomplete, Lineage, Row
from orchestrator.analysis.measure.targets import judge, parse_bound, tier_of
from orchestrator.divergence.schedule import Rates
from orchestrator.divergence.series import is_rate
from orchestrator.metrics import ArrayProblem, resolve_kind
from orchestrator.runs import TrialRecord, TrialState
from orchestrator.runs.find import RunFolder, SweepInfo
from orchestrator.runs.foreign import ROLES, metadata as foreign
from orchestrator.runs.read import StoredRun

_NO_TARGETS = SweepInfo("", Path())


def measure(
    run: StoredRun, kind: str | None = None, data: Mapping[str, Any] | None = None
) -> Row | Incomplete:
    """Return the row of a run with its metrics recomputed, or why there can be none.

    Args:
        run: the run.
        kind: what its arrays are if it does not state it itself.
        data: what else is known about them.
    """
    folder, record = run.folder, run.folder.record
    lineage = Lineage.of(record)
    sweep = folder.sweep.name if folder.sweep is not None else None
    without = Incomplete(
        run.path, tuple(folder.missing), None, sweep, folder.name, folder.state, lineage
    )
    evaluation = Evaluation({})
    if not _is_whole_without_arrays(run):
        if folder.missing:
            return replace(without, problem=_why_missing(folder))
        try:
            kind, data = _meaning(folder, kind, data)
            evaluation = evaluation_of(run, kind=kind, data=data)
        except ArrayProblem as error:
            return replace(without, problem=str(error))
    logged = dict(run.logged)
    if record is not None and folder.sweep is not None and record.value is not None:
        logged |= foreign.numbers({folder.sweep.metric: record.value})
    info = folder.sweep if folder.sweep is not None else _NO_TARGETS
    values = {**logged, **evaluation.metrics}
    knows_split = (
        (folder.sweep is not None and not folder.sweep.is_program)
        or any(split == "val" for split, _ in folder.places)
        or (folder.manifest is not None and bool(folder.manifest.arrays))
    )
    return Row(
        trial=folder.name,
        path=run.path,
        sweep=sweep,
        state=folder.state,
        config=run.config,
        metrics=evaluation.metrics,
        targets=judge(info.targets, values),
        warnings=tuple(dict.fromkeys([*run.warnings, *evaluation.problems])),
        split="test" if knows_split else "unknown",
        kind=evaluation.kind,
        logged=logged,
        info=folder.sweep,
        lineage=lineage,
        expected=judge(_expected(info, record), values, run.report_at),
        tier=tier_of(info.tiers, values),
        rates=learning_rates(run.reports) if folder.is_ours else {},
        run=run,
    )


def _expected(info: SweepInfo, record: TrialRecord | None) -> dict[str, str]:
    """Return the milestones of a sweep, and what the file expects of this trial in bounds."""
    own = record.note.get("expect") if record is not None else None
    texts = own if isinstance(own, dict) else {}
    bounds = {str(name): str(text) for name, text in texts.items() if parse_bound(str(text))}
    return {**info.expect, **bounds}


def _meaning(
    run: RunFolder, kind: str | None, data: Mapping[str, Any] | None
) -> tuple[str | None, Mapping[str, Any] | None]:
    """Return what the arrays of a run are: what its ``sweep-runs.yaml`` states, else `kind`."""
    manifest = run.manifest
    if manifest is None:
        return kind, data
    if manifest.metrics is not None:
        kind = resolve_kind(manifest.metrics, where=f"{manifest.path}: metrics")
    if manifest.rate_hz is not None:
        data = {**(data or {}), "rate_hz": manifest.rate_hz}
    return kind, data


def _is_whole_without_arrays(run: StoredRun) -> bool:
    """Return whether a run saved no arrays and needs none: it logged its metrics."""
    folder, record = run.folder, run.folder.record
    if any(role in ROLES for _, role in folder.places):
        return False
    if not folder.is_ours:
        is_complete = folder.tool is not None and folder.tool.is_complete
        return is_complete and bool(run.from_tool.logged)
    return (
        record is not None
        and record.state is TrialState.COMPLETE
        and record.value is not None
        and folder.sweep is not None
        and folder.sweep.is_program
    )


def _why_missing(run: RunFolder) -> str | None:
    if run.error is not None:
        return run.error
    others = foreign.other_formats(run.files)
    if others:
        return f"only .npy arrays are read, not {', '.join(others)}"
    if run.state == "COMPLETE":
        # A script need not save arrays: then its log should have had the metric.
        if run.sweep is not None and run.sweep.is_program and run.sweep.metric and not run.places:
            return f"COMPLETE, but reported no {run.sweep.metric} and saved no arrays"
        return "COMPLETE, but without its arrays"
    if run.state is not None:
        # The first line of a failure's reason names it; the others are the end of its log.
        return f"{run.state}: {run.reason.splitlines()[0]}" if run.reason else str(run.state)
    if run.sweep is not None:
        return "state.json is missing or cannot be read"
    return None if run.files else "the folder is empty"


def learning_rates(reports: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Return ``first``, ``peak`` and ``last`` of the learning rate; {} if none was reported.

    If groups of parameters have rates of their own, the group that is reported first counts.
    """
    rates, name = Rates(), None
    for step, metrics in reports:
        name = name or next((key for key in metrics if is_rate(key)), None)
        if name is not None and name in metrics:
            rates.add(step, metrics[name])
    if rates.first is None or rates.peak is None or rates.last is None:
        return {}
    return {"first": rates.first, "peak": rates.peak, "last": rates.last}
