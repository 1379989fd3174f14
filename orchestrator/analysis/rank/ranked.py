"""Rank rows by one metric: a function of values alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.analysis.measure.row import Comparison, Incomplete, Row
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
    top: int | None = None,
) -> Comparison:
    """Rank `rows`; equal ones keep their order, ones without a finite value come last.

    Args:
        rows: unranked rows.
        incomplete: runs that cannot be ranked; passed through.
        sort_by: any metric that some row has; None for `default_metric`.
        top: how many rows to keep; None for all.

    Raises:
        UsageError: no row has the metric `sort_by`.
    """
    notes: list[str] = []
    name = sort_by
    if name is None:
        name, note = default_metric(rows)
        notes += [note] if note else []
    elif rows:
        _check_metric(name, rows)
    is_logged = bool(rows) and not any(name in row.metrics for row in rows)
    if is_logged:
        rows = [_with_logged(row, name) for row in rows]
    goal = goal_of(name, rows)
    sign = -1.0 if goal == "maximize" else 1.0

    def key(row: Row) -> tuple[int, bool, float]:
        value = row.metrics.get(name, math.nan)
        known = math.isfinite(value)
        return stages_left(row), not known, sign * value if known else 0.0

    ordered = [replace(row, rank=place) for place, row in enumerate(sorted(rows, key=key), 1)]
    without = sum(key(row)[1] for row in ordered)
    if without:
        verb = "has" if without == 1 else "have"
        last = "rank" if without > 1 else "ranks"
        notes.append(f"{without} of {len(ordered)} {verb} no finite {name} and {last} last.")
    basis, remark = _basis(name, ordered, is_logged)
    notes += [remark] if remark else []
    notes += _left_out(name, ordered)
    notes += _hints(ordered)
    return Comparison(
        rows=tuple(ordered if top is None else ordered[:top]),
        incomplete=tuple(incomplete),
        sort_by=name,
        goal=goal,
        basis=basis,
        n_complete=sum(max(1, len(row.members)) for row in ordered),
        n_rows=len(ordered),
        n_early=sum(
            one.state not in ENDED_WELL for row in ordered for one in row.members or (row,)
        ),
        tallies=tally(row.targets for row in ordered),
        notes=tuple(notes),
    )


def stages_left(row: Row) -> int:
    """Return how many stages of its sweep come after the one that a run is of."""
    stages = row.info.stages if row.info is not None else ()
    if row.lineage.stage not in stages:
        return 0
    return len(stages) - 1 - stages.index(row.lineage.stage)


def default_metric(rows: Sequence[Row]) -> tuple[str, str]:
    """Return the metric that ranks `rows` where none is named, and a sentence where it needs one.

    It is a validation metric wherever there is one, so that the test arrays only judge: the
    sweep's own where all rows are of one sweep (or of sweeps that agree), else ``val_mae``. Rows
    without validation arrays leave nothing but ``mae``, or the first metric of their own kind.
    """
    own = {row.info.metric if row.info is not None else "" for row in rows}
    if len(own) == 1:
        metric = own.pop()
        one_sweep = len({row.info.path for row in rows if row.info is not None}) == 1
        for name in (metric if metric.startswith("val_") else f"val_{metric}", metric):
            recomputed = [row for row in rows if name in row.metrics]
            if recomputed and (one_sweep or len(recomputed) == len(rows)):
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
    """Return which way `metric` is better: as the sweeps say, else by what it means."""
    bare = metric.removeprefix("val_")
    said = {
        row.info.goal
        for row in rows
        if row.info is not None and row.info.metric.removeprefix("val_") == bare
    }
    if len(said) == 1:
        return said.pop()
    return metric_goal(metric, next((row.kind for row in rows if row.kind is not None), None))


def _check_metric(name: str, rows: Iterable[Row]) -> None:
    recomputed: dict[str, None] = {}
    logged: dict[str, None] = {}
    for row in rows:
        recomputed.update(dict.fromkeys(row.metrics))
        logged.update(dict.fromkeys(row.logged))
    names = [*recomputed, *(item for item in logged if item not in recomputed)]
    if name in names:
        return
    more = "" if all(row.kind is not None for row in rows) else f" For runs of others, {_HINT}."
    raise UsageError(
        f"--sort-by: must be a metric that some run has, but got {name!r}.{nearest(name, names)} "
        f"Choices: {', '.join(names)}.{more}"
    )


def _with_logged(row: Row, name: str) -> Row:
    if name not in row.logged:
        return row
    return replace(row, metrics={**row.metrics, name: row.logged[name]})


def _basis(name: str, rows: Sequence[Row], is_logged: bool) -> tuple[str, str]:
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
    if f"val_{name}" in {metric for row in rows for metric in row.metrics}:
        return (
            basis,
            f"The best of {len(rows)} on test looks better than it is: val_{name} ranks fairly.",
        )
    return basis, ""


def _left_out(name: str, rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each metric that ranks or is judged and is not of all pairs."""
    judged = dict.fromkeys(metric for row in rows for metric in row.targets)
    notes = []
    for metric in dict.fromkeys([name, *judged]):
        counted = f"{metric.rpartition('_')[0]}_undefined"
        most = max((row.metrics.get(counted, 0.0) for row in rows), default=0.0)
        if most > 0:
            notes.append(
                f"{metric} is of the pairs that define it; {counted} counts the others, "
                f"up to {most:,.0f} in one run."
            )
    return notes


def _hints(rows: Sequence[Row]) -> list[str]:
    # What was recomputed shows that there are arrays; other runs have nothing to say of them.
    silent = sum(row.kind is None and bool(row.metrics.keys() - row.logged) for row in rows)
    if not silent:
        return []
    which = "1 run does" if silent == 1 else f"{silent} runs do"
    return [f"{which} not say what the arrays are, so regression metrics only; {_HINT}."]
