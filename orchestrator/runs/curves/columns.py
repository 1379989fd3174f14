"""The rows of one log, kept by column and made into the reports of its runs.

Curves are judged by epoch, not by batch: rows that are finer than an epoch are averaged over it,
and a long series becomes means of a few hundred.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from orchestrator.files.series_names import is_rate, is_split, split_of, with_split, words
from orchestrator.runs.curves.cells import (
    FACTS,
    Row,
    column_of,
    is_metric,
    number,
    place_of,
    with_names,
)
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, Report

# From so many values of a series in an epoch on they are taken for batches.
_MANY_IN_EPOCH = 2.5
# More values of a series than the first are averaged to about as many as the second.
_MANY_REPORTS = 2_000
_KEPT_REPORTS = 500
_MANY_OWN_REPORTS = 20_000


@dataclass
class Sparse(Sequence[float | None]):
    """The cells of a column of numbers of which rows lack some."""

    length: int
    rows: array[int]  # of `values`
    values: array[float]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if index >= self.length:
            raise IndexError(index)  # which ends an iteration
        place = bisect_left(self.rows, index)
        is_there = place < len(self.rows) and self.rows[place] == index
        return self.values[place] if is_there else None


Cells = Sequence[str | float | None]
Found = tuple[str, tuple[Report, ...], tuple[str, ...]]
"""What the steps count, the reports, and notes on how they were computed."""


@dataclass
class _Column:
    """The numbers of one column: 8 bytes for each, 16 if rows lack one."""

    values: array[float] = field(default_factory=lambda: array("d"))
    rows: array[int] | None = None  # the row of each value; None if no row lacks one

    def extend(self, rows: range | Sequence[int], values: Iterable[float]) -> None:
        if self.rows is None and not (isinstance(rows, range) and rows.start == len(self.values)):
            self.rows = array("q", range(len(self.values)))
        self.values.extend(values)
        if self.rows is not None:
            self.rows.extend(rows)

    def row(self, index: int) -> int:
        return index if self.rows is None else self.rows[index]

    def slice(self, start: int, end: int) -> array[float]:
        """Return the values of the rows from `start` to before `end`."""
        if self.rows is None:
            return self.values[start:end]
        return self.values[bisect_left(self.rows, start) : bisect_left(self.rows, end)]


class _Table:
    """The columns of one run."""

    def __init__(self) -> None:
        self.columns: dict[str, _Column] = {}
        self.rows = 0

    def extend(self, name: str, rows: range | Sequence[int], values: Iterable[float]) -> None:
        self.columns.setdefault(name, _Column()).extend(rows, values)

    def extend_cells(
        self, names: Sequence[str], columns: Sequence[Cells], splits: Sequence[str] | None
    ) -> None:
        """Add rows, perhaps with the split that each is of."""
        start = self.rows
        self.rows += len(columns[0])
        for name, cells in zip(names, columns, strict=True):
            if place_of(name)[0] == "beside":
                continue
            if splits is None or not is_metric(name):
                self._extend_cells(name, range(start, self.rows), cells)
                continue
            for split in dict.fromkeys(splits):
                at = [index for index, other in enumerate(splits) if other == split]
                own = [cells[index] for index in at]
                self._extend_cells(with_split(split, name), [start + index for index in at], own)

    def _extend_cells(self, name: str, rows: range | Sequence[int], cells: Cells) -> None:
        if isinstance(cells, Sparse):
            if cells.values:
                self.extend(name, [rows[index] for index in cells.rows], cells.values)
            return
        try:
            values = cells if isinstance(cells, array) else array("d", map(float, cells))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            pairs = [(row, number(cell)) for row, cell in zip(rows, cells, strict=True)]
            rows = [row for row, value in pairs if value is not None]
            values = array("d", (value for _, value in pairs if value is not None))
        if values:
            self.extend(name, rows, values)

    def by_column(self, name: str) -> dict[str, _Table]:
        """Return a table for each value of a column, without that column."""
        key = self.columns[name]
        tables: dict[float, _Table] = {}
        place = {key.row(index): value for index, value in enumerate(key.values)}
        counts = dict.fromkeys(place.values(), 0)
        own_row = {}
        for row, value in place.items():
            own_row[row] = counts[value]
            counts[value] += 1
        for other, column in self.columns.items():
            for index, cell in enumerate(column.values):
                row = column.row(index)
                if other != name and row in place:
                    table = tables.setdefault(place[row], _Table())
                    table.extend(other, range(own_row[row], own_row[row] + 1), (cell,))
                    table.rows = counts[place[row]]
        return {f"{value:g}": table for value, table in tables.items()}

    def reports(self) -> Found:
        """Return the rows as reports, by epoch if every row has one."""
        epoch, step = (column_of(kind, self.columns) for kind in ("epoch", "step"))
        metrics = {
            name: column
            for name, column in self.columns.items()
            if name not in (epoch, step) and is_metric(name)
        }
        most = max((len(column.values) for column in metrics.values()), default=0)
        places = self.columns[epoch].values if epoch is not None else array("d")
        has_fractions = not all(map(float.is_integer, places))
        is_finite = not has_fractions or all(map(math.isfinite, places))
        if most and len(places) == self.rows and is_finite:
            distinct = len(set(map(math.floor, places) if has_fractions else places))
            if distinct >= 2 and not has_fractions and most / distinct <= _MANY_IN_EPOCH:
                return self._each("epoch", metrics, places.__getitem__)
            if _MANY_REPORTS >= distinct >= 5:
                reports = _epoch_means(places, metrics)
                note = f"means over {len(reports)} epochs of {self.rows} rows"
                return "epoch", tuple(reports), (note,)
        counted = self.columns[step] if step is not None else _Column()

        def step_at(row: int) -> float:
            place = counted.slice(row, row + 1)
            return place[0] if place and math.isfinite(place[0]) else row + 1

        return self._each("step", metrics, step_at)

    def _each(
        self, unit: str, metrics: Mapping[str, _Column], place: Callable[[int], float]
    ) -> Found:
        """Return each row as a report, but means of the series that are too long."""
        by_row: dict[int, dict[str, float]] = {}
        thinned = 0, 0
        for name, column in metrics.items():
            count = len(column.values)
            size = 1 if count <= _MANY_REPORTS else -(-count // _KEPT_REPORTS)
            if size > 1:
                thinned = max(thinned, (count, size))
            for start in range(0, count, size):
                values = column.values[start : start + size]
                row = column.row(start + len(values) - 1)
                by_row.setdefault(row, {})[name] = values[0] if size == 1 else _mean(name, values)
        notes = (f"means over {thinned[1]} reports each of {thinned[0]}",) if thinned[0] else ()
        return unit, tuple(_merged((int(place(row)), by_row[row]) for row in sorted(by_row))), notes


def _merged(rows: Iterable[Report]) -> list[Report]:
    """Return rows as reports; consecutive rows of one step that do not clash become one.

    Tools that log training and validation apart write two rows for a step.
    """
    reports: list[Report] = []
    for place, metrics in rows:
        last = reports[-1][1] if reports and reports[-1][0] == place else None
        if last is None or any(last[name] != metrics[name] for name in metrics if name in last):
            reports.append((place, metrics))
        else:
            last.update(metrics)
    return reports


def _epoch_means(places: array[float], metrics: Mapping[str, _Column]) -> list[Report]:
    """Return one report for each stretch of rows that lie in the same epoch."""
    # The end of an epoch belongs to it: 1.0 is the last of the first epoch, not the next.
    has_fractions = not all(map(float.is_integer, places[:64]))
    whole = (max(1, math.ceil(at)) for at in places) if has_fractions else map(math.floor, places)
    reports, start = [], 0
    for epoch, rows in groupby(whole):
        end = start + len(list(rows))
        found = {name: column.slice(start, end) for name, column in metrics.items()}
        reports.append((epoch, {name: _mean(name, some) for name, some in found.items() if some}))
        start = end
    return reports


def thinned(reports: Sequence[Report]) -> tuple[Sequence[Report], tuple[str, ...]]:
    """Return reports, means of many thousands of them, with a note on that."""
    if len(reports) <= _MANY_OWN_REPORTS:
        return reports, ()
    size = -(-len(reports) // _MANY_REPORTS)
    means = []
    for start in range(0, len(reports), size):
        part = reports[start : start + size]
        series: dict[str, array[float]] = {}
        for _, metrics in part:
            for name, value in metrics.items():
                series.setdefault(name, array("d")).append(value)
        means.append((part[-1][0], {name: _mean(name, some) for name, some in series.items()}))
    return means, (f"means over {size} reports each of {len(reports)}",)


def _mean(name: str, values: array[float]) -> float:
    """Return the mean of a series; of learning rates and memory the last value.

    One value that is not finite makes it so: it is what the run died of.
    """
    is_state = is_rate(name) or "memory" in words(name)
    return values[-1] if is_state else sum(values) / len(values)


class LoggedRows:
    """The rows of one log. A column ``run`` or the like separates its runs."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}

    @property
    def count(self) -> int:
        """The number of rows so far."""
        return sum(table.rows for table in self._tables.values())

    def add(self, row: Row, run: str = "") -> None:
        """Add one row, which may hold anything; its run is `run`, else what a column names."""
        run_name = None if run else column_of("run", row)
        cell = row.get(run_name) if run_name is not None else None
        table = self._tables.setdefault(run or (str(cell) if _is_text(cell) else ""), _Table())
        kept = {
            name.strip(): value
            for name, cell in with_names(row).items()
            if (value := number(cell)) is not None and place_of(name)[0] != "beside"
        }
        if any(is_metric(name) and name != run_name for name in kept):
            for name, value in kept.items():
                table.extend(name, range(table.rows, table.rows + 1), (value,))
            table.rows += 1

    def add_columns(self, names: Sequence[str], columns: Sequence[Cells]) -> None:
        """Add rows by column, each under its name."""
        texts = {
            name: cells for name, cells in zip(names, columns, strict=True) if _is_text(cells[0])
        }
        if any(place_of(name)[0] == "name" for name in texts):
            for row in zip(*columns, strict=True):
                self.add(dict(zip(names, row, strict=True)))
            return
        named = next((cells for cells in texts.values() if is_split(str(cells[0]))), None)
        shown = None if named is None else list(map(str, named))
        splits = None if shown is None else [split_of(c) if is_split(c) else "" for c in shown]
        run_name = column_of("run", texts)
        if run_name is None:
            self._tables.setdefault("", _Table()).extend_cells(names, columns, splits)
            return
        places: dict[str, list[int]] = {}
        for index, run in enumerate(map(str, texts[run_name])):
            places.setdefault(run, []).append(index)
        for run, at in places.items():
            own = [[cells[index] for index in at] for cells in columns]
            own_splits = None if splits is None else [splits[index] for index in at]
            self._tables.setdefault(run, _Table()).extend_cells(names, own, own_splits)

    def runs(self, path: Path, form: str, note: str = "") -> list[LoggedRun]:
        """Return the runs that the rows hold, with a `note` on how they were read.

        Raises:
            LogProblem: there are no numbers besides steps.
        """
        tables = self._tables
        if list(tables) == [""]:
            tables = _by_number(tables[""])
        found = []
        for name, table in tables.items():
            unit, reports, own_notes = table.reports()
            if reports:
                planned = table.columns.get(column_of("planned", table.columns) or "")
                total = planned.values[-1] if planned is not None else None
                known = {kind: column_of(kind, table.columns) for kind in FACTS}
                last = {key: c.values[-1] for key, c in table.columns.items() if is_metric(key)}
                found.append(
                    LoggedRun(
                        name or path.stem,
                        path,
                        form,
                        reports,
                        unit,
                        total_steps=total,
                        notes=(*own_notes, note) if note else own_notes,
                        last=last,
                        facts={
                            kind: table.columns[key].values[-1]
                            for kind, key in known.items()
                            if key
                        },
                    )
                )
        if not found:
            raise LogProblem("holds no series of numbers")
        return found


def _by_number(table: _Table) -> dict[str, _Table]:
    """Return the tables of the runs that a column of numbers separates, else the one table."""
    name = column_of("run", table.columns)
    if name is None:
        return {"": table}
    # A number that differs in nearly every row is a measurement, not a run.
    ids = set(table.columns[name].values)
    is_run = 1 < len(ids) <= max(2, table.rows // 3)
    return table.by_column(name) if is_run else {"": table}


def _is_text(cell: object) -> bool:
    return isinstance(cell, str) and bool(cell) and number(cell) is None
