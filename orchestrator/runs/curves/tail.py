"""Follow log files that another program is still writing: return what is new since the last poll.

A file may not exist yet, end in the middle of a line, be truncated and written again, or be
replaced by another file of the same name. Memory does not grow with the file.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.files import jsonl, regular
from orchestrator.runs.curves.cells import flat, number

Row = dict[str, Any]

LONGEST_LINE = 1 << 20  # bytes; a longer one is dropped

_MOST_BYTES = 4 << 20  # read by one poll; a longer piece takes several
_LARGEST_JSON = 32 << 20  # bytes of a file of JSON that is read whole
_PRINT = 256  # bytes at the beginning and before the last position that identify a file
_LONGEST_CELL = 100  # lines that one quoted cell may span
_MOST_METRICS = 5_000  # files of one MLflow run


def file_version(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written: inode, size, time; None if there is no file."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def modified_ns(path: Path) -> int:
    """Return when a file was written, ns; 0 if there is no file."""
    version = file_version(path)
    return 0 if version is None else version[2]


@dataclass(frozen=True)
class Mark:
    """How far a file was written or read at some time, with its first and last bytes."""

    inode: int = 0
    size: int = 0
    head: bytes = b""
    last: bytes = b""
    written_ns: int = 0


def mark(path: Path) -> Mark | None:
    """Return how far a file is written now; None if there is no file."""
    try:
        with regular.open_file(path) as stream:
            state = os.fstat(stream.fileno())
            head = os.pread(stream.fileno(), min(_PRINT, state.st_size), 0)
            last = os.pread(stream.fileno(), _PRINT, max(0, state.st_size - _PRINT))
            return Mark(state.st_ino, state.st_size, head, last, state.st_mtime_ns)
    except OSError:
        return None


class GrowingFile:
    """The bytes of one file, as far as they are written.

    Args:
        path: the file; it may not exist yet.
        after: skip what the file held at that time, since an earlier run wrote it.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self.path = path
        self._after = after
        self._done = after or Mark()
        self._version: tuple[int, int, int] | None = None

    def read(self, most: int = _MOST_BYTES) -> tuple[bytes, bool]:
        """Return at most `most` bytes since the last call, and whether the file started again."""
        done, version = self._done, file_version(self.path)
        if version is None or (version == self._version and done.size >= version[1]):
            return b"", False
        try:
            with regular.open_file(self.path) as stream:
                handle = stream.fileno()
                state = os.fstat(handle)
                has_restarted = done.size > 0 and self._has_restarted(handle, state)
                if has_restarted:
                    done = Mark()
                data = os.pread(handle, most, done.size)
                head = done.head if len(done.head) == _PRINT else os.pread(handle, _PRINT, 0)
        except OSError:
            return b"", False
        self._version = (state.st_ino, state.st_size, state.st_mtime_ns)
        end = done.size + len(data)
        last = (done.last + data)[-_PRINT:]
        self._done = Mark(state.st_ino, end, head[:end], last, state.st_mtime_ns)
        return data, has_restarted

    def _has_restarted(self, handle: int, state: os.stat_result) -> bool:
        done, after = self._done, self._after
        if after is not None and state.st_mtime_ns != after.written_ns:
            self._after = None
            # Appending makes a file longer: a script has written the same text again.
            if state.st_size == after.size:
                return True
        if state.st_ino != done.inode or state.st_size < done.size:
            return True
        last = os.pread(handle, len(done.last), done.size - len(done.last))
        return last != done.last or os.pread(handle, len(done.head), 0) != done.head


class GrowingLines(GrowingFile):
    """The whole lines of one file, as far as they are written."""

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        super().__init__(path, after)
        self._rest = b""
        self._is_too_long = False  # the beginning of the present line was dropped

    def read_lines(self, last: bool = False) -> tuple[list[bytes], bool]:
        """Return the lines since the last call, and whether the file has started again.

        With `last` nothing writes any more, so that the last line needs no end.
        """
        data, has_restarted = self.read()
        if has_restarted:
            self._rest, self._is_too_long = b"", False
        lines = []
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if len(line) <= LONGEST_LINE and not self._is_too_long:
                lines.append(line.removesuffix(b"\r"))
            self._is_too_long = False
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._is_too_long = b"", True
        if last and self._rest and not self._is_too_long:
            lines.append(self._rest)
            self._rest = b""
        return lines, has_restarted


