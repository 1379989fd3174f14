"""Log files of a script, each followed by the reader that its name and content ask for.

A reader is a function ``poll(last) -> rows``: the rows since the last call; `last` means that
nothing writes any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.engine.script.reports.columns import Columns
from orchestrator.engine.script.reports.merge import Merger, Reports
from orchestrator.engine.script.reports.output_lines import Lines
from orchestrator.engine.script.reports.patterns import Follower
from orchestrator.runs.curves import (
    EventLog,
    LogProblem,
    WandbLog,
    cells,
    is_event_file,
    is_wandb_log,
    tail,
)

Row = dict[str, Any]
Poll = Callable[[bool], list[Row]]

_SPLITS = ("train", "val", "valid", "validation", "eval", "test")
_SNIFFED = 65_536  # bytes by which a file's kind is recognised


class RowLog(Merger):
    """A log of rows.

    Args:
        where: the file, for messages.
        at_once: every row is a report, and waits for no other of its step.
    """

    def __init__(
        self, where: str, poll: Poll, columns: Columns, reports: Reports, *, at_once: bool = False
    ) -> None:
        super().__init__(reports)
        self._where = where
        self._poll = poll
        self._columns = columns
        self._at_once = at_once

    def look(self, now: float, *, last: bool = False) -> None:
        """Take what is new; with `last` nothing writes any more, so that nothing is waited for."""
        for row in self._poll(last):
            step, values = self._columns.read(row)
            if not values:
                continue
            self.take(step, values, now)
            self.total(self._columns.planned(row))
            if self._at_once:
                self.send()
        self._columns.warn(self._where, self)
        if last:
            self.send()
        else:
            self.tick(now)


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
        for line in self._lines.feed(self._file.read()[0]):
            self.line(line, now)
        self.tick(now)
        if last:
            unfinished = self._lines.unfinished()
            if unfinished is not None:
                self.line(unfinished, now)
            self.send()


class LogFiles:
    """Opens the logs of one script.

    Args:
        reports: receives the reports; results without a step belong to its last one.
        step: the column of the step; None finds it.
        names: our name of a metric to its name in the log.
        patterns: for logs of plain text.
        epochs: how many epochs there will be; None if unknown.
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
        self._step = step
        self._names = names or {}
        self._patterns = patterns
        self._epochs = epochs
        self._entries_taken = 0  # of the history that each checkpoint of Hugging Face holds whole

    def open(self, path: Path, after: tail.Mark | None = None) -> RowLog | TextLog | None:
        """Return the log in a file or MLflow run folder; None while its kind is not known.

        What the file held at the mark `after` is skipped: the script had not begun.
        """
        name = path.name.lower()
        if path.is_dir():
            return self._rows(path, tail.MlflowRun(path).poll, self._own_steps())
        if is_event_file(path):
            return self._rows(path, _event_poll(path, after), Columns("_step", self._names))
        if is_wandb_log(path):
            return self.open_wandb(path)
        if name.endswith((".csv", ".tsv")):
            return self._rows(path, tail.GrowingCsv(path, after).poll)
        kind = _sniffed(path)
        if name.endswith((".jsonl", ".ndjson")) or kind == "lines":
            return self._rows(path, tail.GrowingJsonLines(path, after).poll)
        if name.endswith(".json"):
            is_state = path.name == "trainer_state.json"
            columns = self._columns(prefers_steps=is_state)
            return self._rows(path, self._json_poll(path), columns) if kind else None
        if self._patterns:
            return TextLog(path, after, self._patterns, self._reports)
        return self._rows(path, tail.GrowingCsv(path, after).poll) if kind == "table" else None

    def open_wandb(self, path: Path) -> RowLog:
        """Return an offline log of W&B; each ``wandb.log`` is a report."""
        log = WandbLog(path)

        def poll(_: bool) -> list[Row]:
            try:
                log.read()
            except LogProblem:
                return []
            rows = _stepped(log.reports)
            log.reports.clear()  # a training of days must not fill the memory
            return rows

        at_once = self._step is None
        return RowLog(path.name, poll, self._own_steps(), self._reports, at_once=at_once)

    def open_reported(self, path: Path, after: tail.Mark | None) -> RowLog:
        """Return the file of JSON lines that a script reports into; each line is a report."""
        columns = Columns(self._step, self._names, prefers_steps=True)
        poll = tail.GrowingJsonLines(path, after).poll
        return RowLog("$SWEEP_METRICS", poll, columns, self._reports, at_once=True)

    def _rows(self, path: Path, poll: Poll, columns: Columns | None = None) -> RowLog:
        return RowLog(path.name, poll, columns or self._columns(), self._reports)

    def _columns(self, *, prefers_steps: bool = False) -> Columns:
        return Columns(self._step, self._names, prefers_steps=prefers_steps, epochs=self._epochs)

    def _own_steps(self) -> Columns:
        """Return the columns of a log that counts its steps itself."""
        return Columns(self._step or "_step", self._names)

    def _json_poll(self, path: Path) -> Poll:
        """Return the reader of a JSON file that is written whole: results or a history."""
        file = tail.RewrittenJson(path)
        taken = 0

        def poll(_: bool) -> list[Row]:
            nonlocal taken
            content = file.poll()
            if isinstance(content, dict) and isinstance(content.get("log_history"), list):
                rows = list(_history_entries(content))
                new, self._entries_taken = rows[self._entries_taken :], len(rows)
                return new
            rows = _rows_of(content)
            if isinstance(content, list) or len(rows) > 1:
                new, taken = rows[taken:], len(rows)
                return new
            step = self._reports.last_step
            has_step = any(name.lower() in (*cells.EPOCHS, *cells.STEPS) for name in chain(*rows))
            return rows if step is None or has_step else [{**row, "_step": step} for row in rows]

        return poll


