"""Rows of named cells, as every table of a log gives them, made into runs.

What names the step, the epoch and the run is found by name. Rows that are finer than an epoch are
brought to means over the epoch, because curves are judged by epoch or evaluation, not by batch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.curve import LoggedRun, LogProblem, Report, merged, number

EPOCHS = ("epoch", "epochs", "ep")
STEPS = ("step", "global_step", "iteration", "iter", "batch", "it", "_step", "trainer/global_step")
RUNS = ("run", "run_id", "run_name", "trial", "trial_id", "experiment", "seed")
PLANNED = ("max_epochs", "total_epochs", "num_epochs", "max_steps", "total_steps")
BESIDE = (
    *("time", "wall_time", "timestamp", "_timestamp", "_runtime", "elapsed", "seconds"),
    *("index", "unnamed: 0", "date", "datetime"),
)

MANY_IN_EPOCH = 2.5
"""Rows in an epoch from which on they are taken for batches, not for parts of one report."""

MANY_REPORTS = 2_000
KEPT_REPORTS = 500
"""Reports by step above `MANY_REPORTS` are brought to so many means."""

Row = Mapping[str, Any]


def runs_of(rows: Sequence[Row], path: Path, form: str) -> list[LoggedRun]:
    """Return the runs that the rows of one table hold.

    Raises:
        LogProblem: the table holds no numbers beside steps.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    plain = {name.strip().lower(): name for name in reversed(names)}
    run_name = next((plain[key] for key in RUNS if key in plain), None)
    groups: dict[str, list[Row]] = {}
    if run_name is None or number(rows[0].get(run_name)) is not None:
        ids = {str(row.get(run_name)) for row in rows} if run_name else set()
        run_name = run_name if 1 < len(ids) <= max(2, len(rows) // 3) else None
    for row in rows:
        groups.setdefault(str(row.get(run_name, "")) if run_name else "", []).append(row)
    found = [
        _run(group, path, form, plain, name, run_name) for name, group in groups.items() if group
    ]
    kept = [run for run in found if run.reports]
    if not kept:
        raise LogProblem("holds no series of numbers")
    return kept


def _run(
    rows: Sequence[Row],
    path: Path,
    form: str,
    plain: Mapping[str, str],
    name: str,
    run_name: str | None,
) -> LoggedRun:
    epoch_name = next((plain[key] for key in EPOCHS if key in plain), None)
    step_name = next((plain[key] for key in STEPS if key in plain), None)
    planned_name = next((plain[key] for key in PLANNED if key in plain), None)
    skipped = {epoch_name, step_name, planned_name, run_name}
    skipped |= {plain[key] for key in BESIDE if key in plain}
    epochs: list[float | None] = []
    steps: list[float | None] = []
    cells: list[dict[str, float]] = []
    for row in rows:
        values = {
            key.strip(): value
            for key, cell in row.items()
            if key not in skipped and (value := number(cell)) is not None
        }
        if not values:
            continue
        epochs.append(_place(row, epoch_name))
        steps.append(_place(row, step_name))
        cells.append(values)
    planned = _place(rows[-1], planned_name)
    unit, reports, notes = as_reports(epochs, steps, cells)
    return LoggedRun(
        name or path.stem, path, form, reports, unit, total_steps=planned, notes=tuple(notes)
    )


def _place(row: Row, name: str | None) -> float | None:
    value = number(row.get(name)) if name is not None else None
    return value if value is not None and math.isfinite(value) else None


def as_reports(
    epochs: Sequence[float | None],
    steps: Sequence[float | None],
    cells: Sequence[Mapping[str, float]],
) -> tuple[str, tuple[Report, ...], list[str]]:
    """Return what the steps count, the reports, and notes on how they came about.

    Args:
        epochs: the epoch of each row, where it has one; fractions are places within it.
        steps: the step of each row, where it has one.
        cells: the numbers of each row.
    """
    if not cells:
        return "step", (), []
    whole = [place for place in epochs if place is not None]
    if len(whole) == len(cells):
        distinct = len({math.floor(place) for place in whole})
        fractions = any(place != math.floor(place) for place in whole)
        per_epoch = len(cells) / max(1, distinct)
        if distinct >= 2 and not fractions and per_epoch <= MANY_IN_EPOCH:
            return "epoch", merged(list(zip(whole, cells, strict=True))), []
        if distinct >= 5:
            reports = _epoch_means(whole, cells)
            note = f"means over {len(reports)} epochs of {len(cells)} rows"
            return "epoch", reports, [note]
    places = [
        float(index) if place is None else place for index, place in enumerate(steps, start=1)
    ]
    if all(place is None for place in steps) and len(whole) == len(cells):
        places = [float(index) for index in range(1, len(cells) + 1)]
    reports = merged(list(zip(places, cells, strict=True)))
    if len(reports) <= MANY_REPORTS:
        return "step", reports, []
    size = -(-len(reports) // KEPT_REPORTS)
    binned = tuple(
        (group[-1][0], means([metrics for _, metrics in group]))
        for group in (reports[at : at + size] for at in range(0, len(reports), size))
    )
    return "step", binned, [f"means over {size} reports each of {len(reports)}"]


def _epoch_means(
    epochs: Sequence[float], cells: Sequence[Mapping[str, float]]
) -> tuple[Report, ...]:
    """Return one report for each stretch of rows that lie in the same epoch."""
    groups: list[tuple[int, list[Mapping[str, float]]]] = []
    for place, values in zip(epochs, cells, strict=True):
        # The end of an epoch belongs to it: 1.0 is the last of the first epoch, not the next.
        epoch = max(1, math.ceil(place)) if _has_fractions(epochs) else int(place)
        if not groups or groups[-1][0] != epoch:
            groups.append((epoch, []))
        groups[-1][1].append(values)
    return tuple((epoch, means(rows)) for epoch, rows in groups)


def _has_fractions(epochs: Sequence[float]) -> bool:
    return any(place != math.floor(place) for place in epochs[:64])


_LAST = re.compile(r"(?:^|[_/.-])(?:lr|learning_rate|memory)")


def means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each series; of learning rates and memory the last value.

    One value that is not finite makes its mean so: it is what the run died of.
    """
    sums: dict[str, tuple[float, int]] = {}
    last: dict[str, float] = {}
    for row in rows:
        for name, value in row.items():
            total, count = sums.get(name, (0.0, 0))
            sums[name] = (total + value, count + 1)
            last[name] = value
    return {
        name: last[name] if _LAST.search(name.lower()) else total / count
        for name, (total, count) in sums.items()
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
    """Return a record with inner maps flattened: ``{"val": {"mae": 1}}`` gives ``{"val/mae": 1}``.

    What merely groups numbers (``metrics``, ``logs``, ``scalars``) leaves no name behind.
    """
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and depth < 4:
            # `metrics`, `train` and the like group numbers; our own log puts all into `metrics`.
            inner = "" if key in ("metrics", "logs", "scalars") else f"{prefix}{key}/"
            found |= flat(value, inner, depth + 1)
        else:
            found[f"{prefix}{key}"] = value
    return found
