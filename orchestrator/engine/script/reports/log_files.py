"""Log files of a script, each followed by the reader that its name and content ask for.

A reader is a function ``poll(last) -> rows``: the rows since the last call; `last` means that
nothing writes any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.engine.script.output_text import Lines
from orchestrator.engine.script.reports.merge import Follower, Merger, Reports
from orchestrator.files.series_names import is_split
from orchestrator.runs.curves import (
    EventLog,
    JsonLinesParser,
    LogProblem,
    MlflowRun,
    WandbLog,
    cells,
    is_event_file,
    is_wandb_log,
    reader_of,
    tail,
)

Row = Mapping[str, Any]
Poll = Callable[[bool], Iterable[Row]]

MANY_ROWS = 200  # of one epoch with their own steps, from which on the user is warned
_TEXTS = (".log", ".txt", ".out", "")


@dataclass(frozen=True)
class Columns:
    """What is known of the columns of a log before it is read."""

    step: str | None = None  # the column of the step; None finds it
    names: Mapping[str, str] = field(default_factory=dict)  # our name of a metric to the log's
    epochs: int | None = None  # how many there will be, if known
    prefers_steps: bool = False  # a column ``step`` goes before ``epoch``


class RowLog(Merger):
    """A log of rows.

    The step is the given column; else ``epoch`` if that holds whole numbers (trials with different
    batch sizes are then compared at the same epoch); else ``step`` and its synonyms; else rows are
    counted.

    Args:
        where: the file, for messages.
        at_once: every row is a report, and waits for no other of its step.
        left_out: returns sentences on what was not read.
    """

    def __init__(
        self,
        where: str,
        poll: Poll,
        reports: Reports,
        columns: Columns,
        *,
        at_once: bool = False,
        left_out: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        super().__init__(reports)
        self._where = where
        self._poll = poll
        self._at_once = at_once
        self._epochs = columns.epochs
        self._ours = {theirs: ours for ours, theirs in columns.names.items()}
        self._left_out = left_out
        self._order = ("step", "epoch") if columns.prefers_steps else ("epoch", "step")
        self._given = self._column = columns.step
        self._is_epoch = False
        self._rows = 0
        self._first_epoch: float | None = None
        self._epoch: float | None = None
        self._steps_of_epoch: set[float] = set()

    def look(self, now: float, *, last: bool = False) -> None:
        """Take what is new; with `last` nothing writes any more, so that nothing is waited for."""
        for found in self._poll(last):
            row = cells.with_names(found)
            values = self._metrics_in(row)
            if not values:
                continue
            self.take(self._step_in(row), values, now)
            self.total(self._planned(row))
            if self._at_once:
                self.send()
        if len(self._steps_of_epoch) >= MANY_ROWS:
            self.warn_once(
                "epoch",
                f"{self._where}: {MANY_ROWS} rows are all of epoch {self._epoch:g}, so that only "
                "their last values count. Write step: step to count steps",
            )
        if last:
            self.send()
            for text in self._left_out():
                self.warn_once(text, f"{self._where}: {text}")
        else:
            self.tick(now)

    def _metrics_in(self, row: Row) -> dict[str, float]:
        found = {}
        for written, cell in row.items():
            name = written.strip()
            is_metric = name in self._ours or cells.is_metric(name)
            value = cells.number(cell) if is_metric and written != self._given else None
            if value is not None:
                found[self._ours.get(name, name)] = value
        return found

    def _step_in(self, row: Row) -> float | None:
        """Return the step of a row."""
        self._rows += 1
        if self._column is None:
            self._column = self._find_column(row)
        step = cells.number(row.get(self._column)) if self._column else float(self._rows)
        if step is None or not self._is_epoch:
            return step
        if self._first_epoch is None:
            self._first_epoch = step
        if step != self._epoch:
            self._epoch, self._steps_of_epoch = step, set()
        inner = cells.number(row.get(cells.column_of("step", row) or ""))
        if inner is not None and len(self._steps_of_epoch) < MANY_ROWS:
            self._steps_of_epoch.add(inner)
        return step

    def _find_column(self, row: Row) -> str:
        """Return the column of the step; "" if rows are counted."""
        for kind in self._order:
            name = cells.column_of(kind, row)
            value = cells.number(row[name]) if name is not None else None
            if name is not None and value is not None and value.is_integer():
                self._is_epoch = kind == "epoch"
                return name
        return ""

    def _planned(self, row: Row) -> float | None:
        """Return how many steps there will be; None if unknown."""
        name = cells.column_of("planned", row)
        if name is None and self._is_epoch and self._epochs is not None:
            # Lightning and Keras count from 0, so that the last of 50 is 49.
            return self._epochs - 1 if self._first_epoch == 0 else self._epochs
        return None if name is None else cells.number(row[name])


class TextLog(Follower):
    """A log of plain text, in which patterns find metrics as in the output."""

    def __init__(
        self, path: Path, after: tail.Mark | None, patterns: Sequence[str], reports: Reports
    ) -> None:
        super().__init__(patterns, reports)
        self._file = tail.GrowingFile(path, after)
        self._lines = Lines()

    def look(self, now: float, *, last: bool = False) -> None:
        """Take what is new; see `RowLog.look`."""
        for data, _ in self._file.pieces(last=last):
            for line in self._lines.feed(data):
                self.line(line, now)
        self.tick(now)
        if last:
            unfinished = self._lines.unfinished()
            if unfinished is not None:
                self.line(unfinished, now)
            self.send()


class LogFiles:
    """Opens the logs of one script; results without a step belong to the step of its last report.

    Args:
        patterns: for logs of plain text; see `RowLog` for the others.
    """

    def __init__(
        self,
        reports: Reports,
        *,
        step: str | None = None,
        names: Mapping[str, str] | None = None,
        patterns: Sequence[str] = (),
        epochs: int | None = None,
    ) -> None:
        self._reports = reports
        self._columns = Columns(step, names or {}, epochs)
        self._patterns = patterns
        self._entries_taken = 0  # of the history that each checkpoint of Hugging Face holds whole

    def open(self, path: Path, after: tail.Mark | None = None) -> RowLog | TextLog | None:
        """Return the log in a file or MLflow run folder; None while its kind is not known.

        What the file held at the mark `after` is skipped: the script had not begun.
        """
        if path.is_dir():
            return self._numbered(path, MlflowRun(path).poll)
        if is_event_file(path):
            return self._numbered(path, _event_poll(path, after), own_steps=True)
        if is_wandb_log(path):
            return self.open_wandb(path)
        try:
            reader = reader_of(path)
        except LogProblem:
            return None
        if reader is None:
            return None
        is_text = reader.read_with_pattern is not None
        is_maybe_text = reader.name == "CSV" and path.suffix.lower() in _TEXTS
        if self._patterns and (is_text or is_maybe_text):
            return TextLog(path, after, self._patterns, self._reports)
        if reader.parser is None:
            is_state = path.name == "trainer_state.json"
            file = tail.RewrittenJson(path)
            poll = self._json_poll(file)
            columns = replace(self._columns, prefers_steps=is_state)
            return self._rows(path.name, poll, columns, left_out=file.left_out)
        if is_text and not any(True for _ in reader.parser().rows(tail.first_lines(path))):
            return None
        rows = tail.GrowingRows(path, reader.parser, after)
        return self._rows(path.name, rows.poll, self._columns, left_out=rows.left_out)

    def open_wandb(self, path: Path) -> RowLog:
        """Return an offline log of W&B; each ``wandb.log`` is a report."""
        log = WandbLog(path)

        def poll(_: bool) -> list[Row]:
            try:
                log.read()
            except LogProblem:
                return []
            rows = list(_stepped(log.reports))
            log.reports.clear()  # a training of days must not fill the memory
            return rows

        return self._numbered(path, poll, at_once=self._columns.step is None)

    def open_reported(self, path: Path, after: tail.Mark | None) -> RowLog:
        """Return the file of JSON lines that a script reports into; each line is a report."""
        rows = tail.GrowingRows(path, JsonLinesParser, after)
        columns = replace(self._columns, prefers_steps=True, epochs=None)
        return self._rows(
            "$SWEEP_METRICS", rows.poll, columns, at_once=True, left_out=rows.left_out
        )

    def _numbered(
        self, path: Path, poll: Poll, *, own_steps: bool = False, at_once: bool = False
    ) -> RowLog:
        """Return a log that counts its steps itself."""
        given = None if own_steps else self._columns.step
        columns = replace(self._columns, step=given or "_step", epochs=None)
        return self._rows(path.name, poll, columns, at_once=at_once)

    def _rows(self, where: str, poll: Poll, columns: Columns, **known: Any) -> RowLog:
        return RowLog(where, poll, self._reports, columns, **known)

    def _json_poll(self, file: tail.RewrittenJson) -> Poll:
        """Return the reader of a JSON file that is written whole: results or a history."""
        taken = 0

        def poll(_: bool) -> Sequence[Row]:
            nonlocal taken
            content = file.poll()
            if isinstance(content, dict) and isinstance(content.get("log_history"), list):
                rows = _history_entries(content)
                new, self._entries_taken = rows[self._entries_taken :], len(rows)
                return new
            rows = _rows_of(content)
            if isinstance(content, list) or len(rows) > 1:
                new, taken = rows[taken:], len(rows)
                return new
            step = self._reports.last_step
            has_step = any(cells.column_of(kind, chain(*rows)) for kind in ("epoch", "step"))
            return rows if step is None or has_step else [{**row, "_step": step} for row in rows]

        return poll


def _event_poll(path: Path, after: tail.Mark | None) -> Poll:
    log = EventLog(path, after)
    # Keras writes curves of one name into a folder for each split.
    prefix = f"{path.parent.name}/" if is_split(path.parent.name) else ""
    return lambda last: _stepped(log.read(last=last), prefix)


def _stepped(reports: Iterable[tuple[int, dict[str, float]]], prefix: str = "") -> Iterator[Row]:
    for step, values in reports:
        yield {f"{prefix}{name}": value for name, value in values.items()} | {"_step": step}


def _history_entries(content: dict[str, Any]) -> Sequence[Row]:
    """Return the entries of a ``trainer_state.json``, without the one that sums it all up."""
    planned = content.get("max_steps")
    more = {"max_steps": planned} if isinstance(planned, int) else {}
    entries = (entry for entry in content["log_history"] if isinstance(entry, dict))
    return [entry | more for entry in entries if "train_runtime" not in entry]


def _rows_of(content: Any) -> Sequence[Row]:
    """Return a list of records, lists by name, or one record of results, as rows."""
    if isinstance(content, list):
        return [cells.flat(item) for item in content if isinstance(item, dict)]
    if not isinstance(content, dict):
        return []
    history = content.get("history", content)
    if isinstance(history, dict):
        lists = {
            key: value
            for key, value in history.items()
            if isinstance(value, list) and value and isinstance(value[0], int | float)
        }
        has_results = any(isinstance(value, int | float | dict) for value in content.values())
        # One list among other results is a value for each class or the like, not a curve.
        if lists and (history is not content or not has_results):
            return cells.transposed(lists)
    return [cells.flat(content)]
