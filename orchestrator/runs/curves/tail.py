"""Files that somebody is still writing: what is new since the last look, in bounded memory.

A file may not be there yet, end in the middle of a line, be cut and written anew, or be replaced
by another one of the same name.

JSON files that are written whole, again and again, and MLflow's file store while it fills.

Tables that somebody is still writing, row by row: CSV of any tool, and JSON lines.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.cells import flat
from orchestrator.runs.curves.curve import number

MOST_BYTES = 4 << 20
"""Read at one look; a longer piece is read over several."""
LONGEST_LINE = 1 << 20
"""Bytes of one line; a longer one is left out."""

_PRINT = 256  # bytes at the beginning and before the last place that tell a file from another


@dataclass(frozen=True)
class Mark:
    """How far a file was written at some time.

    Attributes:
        inode: tells it from another file of the name.
        size: bytes.
        head: its beginning.
        last: its end.
        written_ns: when it was written last, ns.
    """

    inode: int
    size: int
    head: bytes
    last: bytes
    written_ns: int


def mark(path: Path) -> Mark | None:
    """Return how far a file is written now; None where there is none."""
    try:
        with path.open("rb") as stream:
            state = os.fstat(stream.fileno())
            start = max(0, state.st_size - _PRINT)
            head = os.pread(stream.fileno(), min(_PRINT, state.st_size), 0)
            last = os.pread(stream.fileno(), _PRINT, start)
            return Mark(state.st_ino, state.st_size, head, last, state.st_mtime_ns)
    except OSError:
        return None


class GrowingFile:
    """The bytes of one file, as far as they are written.

    ::

        file = GrowingFile(path)
        data, is_anew = file.read()      # and again later: goes on where the file ended

    Args:
        path: the file; it may not exist yet.
        after: pass over what it held then: an earlier run wrote that.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self.path = path
        self._offset = 0
        self._inode: int | None = None
        self._version: tuple[int, int, int] | None = None
        self._head = self._last = b""
        self._after = after
        if after is not None:
            self._offset, self._inode = after.size, after.inode
            self._head, self._last = after.head, after.last

    def read(self, most: int = MOST_BYTES) -> tuple[bytes, bool]:
        """Return what came since the last call, and whether the file has begun anew before it.

        Args:
            most: greatest number of bytes.
        """
        try:
            state = os.stat(self.path)
            version = (state.st_ino, state.st_size, state.st_mtime_ns)
            if version == self._version and self._offset >= state.st_size:
                return b"", False
            with self.path.open("rb") as stream:
                state = os.fstat(stream.fileno())
                is_anew = self._has_begun_anew(stream.fileno(), state)
                if is_anew:
                    self._offset, self._head, self._last = 0, b"", b""
                self._inode = state.st_ino
                data = os.pread(stream.fileno(), most, self._offset)
                if len(self._head) < _PRINT:
                    self._head = os.pread(stream.fileno(), _PRINT, 0)
        except OSError:
            return b"", False
        self._version = (state.st_ino, state.st_size, state.st_mtime_ns)
        self._offset += len(data)
        self._head = self._head[: self._offset]
        self._last = (self._last + data)[-_PRINT:]
        return data, is_anew

    def _has_begun_anew(self, handle: int, state: os.stat_result) -> bool:
        if self._inode is None or not self._offset:
            return False
        after = self._after
        if after is not None and state.st_mtime_ns != after.written_ns:
            self._after = None
            # Who appends makes it longer: a script has written the same words again.
            if state.st_size == after.size:
                return True
        if state.st_ino != self._inode or state.st_size < self._offset:
            return True
        before = os.pread(handle, len(self._last), self._offset - len(self._last))
        return before != self._last or os.pread(handle, len(self._head), 0) != self._head


class GrowingLines:
    """The whole lines of one file, as far as they are written.

    Args:
        path: the file.
        after: pass over what it held then.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self._file = GrowingFile(path, after)
        self._rest = b""
        self._is_too_long = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def read(self) -> tuple[list[bytes], bool]:
        """Return the lines that came since the last call, and whether the file has begun anew."""
        data, is_anew = self._file.read()
        if is_anew:
            self._rest, self._is_too_long = b"", False
        return list(self._lines(data)), is_anew

    def rest(self) -> bytes:
        """Return, and forget, the last line where nothing ends it; for when nobody writes on."""
        rest, self._rest = self._rest, b""
        return b"" if self._is_too_long else rest

    def _lines(self, data: bytes) -> Iterator[bytes]:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            line, self._rest = self._rest + piece, b""
            if self._is_too_long or len(line) > LONGEST_LINE:
                self._is_too_long = False
                continue
            yield line.removesuffix(b"\r")
        self._rest += rest
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._is_too_long = b"", True


LARGEST_BYTES = 32 << 20
_MOST_METRICS = 5_000  # files of one MLflow run


class RewrittenJson:
    """A JSON file that is written anew with each change.

    Args:
        path: the file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, int, int] | None = None

    def read(self) -> Any:
        """Return the content where it has changed since the last call and is whole, else None."""
        version = self._state()
        if version is None or version == self._version or version[1] > LARGEST_BYTES:
            return None
        try:
            content = json.loads(self.path.read_bytes().decode("utf-8-sig", "replace"))
        except (OSError, ValueError, RecursionError):
            return None  # torn; it is read again at the next look
        self._version = version
        return content

    def _state(self) -> tuple[int, int, int] | None:
        try:
            state = os.stat(self.path)
        except OSError:
            return None
        return state.st_ino, state.st_size, state.st_mtime_ns