class _GrowingTable(GrowingLines):
    """The rows of one file; a subclass parses them.

    Tools write a table again to add a column, or because they always write all of it. A table
    that begins with the same row as before is the same table, and continues after the rows that
    were returned; any other is a new one.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        super().__init__(path, after)
        self._first: Row = {}
        self._known = 0  # rows of this table that were returned
        self._place = 0  # rows of it that were read since the file was last written again

    def poll(self, last: bool = False) -> list[Row]:
        """Return the rows since the last call; with `last` the last line needs no end."""
        lines, has_restarted = self.read_lines(last)
        if has_restarted:
            self._place = 0
            self._restart()
        found = []
        for row in self._rows(lines):
            if self._place == 0 and not (self._known and self._is_first(row)):
                self._first, self._known = row, 0
            self._place += 1
            if self._place > self._known:
                self._known = self._place
                found.append(row)
        return found

    def _is_first(self, row: Row) -> bool:
        """Return whether a row is the first one from before, perhaps with more columns."""
        return all(row.get(name) == cell for name, cell in self._first.items() if cell != "")

    def _restart(self) -> None:
        """Forget what belongs to the file as it was."""

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        raise NotImplementedError


class GrowingJsonLines(_GrowingTable):
    """JSON lines; nested maps are flattened, lines that hold no object are dropped."""

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        return map(flat, jsonl.parse(b"\n".join(lines)))


class GrowingCsv(_GrowingTable):
    """A table with a heading, its cells separated by comma, semicolon or tab.

    A line without numbers, as long as the heading or longer, is another heading.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        super().__init__(path, after)
        self._names: list[str] = []
        self._delimiter = ","
        self._open: list[str] = []
        if after is not None and after.size:
            self._read_heading()

    def _restart(self) -> None:
        self._names, self._open = [], []

    def _read_heading(self) -> None:
        """Take the heading of a table to which other rows are appended."""
        try:
            with regular.open_file(self.path) as stream:
                line = stream.readline(65_536)
        except OSError:
            return
        if line.endswith(b"\n"):
            list(self._rows([line.rstrip(b"\r\n")]))

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        for raw in lines:
            self._open.append(raw.decode("utf-8-sig", "replace").replace("\0", ""))
            whole = "\n".join(self._open)
            if whole.count('"') % 2 and len(self._open) < _LONGEST_CELL:
                continue  # a quoted cell continues in the next line
            self._open = []
            if not whole.strip():
                continue
            if not self._names:
                if whole.startswith("#") and not any(sign in whole for sign in ",;\t"):
                    continue
                self._delimiter = max(",;\t", key=whole.count)
            cells = [cell.strip() for cell in self._cells(whole)]
            if not self._names or self._is_heading(cells):
                self._names = cells
                continue
            pairs = zip(self._names, cells, strict=False)
            yield {name: cell for name, cell in pairs if name and cell}

    def _cells(self, text: str) -> list[str]:
        try:
            return next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True), [])
        except csv.Error:
            return text.split(self._delimiter)

    def _is_heading(self, cells: list[str]) -> bool:
        has_no_number = all(cell and number(cell) is None for cell in cells)
        is_long = len(cells) >= max(2, len(self._names))
        return cells == self._names or (has_no_number and is_long and len(set(cells)) == len(cells))


class RewrittenJson:
    """A JSON file that is written whole with each change; it may not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None

    def poll(self) -> Any:
        """Return the content if it has changed since the last call and is whole, else None."""
        version = file_version(self._path)
        if version is None or version == self._version or version[1] > _LARGEST_JSON:
            return None
        try:
            content = json.loads(regular.read_bytes(self._path).decode("utf-8-sig", "replace"))
        except (OSError, ValueError, RecursionError):
            return None  # half written; the next poll reads it again
        self._version = version
        return content


class MlflowRun:
    """The metrics of one run folder of MLflow's file store, one file each: time, value, step."""

    def __init__(self, folder: Path) -> None:
        self._metrics = folder / "metrics"
        self._files: dict[Path, GrowingLines] = {}

    def poll(self, last: bool = False) -> list[Row]:
        """Return a row for each value since the last call, with ``_step``, in order of steps."""
        found: list[tuple[int, int, str, float]] = []
        files = (
            Path(folder) / name
            for folder, _, names in os.walk(self._metrics)
            for name in sorted(names)
        )
        for path in islice(files, _MOST_METRICS):
            lines = self._files.setdefault(path, GrowingLines(path))
            name = path.relative_to(self._metrics).as_posix()
            for line in lines.read_lines()[0]:
                cells = [number(text) for text in line.decode("utf-8", "replace").split()]
                if len(cells) < 2:
                    continue
                time, value, step = cells[0], cells[1], cells[2] if len(cells) > 2 else 0.0
                if value is not None and step is not None and math.isfinite(step):
                    is_known = time is not None and math.isfinite(time)
                    found.append((int(step), int(time or 0) if is_known else 0, name, value))
        found.sort(key=lambda item: item[:2])
        return [{name: value, "_step": step} for step, _, name, value in found]
