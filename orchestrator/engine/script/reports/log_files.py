"""One log file of a script, followed by the reader that its name and content ask for.

What a row of a log means: which of its cells is the step, and which are metrics.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from orchestrator.engine.script.reports.merge import Merger, Reports
from orchestrator.engine.script.reports.output_lines import Lines
from orchestrator.engine.script.reports.patterns import Follower
from orchestrator.runs.curves import (
    EPOCHS,
    STEPS,
    EventLog,
    GrowingCsv,
    GrowingFile,
    GrowingJsonLines,
    LogProblem,
    Mark,
    MlflowRun,
    RewrittenJson,
    WandbLog,
    cells,
    flat,
    is_event_file,
    is_wandb_log,
    number,
    transposed,
)

Row = dict[str, Any]

PLACES = (*EPOCHS, *STEPS)
_SPLITS = ("train", "val", "valid", "validation", "eval", "test")
_SNIFFED = 65_536  # bytes that a file's kind is told from


class Log(Protocol):
    """A log that is followed."""

    @property
    def count(self) -> int:
        """How many reports it has given."""

    def look(self, now: float) -> None:
        """Take what is new; `now` is a time in s of any clock that only rises."""

    def close(self, now: float) -> None:
        """Take what is left."""


@dataclass
class Settings:
    """What the file says about logs.

    Attributes:
        step: the column of the step; None finds it.
        names: our name of a metric to that in the log.
        patterns: for logs that are plain text.
        histories: entries taken of the histories that several files hold whole.
        epochs: how many epochs there will be, where the config says so.
        latest: returns the step that was reported last, for results that name none.
    """

    step: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    patterns: Sequence[str] = ()
    histories: int = 0
    epochs: int | None = None
    latest: Callable[[], int | None] = lambda: None

    def columns(self, *, prefers_steps: bool = False) -> Columns:
        """Return what tells step and metrics of a row."""
        return Columns(self.step, self.names, prefers_steps=prefers_steps, epochs=self.epochs)

    def own_steps(self) -> Columns:
        """Return the same for a log that counts its steps itself."""
        return Columns(self.step or "_step", self.names)


class RowsLog:
    """A log of rows.

    Args:
        where: the file, for messages.
        read: returns new rows; it is told whether nobody writes on.
        columns: tells step and metrics.
        sink: takes the reports.
        at_once: every row is a report, and waits for no other of its step.
    """

    def __init__(
        self,
        where: str,
        read: Callable[[bool], Sequence[Row]],
        columns: Columns,
        sink: Reports,
        *,
        at_once: bool = False,
    ) -> None:
        self._where = where
        self._read = read
        self._columns = columns
        self._merger = Merger(sink)
        self._at_once = at_once

    @property
    def count(self) -> int:
        """How many reports it has given."""
        return self._merger.count

    @property
    def step(self) -> int | None:
        """The step that was reached."""
        return self._merger.step

    def look(self, now: float) -> None:
        """Take what is new."""
        self._take(self._read(False), now)
        self._merger.tick(now)

    def close(self, now: float) -> None:
        """Take what is left."""
        self._take(self._read(True), now)
        self._merger.send()

    def _take(self, rows: Sequence[Row], now: float) -> None:
        for row in rows:
            step, values = self._columns.read(row)
            if not values:
                continue
            self._merger.take(step, values, now)
            self._merger.total(self._columns.planned(row))
            if self._at_once:
                self._merger.send()
        self._columns.warn(self._where, self._merger)


class TextLog:
    """A log of plain text, in which patterns find metrics as in the output."""

    def __init__(
        self, path: Path, after: Mark | None, patterns: Sequence[str], sink: Reports
    ) -> None:
        self._file = GrowingFile(path, after)
        self._lines = Lines()
        self._patterns = patterns
        self._follower = Follower(patterns, sink)

    @property
    def count(self) -> int:
        """How many reports it has given."""
        return self._follower.count

    @property
    def matched(self) -> set[str]:
        """The patterns that have found something."""
        return set(self._patterns) - set(self._follower.unmatched)

    def look(self, now: float) -> None:
        """Take what is new."""
        for line in self._lines.feed(self._file.read()[0]):
            self._follower.line(line, now)
        self._follower.tick(now)

    def close(self, now: float) -> None:
        """Take what is left."""
        self.look(now)
        unfinished = self._lines.unfinished()
        if unfinished is not None:
            self._follower.line(unfinished, now)
        self._follower.close()


def open_log(path: Path, after: Mark | None, settings: Settings, sink: Reports) -> Log | None:
    """Return the log in a file or MLflow run folder; None while its kind cannot be told.

    Args:
        path: the file or folder.
        after: how far it was written before the script began.
        settings: what the sweep file says about logs.
        sink: takes the reports.
    """
    name = path.name.lower()
    plain = settings.columns()
    if path.is_dir():
        run = MlflowRun(path)
        return RowsLog(path.name, lambda _: stepped(run.read()), settings.own_steps(), sink)
    if is_event_file(path):
        return _events(path, after, settings, sink)
    if is_wandb_log(path):
        return wandb_log(path, settings, sink)
    if name.endswith((".csv", ".tsv")):
        table = GrowingCsv(path, after)
        return RowsLog(path.name, lambda last: table.close() if last else table.read(), plain, sink)
    kind = _sniffed(path)
    if name.endswith((".jsonl", ".ndjson")) or kind == "lines":
        records = GrowingJsonLines(path, after)
        return RowsLog(
            path.name, lambda last: records.close() if last else records.read(), plain, sink
        )
    if name.endswith(".json"):
        return _json(path, settings, sink) if kind else None
    if settings.patterns:
        return TextLog(path, after, settings.patterns, sink)
    if kind == "table":
        table = GrowingCsv(path, after)
        return RowsLog(path.name, lambda last: table.close() if last else table.read(), plain, sink)
    return None


def wandb_log(path: Path, settings: Settings, sink: Reports) -> RowsLog:
    """Return what follows an offline log of W&B; each ``wandb.log`` is a report."""
    log = WandbLog(path)

    def read(_: bool) -> list[Row]:
        try:
            log.read()
        except LogProblem:
            return []
        rows = stepped(log.reports)
        log.reports.clear()  # a training of days must not fill the memory
        return rows

    return RowsLog(path.name, read, settings.own_steps(), sink, at_once=settings.step is None)


def stepped(reports: Sequence[tuple[int, dict[str, float]]]) -> list[Row]:
    """Return reports as rows."""
    return [{**values, "_step": step} for step, values in reports]


def _events(path: Path, after: Mark | None, settings: Settings, sink: Reports) -> RowsLog:
    log = EventLog(path, after)
    # Keras writes curves of one name into a folder for each split.
    prefix = f"{path.parent.name}/" if path.parent.name.lower() in _SPLITS else ""

    def read(_: bool) -> list[Row]:
        return stepped(
            [
                (step, {f"{prefix}{name}": value for name, value in scalars.items()})
                for step, scalars in log.read()
            ]
        )

    return RowsLog(path.name, read, Columns("_step", settings.names), sink)


def _json(path: Path, settings: Settings, sink: Reports) -> RowsLog:
    """Return what follows a JSON file that is written whole: results, a history, HF's state."""
    file = RewrittenJson(path)
    taken = 0

    def read(_: bool) -> list[Row]:
        nonlocal taken
        content = file.read()
        if isinstance(content, dict) and isinstance(content.get("log_history"), list):
            # Each checkpoint holds all of it again.
            rows = list(_entries(content))
            new, settings.histories = rows[settings.histories :], len(rows)
            return new
        rows = _rows_of(content)
        if isinstance(content, list) or len(rows) > 1:
            new, taken = rows[taken:], len(rows)
            return new
        latest = settings.latest()
        if latest is not None and not any(name.lower() in PLACES for name in chain(*rows)):
            return [{**row, "_step": latest} for row in rows]
        return rows

    is_state = path.name == "trainer_state.json"
    return RowsLog(path.name, read, settings.columns(prefers_steps=is_state), sink)