class MlflowRun:
    """The metrics of one run folder of MLflow's file store, one file each: time, value, step."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._files: dict[Path, GrowingLines] = {}

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Return step and metrics that came since the last call, in the order of the steps."""
        found: list[tuple[int, int, str, float]] = []
        for path in self._metric_files():
            lines = self._files.setdefault(path, GrowingLines(path))
            name = path.relative_to(self.path / "metrics").as_posix()
            for line in lines.read()[0]:
                words = line.decode("utf-8", "replace").split()
                if len(words) < 2:
                    continue
                value, time = number(words[1]), number(words[0])
                step = number(words[2]) if len(words) > 2 else 0.0
                if value is not None and step is not None and math.isfinite(step):
                    found.append(
                        (
                            int(step),
                            int(time) if time is not None and math.isfinite(time) else 0,
                            name,
                            value,
                        )
                    )
        found.sort(key=lambda item: item[:2])
        return [(step, {name: value}) for step, _, name, value in found]

    def _metric_files(self) -> Iterator[Path]:
        count = 0
        for folder, _, names in os.walk(self.path / "metrics"):
            for name in sorted(names):
                count += 1
                if count > _MOST_METRICS:
                    return
                yield Path(folder) / name


Row = dict[str, Any]

_LONGEST_CELL = 100  # lines over which one quoted cell may go


class _GrowingTable:
    """The rows of one file; a subclass says what a row is.

    Tools write a table anew to add a column, or because they write all of it each time. A table
    that begins with the row that came first before is the same one, and goes on behind the rows
    that were taken; any other is a new one.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self._lines = GrowingLines(path, after)
        self._count = 0
        self._first: Row | None = None
        self._passed = 0
        self._is_again = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._lines.path

    def read(self) -> list[Row]:
        """Return the rows that came since the last call."""
        lines, is_anew = self._lines.read()
        if is_anew:
            self._is_again, self._passed = self._first is not None, 0
            self._begin()
        return list(self._unknown(self._rows(lines)))

    def close(self) -> list[Row]:
        """Return what is left, where the last line has no end."""
        rows = self.read()
        rest = self._lines.rest()
        return rows + list(self._unknown(self._rows([rest] if rest else [])))

    def _begin(self) -> None:
        """Forget what belongs to the file as it was."""

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        raise NotImplementedError

    def _unknown(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Leave out what was taken before the file was written anew."""
        for row in rows:
            if self._is_again:
                if self._passed == 0 and not _is_same(self._first or {}, row):
                    self._is_again, self._count, self._first = False, 0, None
                elif self._passed < self._count:
                    self._passed += 1
                    continue
                else:
                    self._is_again = False
            if self._first is None:
                self._first = row
            self._count += 1
            yield row


def _is_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether a row is one of before, perhaps with more columns."""
    return all(now.get(name) == cell for name, cell in before.items() if cell != "")


class GrowingJsonLines(_GrowingTable):
    """JSON lines; maps inside a line are flattened, lines that hold no object are left out."""

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        for line in lines:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield flat(record)


class GrowingCsv(_GrowingTable):
    """A table with a heading, cells parted by comma, semicolon or tabulator.

    A line of words alone, as long as the heading or longer, is another heading.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        super().__init__(path, after)
        self._names: list[str] = []
        self._delimiter = ","
        self._open: list[str] = []
        if after is not None and after.size:
            self._read_heading()

    def _begin(self) -> None:
        self._names, self._open = [], []

    def _read_heading(self) -> None:
        """Take the heading of a table that other rows are appended to."""
        try:
            with self.path.open("rb") as stream:
                line = stream.readline(65_536)
        except OSError:
            return
        if line.endswith(b"\n"):
            list(self._rows([line.rstrip(b"\r\n")]))

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        for raw in lines:
            text = raw.decode("utf-8-sig", "replace").replace("\0", "")
            self._open.append(text)
            whole = "\n".join(self._open)
            if whole.count('"') % 2 and len(self._open) < _LONGEST_CELL:
                continue  # a quoted cell goes on in the next line
            self._open = []
            if not whole.strip():
                continue
            if not self._names:
                if whole.startswith("#") and not any(sign in whole for sign in ",;\t"):
                    continue
                self._delimiter = max(",;\t", key=whole.count)
            cells = self._cells(whole)
            if not self._names or self._is_heading(cells):
                self._names = [cell.strip() for cell in cells]
                continue
            yield {
                name: cell.strip()
                for name, cell in zip(self._names, cells, strict=False)
                if name and cell.strip()
            }

    def _cells(self, text: str) -> list[str]:
        try:
            return next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True), [])
        except csv.Error:
            return text.split(self._delimiter)

    def _is_heading(self, cells: list[str]) -> bool:
        plain = [cell.strip() for cell in cells]
        words = all(cell and number(cell) is None for cell in plain)
        return plain == self._names or (
            words and len(plain) >= max(2, len(self._names)) and len(set(plain)) == len(plain)
        )
