"""Rank rows by one metric, from their values alone."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.analysis.measure.logged import is_metric
from orchestrator.analysis.measure.row import FACTS, NO_SWEEP, Comparison, Incomplete, Row
from orchestrator.analysis.measure.targets import tally
from orchestrator.analysis.rank.seeds import ENDED_WELL
from orchestrator.errors import UsageError, nearest
from orchestrator.files.series_names import ranking_order, split_of
from orchestrator.metrics import goal as metric_goal

_ALTERS = re.compile(
    r"loss|criterion|label_smoothing|lambda|(?:^|[._])alpha$|weights?$|focal|reduction", re.I
)
_HINT = "for decay curves add `--metrics edc --rate HZ`"


def rank(
    rows: Sequence[Row],
    incomplete: Sequence[Incomplete] = (),
    *,
    sort_by: str | None = None,
    goal: str | None = None,
    at: str = "best",
) -> Comparison:
    """Rank `rows`; equal ones keep their order, ones without a finite value come last.

    Args:
        rows: unranked rows.
        incomplete: runs that cannot be ranked; passed through.
        sort_by: names of metrics, parameters and `FACTS`, with commas; later ones order equal rows.
            None for the default.
        goal: of the first name; None for what the sweep, the kind or the name shows.
        at: which logged values count, for the heading.

    Raises:
        UsageError: no row has one of the names.
    """
    recomputed = {name for row in rows for name in row.metrics}
    rows = [replace(row, metrics=_with_logged(row, recomputed)) for row in rows]
    names, notes = [], []
    if sort_by is None:
        name, note = _default_metric(rows, recomputed)
        names, notes = [name], [note]
    else:
        names = (
            [find_name(text.strip(), rows) for text in sort_by.split(",")] if rows else [sort_by]
        )
    name = names[0]
    second = _second_of(rows) if sort_by is None and name == _metric_of_all(rows) else None
    if second is not None:
        names.append(second[0])
    goals = [goal or goal_of(name, rows)] + [goal_of(other, rows) for other in names[1:]]
    if rows and goal is None and not goal_of(name, rows, ""):
        notes.append(f"{name} does not show which way is better: lowest first, else give --goal.")

    def key(row: Row) -> tuple[Any, ...]:
        found = [_sortable(row, *item) for item in zip(names, goals, strict=True)]
        lacks = second is not None and any(unknown for unknown, *_ in found)
        return _stages_left(row), lacks, *found

    ordered = [
        replace(row, rank=place, facts=_with_best_step(row, name))
        for place, row in enumerate(sorted(rows, key=key), 1)
    ]
    if second is not None:
        ordered = _with_front(ordered, list(zip(names, goals, strict=True)))
    is_logged = bool(rows) and name not in recomputed
    basis, remark = _basis(name, ordered, is_logged)
    notes += [_last_note(name, ordered), remark, *_undefined_notes(name, ordered)]
    notes.append(_loss_note(name, ordered))
    runs = [run for row in ordered for run in row.members or (row,)]
    return Comparison(
        rows=tuple(ordered),
        incomplete=tuple(incomplete),
        sort_by=name,
        goal=goals[0],
        at=at,
        second="" if second is None else second[0],
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


def _with_logged(row: Row, recomputed: Collection[str]) -> dict[str, float]:
    """Return all metrics of a row; what is recomputed for any row is never mixed with logs."""
    logged = {name: value for name, value in row.logged.items() if name not in recomputed}
    return {**row.metrics, **logged}


def _with_best_step(row: Row, name: str) -> dict[str, float]:
    step = row.steps.get(name)
    return dict(row.facts) if step is None else {**row.facts, "best step": step}


def _loss_note(name: str, rows: Sequence[Row]) -> str:
    """Return a warning if trials that are ranked by a loss define it differently."""
    if "loss" not in name.lower():
        return ""
    configs = [row.config for row in rows]
    altering = [key for key in dict.fromkeys(k for c in configs for k in c) if _ALTERS.search(key)]
    varied = [key for key in altering if len({str(config.get(key)) for config in configs}) > 1]
    if not varied:
        return ""
    return f"{name} may mean something else in each run, since {', '.join(varied)} varies."


def _sortable(row: Row, name: str, goal: str) -> tuple[bool, float, str]:
    """Return a key that puts unknown values last, numbers before text."""
    value = row.value(name)
    sign = -1.0 if goal == "maximize" else 1.0
    if isinstance(value, int | float) and math.isfinite(value):
        return False, sign * value, ""
    is_text = value is not None and not isinstance(value, float)
    return not is_text, 0.0, str(value) if is_text else ""


def _metric_of_all(rows: Sequence[Row]) -> str:
    """Return the metric of the sweep or sweeps that all rows are of; "" if they differ."""
    own = {row.info.metric for row in rows}
    return own.pop() if len(own) == 1 else ""


def _second_of(rows: Sequence[Row]) -> tuple[str, str] | None:
    seconds = {row.info.second for row in rows}
    return seconds.pop() if len(seconds) == 1 else None


def _with_front(rows: Sequence[Row], metrics: Sequence[tuple[str, str]]) -> list[Row]:
    """Mark the rows that no other row is at least as good as in both metrics and better in one."""
    points = {}
    for row in rows:
        values = [row.metrics.get(name, math.nan) for name, _ in metrics]
        if all(map(math.isfinite, values)):
            signs = [-1.0 if goal == "maximize" else 1.0 for _, goal in metrics]
            points[row.path] = [sign * value for sign, value in zip(signs, values, strict=True)]

    def is_beaten(point: list[float]) -> bool:
        return any(
            other != point and all(map(operator.ge, point, other)) for other in points.values()
        )

    front = {path for path, point in points.items() if not is_beaten(point)}
    return [replace(row, on_front=row.path in front) for row in rows]


def _default_metric(rows: Sequence[Row], recomputed: Collection[str]) -> tuple[str, str]:
    """Return the metric that ranks `rows` by default, and a note on it or "".

    It is a validation metric if there is one, so that the test arrays only judge: the sweep's own
    if all rows are of one sweep (or of sweeps that agree), else ``val_mae``. Without validation
    arrays it is ``mae``, or the first metric of the rows' own kind; if more runs logged a metric
    than have that, the most telling one that was logged.
    """
    metric = _metric_of_all(rows)
    one_sweep = len({row.info.path for row in rows} - {NO_SWEEP.path}) == 1
    for name in (metric if metric.startswith("val_") else f"val_{metric}", metric):
        count = sum(name in row.metrics for row in rows)
        known = name in recomputed or name == metric
        if metric and known and count and (one_sweep or count == len(rows)):
            return name, ""
    name, note = _recomputed_metric(rows, recomputed)
    logged = _logged_metric(rows)
    if logged and _count(logged, rows) > _count(name, rows):
        note = f"No metric was named, so {logged} ranks; --sort-by chooses another."
        if metric:
            note = f"No run has {metric}, so {logged} ranks."
        return logged, note
    return name, note


def _recomputed_metric(rows: Sequence[Row], recomputed: Collection[str]) -> tuple[str, str]:
    own = [name for name in (rows[0].metrics if rows else ()) if name in recomputed]
    if own and not any("mae" in row.metrics for row in rows):
        # Sequences have no regression metrics; the first of their own is the main one.
        main = own[0]
        return (f"val_{main}" if all(f"val_{main}" in row.metrics for row in rows) else main), ""
    validated = _count("val_mae", rows) if "val_mae" in recomputed else 0
    if rows and validated == len(rows):
        return "val_mae", ""
    if validated:
        return "mae", f"Only {validated} of {len(rows)} have validation arrays, so mae ranks."
    return "mae", ""


def _count(name: str, rows: Sequence[Row]) -> int:
    return sum(name in row.metrics for row in rows)


def _logged_metric(rows: Sequence[Row]) -> str:
    """Return the logged metric that shows most, by `ranking_order`, among those of most runs."""
    counts = Counter(name for row in rows for name in row.logged if is_metric(name))
    usual = [name for name, count in counts.items() if 2 * count >= max(counts.values())]

    def key(name: str) -> tuple[Any, ...]:
        order = ranking_order(name, has_goal=metric_goal(name) is not None)
        return (*order[:-1], -counts[name], order[-1])

    return min(usual, key=key, default="")


def goal_of(metric: str, rows: Sequence[Row], unknown: str = "minimize") -> str:
    """Return the goal of `metric`: the sweeps' if they agree, else that of its kind or name."""
    bare = metric.removeprefix("val_")
    stated = {row.info.goal for row in rows if row.info.metric.removeprefix("val_") == bare}
    seconds = dict(row.info.second for row in rows if row.info.second)
    stated |= {seconds[metric]} if metric in seconds else set()
    if len(stated) == 1:
        return stated.pop()
    if metric in FACTS or not any(metric in row.metrics for row in rows):
        return "minimize"
    kind = next((row.kind for row in rows if row.kind is not None), None)
    return metric_goal(metric, kind) or unknown


