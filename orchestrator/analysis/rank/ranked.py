"""Rank rows by one metric, from their values alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.analysis.measure.row import NO_SWEEP, Comparison, Incomplete, Row
from orchestrator.analysis.measure.targets import tally
from orchestrator.analysis.rank.seeds import ENDED_WELL
from orchestrator.errors import UsageError, nearest
from orchestrator.metrics import goal as metric_goal

_HINT = "for decay curves add `--metrics edc --rate HZ`"


def rank(
    rows: Sequence[Row],
    incomplete: Sequence[Incomplete] = (),
    *,
    sort_by: str | None = None,
) -> Comparison:
    """Rank `rows`; equal ones keep their order, ones without a finite value come last.

    Args:
        rows: unranked rows.
        incomplete: runs that cannot be ranked; passed through.
        sort_by: any metric that some row has; None for the default.

    Raises:
        UsageError: no row has the metric `sort_by`.
    """
    name, note = (sort_by, "") if sort_by is not None else _default_metric(rows)
    if sort_by is not None and rows:
        _check_metric(sort_by, rows)
    is_logged = bool(rows) and not any(name in row.metrics for row in rows)
    if is_logged:
        rows = [
            replace(row, metrics={**row.metrics, name: row.logged[name]})
            if name in row.logged
            else row
            for row in rows
        ]
    goal = goal_of(name, rows)
    sign = -1.0 if goal == "maximize" else 1.0

    def key(row: Row) -> tuple[int, bool, float]:
        value = row.metrics.get(name, math.nan)
        known = math.isfinite(value)
        return _stages_left(row), not known, sign * value if known else 0.0

    ordered = [replace(row, rank=place) for place, row in enumerate(sorted(rows, key=key), 1)]
    basis, remark = _basis(name, ordered, is_logged)
    notes = [note, _last_note(name, ordered), remark, *_undefined_notes(name, ordered)]
    runs = [run for row in ordered for run in row.members or (row,)]
    return Comparison(
        rows=tuple(ordered),
        incomplete=tuple(incomplete),
        sort_by=name,
        goal=goal,
        basis=basis,
        n_complete=len(runs),
        n_rows=len(ordered),
        n_early=sum(run.state not in ENDED_WELL for run in runs),
        tallies=tally(row.targets for row in ordered),
        notes=tuple(text for text in [*notes, _kind_note(ordered)] if text),
    )


def _stages_left(row: Row) -> int:
    """Return how many stages of its sweep follow the stage of a run."""
    stages, stage = row.info.stages, row.lineage.stage
    return len(stages) - 1 - stages.index(stage) if stage in stages else 0


def _default_metric(rows: Sequence[Row]) -> tuple[str, str]:
    """Return the metric that ranks `rows` by default, and a note on it or "".

    It is a validation metric if there is one, so that the test arrays only judge: the sweep's own
    if all rows are of one sweep (or of sweeps that agree), else ``val_mae``. Without validation
    arrays it is ``mae``, or the first metric of the rows' own kind.
    """
    own = {row.info.metric for row in rows}
    if len(own) == 1:
        metric = own.pop()
        one_sweep = len({row.info.path for row in rows} - {NO_SWEEP.path}) == 1
        for name in (metric if metric.startswith("val_") else f"val_{metric}", metric):
            recomputed = sum(name in row.metrics for row in rows)
            if recomputed and (one_sweep or recomputed == len(rows)):
                return name, ""
            if metric and one_sweep and name == metric and any(name in row.logged for row in rows):
                return name, ""
    if rows and rows[0].metrics and not any("mae" in row.metrics for row in rows):
        # Sequences have no regression metrics; the first of their own is the main one.
        main = next(iter(rows[0].metrics))
        return (f"val_{main}" if all(f"val_{main}" in row.metrics for row in rows) else main), ""
    validated = sum("val_mae" in row.metrics for row in rows)
    if rows and validated == len(rows):
        return "val_mae", ""
    if validated:
        return "mae", f"Only {validated} of {len(rows)} have validation arrays, so mae ranks."
    return "mae", ""


def goal_of(metric: str, rows: Sequence[Row]) -> str:
    """Return the goal of `metric`: the sweeps' if they agree, else that of its kind."""
    bare = metric.removeprefix("val_")
    stated = {row.info.goal for row in rows if row.info.metric.removeprefix("val_") == bare}
    if len(stated) == 1:
        return stated.pop()
    kind = next((row.kind for row in rows if row.kind is not None), None)
    return metric_goal(metric, kind) or "minimize"


def _check_metric(name: str, rows: Iterable[Row]) -> None:
    recomputed = [metric for row in rows for metric in row.metrics]
    logged = [metric for row in rows for metric in row.logged]
    names = list(dict.fromkeys([*recomputed, *logged]))
    if name in names:
        return
    more = "" if all(row.kind is not None for row in rows) else f" For runs of others, {_HINT}."
    raise UsageError(
        f"--sort-by: no run has the metric {name!r}.{nearest(name, names)} "
        f"Choices: {', '.join(names)}.{more}"
    )


def _basis(name: str, rows: Sequence[Row], is_logged: bool) -> tuple[str, str]:
    """Return what the metric was computed on, and a note on it or ""."""
    if is_logged:
        return "as logged", f"{name} is shown as the runs logged it; nothing was recomputed."
    if name.startswith("val_"):
        return "validation", ""
    if name.startswith("train_"):
        return "training", f"{name} was taken on data that the trials trained on."
    unknown = sum(row.split == "unknown" for row in rows)
    if unknown == len(rows):
        return "split unknown", ""
    basis = f"selected on test among {len(rows)}"
    if unknown:
        basis += f", split unknown for {unknown}"
    note = ""
    if any(f"val_{name}" in row.metrics for row in rows):
        note = f"The best of {len(rows)} on test looks better than it is: val_{name} ranks fairly."
    return basis, note


def _last_note(name: str, rows: Sequence[Row]) -> str:
    without = sum(not math.isfinite(row.metrics.get(name, math.nan)) for row in rows)
    verbs = "has no finite {} and ranks" if without == 1 else "have no finite {} and rank"
    return f"{without} of {len(rows)} {verbs.format(name)} last." if without else ""


def _undefined_notes(name: str, rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each metric that ranks or is judged and is not of all pairs."""
    notes = []
    for metric in dict.fromkeys([name, *(target for row in rows for target in row.targets)]):
        counted = f"{metric.rpartition('_')[0]}_undefined"
        most = max((row.metrics.get(counted, 0.0) for row in rows), default=0.0)
        if most > 0:
            notes.append(
                f"{metric} is of the pairs that define it; {counted} counts the others, "
                f"up to {most:,.0f} in one run."
            )
    return notes


def _kind_note(rows: Sequence[Row]) -> str:
    # Only runs with recomputed metrics have arrays, of which they could state the kind.
    silent = sum(row.kind is None and bool(row.metrics.keys() - row.logged) for row in rows)
    if not silent:
        return ""
    which = "1 run does" if silent == 1 else f"{silent} runs do"
    return f"{which} not say what the arrays are, so regression metrics only; {_HINT}."