def _entries(content: dict[str, Any]) -> Iterator[Row]:
    """Yield the entries of a ``trainer_state.json``, without the one that sums it all up."""
    planned = content.get("max_steps")
    for entry in content["log_history"]:
        if isinstance(entry, dict) and "train_runtime" not in entry:
            yield {**entry, **({"max_steps": planned} if isinstance(planned, int) else {})}


def _rows_of(content: Any) -> list[Row]:
    """Return a list of records, lists by name, or one record of results, as rows."""
    if isinstance(content, list):
        return [flat(item) for item in content if isinstance(item, dict)]
    if not isinstance(content, dict):
        return []
    history = content.get("history", content)
    if isinstance(history, dict):
        lists = {key: value for key, value in history.items() if _is_series(value)}
        # One list among other results is a value for each class or the like, and no curve.
        if lists and (history is not content or not any(map(_is_plain, content.values()))):
            return transposed(lists)
    return [flat(content)]


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | dict)


def _is_series(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], int | float)


def _sniffed(path: Path) -> str:
    """Return what the content of a file is: ``lines`` of JSON, ``json``, ``table``, or nothing."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_SNIFFED).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return ""
    first, end, rest = head.partition(b"\n")
    if first.lstrip()[:1] in (b"{", b"["):
        try:
            record = json.loads(first)
        except (ValueError, RecursionError):
            return "json"
        is_line = isinstance(record, dict) and (bool(rest.strip()) or path.suffix != ".json")
        return "lines" if is_line and end else "json"
    words = max((first.count(sign) for sign in (b",", b";", b"\t")), default=0)
    second = rest.partition(b"\n")[0]
    digits = any(48 <= byte <= 57 for byte in second)
    return "table" if words and digits and not any(48 <= b <= 57 for b in first[:1]) else ""


MANY_ROWS = 200
"""Rows of one epoch with steps of their own, from which on the user is told."""


class Columns:
    """Tells step and metrics of the rows of one source, the same way for all of them.

    The step is the column that is named; else ``epoch`` where that holds whole numbers (trials
    with different batch sizes are then compared at the same epoch); else ``step`` and its like;
    else rows are counted.

    Args:
        step: the column of the step; None finds it.
        names: our name of a metric to that in the log.
        prefers_steps: a column ``step`` goes before ``epoch``.
        epochs: how many epochs there will be, where the config says so.
    """

    def __init__(
        self,
        step: str | None = None,
        names: Mapping[str, str] | None = None,
        *,
        prefers_steps: bool = False,
        epochs: int | None = None,
    ) -> None:
        self._given = step
        self._epochs = epochs
        self._first_epoch: float | None = None
        self._ours = {theirs: ours for ours, theirs in (names or {}).items()}
        self._order = (cells.STEPS, cells.EPOCHS) if prefers_steps else (cells.EPOCHS, cells.STEPS)
        self._column: str | None = None
        self._count = 0
        self._steps_of_epoch: set[float] = set()
        self._epoch: float | None = None
        self.is_epoch = False

    def read(self, row: Mapping[str, Any]) -> tuple[float | None, dict[str, float]]:
        """Return step and metrics of a row; no metrics where it has none."""
        plain = {name.strip().lower(): name for name in reversed(list(row))}
        values = {
            self._ours.get(name.strip(), name.strip()): value
            for name, cell in row.items()
            if name != self._given
            and (name.strip() in self._ours or name.strip().lower() not in NO_METRICS)
            and (value := number(cell)) is not None
        }
        if not values:
            return None, {}
        self._count += 1
        if self._column is None:
            self._column = self._find(row, plain)
        column = self._column
        step = number(row.get(column)) if column else float(self._count)
        if step is not None and self._given is None:
            self._watch(step, plain, row)
        return step, values

    def planned(self, row: Mapping[str, Any]) -> float | None:
        """Return how many steps there will be, where the row says so."""
        plain = {name.strip().lower(): name for name in row}
        name = next((plain[key] for key in cells.PLANNED if key in plain), None)
        if name is None and self.is_epoch and self._epochs is not None:
            # Lightning and Keras count from 0, so that the last of 50 is 49.
            return self._epochs - 1 if self._first_epoch == 0 else self._epochs
        return None if name is None else number(row[name])

    def warn(self, where: str, merger: Merger) -> None:
        """Say where rows are taken for parts of one epoch and are a whole training."""
        if len(self._steps_of_epoch) >= MANY_ROWS:
            text = f"{where}: {MANY_ROWS} rows are all of epoch {self._epoch:g}, so that only their"
            merger.warn_once("epoch", f"{text} last values count. Write step: step to count steps")

    def _find(self, row: Mapping[str, Any], plain: Mapping[str, str]) -> str:
        """Return the column of the step; "" where rows are counted."""
        if self._given is not None:
            return self._given
        for kind in self._order:
            for key in kind:
                value = number(row.get(plain[key])) if key in plain else None
                whole = value is not None and math.isfinite(value) and value == int(value)
                if whole:
                    self.is_epoch = key in cells.EPOCHS
                    return plain[key]
        return ""

    def _watch(self, step: float, plain: Mapping[str, str], row: Mapping[str, Any]) -> None:
        if not self.is_epoch:
            return
        if self._first_epoch is None:
            self._first_epoch = step
        if step != self._epoch:
            self._epoch, self._steps_of_epoch = step, set()
        inner = next((number(row[plain[key]]) for key in cells.STEPS if key in plain), None)
        if inner is not None and len(self._steps_of_epoch) < MANY_ROWS:
            self._steps_of_epoch.add(inner)


NO_METRICS = frozenset((*cells.EPOCHS, *cells.STEPS, *cells.PLANNED, *cells.BESIDE))
"""Columns that tell a place in the training, and not how well it does."""