def _event_poll(path: Path, after: tail.Mark | None) -> Poll:
    log = EventLog(path, after)
    # Keras writes curves of one name into a folder for each split.
    prefix = f"{path.parent.name}/" if path.parent.name.lower() in _SPLITS else ""

    def poll(_: bool) -> list[Row]:
        named = [
            (step, {f"{prefix}{name}": value for name, value in scalars.items()})
            for step, scalars in log.read()
        ]
        return _stepped(named)

    return poll


def _stepped(reports: Sequence[tuple[int, dict[str, float]]]) -> list[Row]:
    return [{**values, "_step": step} for step, values in reports]


def _history_entries(content: dict[str, Any]) -> Iterator[Row]:
    """Yield the entries of a ``trainer_state.json``, without the one that sums it all up."""
    planned = content.get("max_steps")
    for entry in content["log_history"]:
        if isinstance(entry, dict) and "train_runtime" not in entry:
            yield {**entry, **({"max_steps": planned} if isinstance(planned, int) else {})}


def _rows_of(content: Any) -> list[Row]:
    """Return a list of records, lists by name, or one record of results, as rows."""
    if isinstance(content, list):
        return [cells.flat(item) for item in content if isinstance(item, dict)]
    if not isinstance(content, dict):
        return []
    history = content.get("history", content)
    if isinstance(history, dict):
        lists = {key: value for key, value in history.items() if _is_series(value)}
        has_results = any(isinstance(value, int | float | dict) for value in content.values())
        # One list among other results is a value for each class or the like, not a curve.
        if lists and (history is not content or not has_results):
            return cells.transposed(lists)
    return [cells.flat(content)]


def _is_series(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], int | float)


def _sniffed(path: Path) -> str:
    """Return what a file holds: ``lines`` of JSON, ``json``, a ``table``, or "" if unknown."""
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
    has_delimiter = any(sign in first for sign in (b",", b";", b"\t"))
    has_digits = any(48 <= byte <= 57 for byte in rest.partition(b"\n")[0])
    is_heading = not any(48 <= byte <= 57 for byte in first[:1])
    return "table" if has_delimiter and has_digits and is_heading else ""
