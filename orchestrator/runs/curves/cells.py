"""Rows of named cells, as every table of a log has them, made into runs.

Rows that are finer than an epoch are averaged over it: curves are judged by epoch, not by batch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, Report

EPOCHS = ("epoch", "epochs", "ep")
STEPS = ("step", "global_step", "iteration", "iter", "batch", "it", "_step", "trainer/global_step")
PLANNED = ("max_epochs", "total_epochs", "num_epochs", "max_steps", "total_steps")
BESIDE = (
    *("time", "wall_time", "timestamp", "_timestamp", "_runtime", "elapsed", "seconds"),
    *("index", "unnamed: 0", "date", "datetime"),
)
_RUNS = ("run", "run_id", "run_name", "trial", "trial_id", "experiment", "seed")

# From so many rows in an epoch on they are taken for batches, not for parts of one report.
_MANY_IN_EPOCH = 2.5
# More reports by step than the first are averaged to about as many as the second.
_MANY_REPORTS = 2_000
_KEPT_REPORTS = 500

# Of these series the last value of an epoch counts, not the mean.
_LAST_COUNTS = re.compile(r"(?:^|[_/.-])(?:lr|learning_rate|memory)")

Row = Mapping[str, Any]


def number(value: Any) -> float | None:
    """Return `value` as a float, also from text such as ``"nan"``; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def runs_of(rows: Sequence[Row], path: Path, form: str) -> list[LoggedRun]:
    """Return the runs that the rows of one table hold.

    Raises:
        LogProblem: the table holds no numbers besides steps.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    plain = {name.strip().lower(): name for name in reversed(names)}
    run_name = _first(_RUNS, plain)
    if run_name is not None and number(rows[0].get(run_name)) is not None:
        # A number that differs in nearly every row is a measurement, not a run.
        ids = {str(row.get(run_name)) for row in rows}
        run_name = run_name if 1 < len(ids) <= max(2, len(rows) // 3) else None
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.get(run_name, "")) if run_name else "", []).append(row)
    epoch_name, step_name, planned_name = (_first(keys, plain) for keys in (EPOCHS, STEPS, PLANNED))
    skipped = {epoch_name, step_name, planned_name, run_name}
    skipped |= {plain[key] for key in BESIDE if key in plain}
    found = []
    for name, group in groups.items():
        kept = [(row, values) for row in group if (values := _numbers(row, skipped))]
        unit, reports, notes = as_reports(
            [_place(row, epoch_name) for row, _ in kept],
            [_place(row, step_name) for row, _ in kept],
            [values for _, values in kept],
        )
        if reports:
            total = _place(group[-1], planned_name)
            run = LoggedRun(
                name or path.stem, path, form, reports, unit, total_steps=total, notes=notes
            )
            found.append(run)
    if not found:
        raise LogProblem("holds no series of numbers")
    return found


def _first(keys: Iterable[str], plain: Mapping[str, str]) -> str | None:
    return next((plain[key] for key in keys if key in plain), None)


def _numbers(row: Row, skipped: set[str | None]) -> dict[str, float]:
    return {
        key.strip(): value
        for key, cell in row.items()
        if key not in skipped and (value := number(cell)) is not None
    }


def _place(row: Row, name: str | None) -> float | None:
    value = number(row.get(name)) if name is not None else None
    return value if value is not None and math.isfinite(value) else None


def as_reports(
    epochs: Sequence[float | None],
    steps: Sequence[float | None],
    cells: Sequence[Mapping[str, float]],
) -> tuple[str, tuple[Report, ...], tuple[str, ...]]:
    """Return what the steps count, the reports, and notes on how they were computed.

    Each row has its numbers in `cells`, and perhaps an epoch and a step; fractions of an epoch are
    places within it.
    """
    if not cells:
        return "step", (), ()
    whole = [place for place in epochs if place is not None]
    if len(whole) == len(cells):
        distinct = len({math.floor(place) for place in whole})
        fractions = any(place != math.floor(place) for place in whole)
        if distinct >= 2 and not fractions and len(cells) / distinct <= _MANY_IN_EPOCH:
            return "epoch", _merged(whole, cells), ()
        if distinct >= 5:
            reports = _epoch_means(whole, cells)
            return "epoch", reports, (f"means over {len(reports)} epochs of {len(cells)} rows",)
    reports = _merged(
        [float(index) if place is None else place for index, place in enumerate(steps, start=1)],
        cells,
    )
    if len(reports) <= _MANY_REPORTS:
        return "step", reports, ()
    size = -(-len(reports) // _KEPT_REPORTS)
    groups = (reports[at : at + size] for at in range(0, len(reports), size))
    binned = tuple((group[-1][0], _means(metrics for _, metrics in group)) for group in groups)
    return "step", binned, (f"means over {size} reports each of {len(reports)}",)


def _merged(places: Sequence[float], rows: Sequence[Mapping[str, float]]) -> tuple[Report, ...]:
    """Return rows as reports; consecutive rows of one step that do not clash become one.

    Tools that log training and validation apart write two rows for a step.
    """
    reports: list[Report] = []
    for place, metrics in zip(places, rows, strict=True):
        last = reports[-1][1] if reports and reports[-1][0] == int(place) else None
        if last is None or any(last[name] != metrics[name] for name in metrics if name in last):
            reports.append((int(place), dict(metrics)))
        else:
            last.update(metrics)
    return tuple(reports)


def _epoch_means(
    epochs: Sequence[float], cells: Sequence[Mapping[str, float]]
) -> tuple[Report, ...]:
    """Return one report for each stretch of rows that lie in the same epoch."""
    # The end of an epoch belongs to it: 1.0 is the last of the first epoch, not the next.
    has_fractions = any(place != math.floor(place) for place in epochs[:64])
    whole = [max(1, math.ceil(place)) if has_fractions else int(place) for place in epochs]
    stretches = groupby(zip(whole, cells, strict=True), key=lambda pair: pair[0])
    return tuple((epoch, _means(row for _, row in rows)) for epoch, rows in stretches)


def _means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each series; of learning rates and memory the last value.

    One value that is not finite makes its mean so: it is what the run died of.
    """
    series: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            series.setdefault(name, []).append(value)
    return {
        name: values[-1] if _LAST_COUNTS.search(name.lower()) else sum(values) / len(values)
        for name, values in series.items()
    }


def transposed(history: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return lists by name as rows, with the epoch, from 1, unless they name it."""
    longest = max(len(values) for values in history.values())
    return [
        {"epoch": index + 1}
        | {name: values[index] for name, values in history.items() if index < len(values)}
        for index in range(longest)
    ]


def flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return a record with inner maps flattened: {"val": {"mae": 1}} gives {"val/mae": 1}."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and depth < 4:
            # Some maps merely group numbers; our own log puts all into `metrics`.
            inner = "" if key in ("metrics", "logs", "scalars") else f"{prefix}{key}/"
            found |= flat(value, inner, depth + 1)
        else:
            found[f"{prefix}{key}"] = value
    return found