def find_name(text: str, rows: Sequence[Row], option: str = "--sort-by") -> str:
    """Return the metric, parameter or fact that `text` means, whatever its case.

    Raises:
        UsageError: no row has it; the message begins with `option`.
    """
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    names = [*metrics, *dict.fromkeys(n for row in rows for n in (*row.facts, *row.config))]
    ends = [name for name in names if name.lower().endswith(f".{text.lower()}")]
    same = [name for name in names if name.lower() == text.lower()]
    for found in ([text] if text in names else [], same, ends):
        if len(set(found)) == 1:
            return found[0]
    more = "" if all(row.kind is not None for row in rows) else f" For runs of others, {_HINT}."
    raise UsageError(
        f"{option}: no run has the metric or parameter {text!r}.{nearest(text, names)} "
        f"Choices: {', '.join(names)}.{more}"
    )


def _basis(name: str, rows: Sequence[Row], is_logged: bool) -> tuple[str, str]:
    """Return what the metric was computed on, and a note on it or ""."""
    if is_logged:
        if not _count(name, rows):
            return "not a metric", ""
        if split_of(name) == "test":
            return f"as logged, selected on test among {len(rows)}", ""
        return "as logged", ""
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
    without = sum(_sortable(row, name, "")[0] for row in rows)
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
