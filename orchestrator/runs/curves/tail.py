"""Follow log files that another program is still writing: return what is new since the last poll.

A file may not exist yet, end in the middle of a line, be truncated and written again, or be
replaced by another file of the same name. Memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.files import regular
from orchestrator.runs.curves.log_reader import LONGEST_LINE, RowParser, encoding_of

Row = dict[str, Any]

_MOST_BYTES = 4 << 20  # read by one poll; a longer piece takes several
_LARGEST_JSON = 32 << 20  # bytes of a file of JSON that is read whole
_PRINT = 256  # bytes at the beginning and before the last position that identify a file


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

    def pieces(self, *, last: bool = False) -> Iterator[tuple[bytes, bool]]:
        """Yield one piece as `read` returns it; with `last` all pieces to the end of the file."""
        while True:
            data, has_restarted = self.read()
            if data or has_restarted:
                yield data, has_restarted
            if not (last and data):
                return

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
    """The whole lines of one file, as far as they are written, in any encoding.

    Attributes:
        dropped: the number of lines that were longer than `LONGEST_LINE`.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        super().__init__(path, after)
        self.dropped = 0
        self._start(after.head if after is not None else b"")

    def _start(self, head: bytes) -> None:
        self._decoder: io.IncrementalNewlineDecoder | None = None
        self._head = b""  # too little to see the encoding
        self._rest = ""
        self._is_too_long = False  # the beginning of the present line was dropped
        if head:
            self._decoder = _decoder(head)

    def lines(self, *, last: bool = False) -> Iterator[tuple[list[str], bool]]:
        """Yield the lines since the last call, and whether the file has started again before them.

        With `last` nothing writes any more: all lines come, and the last one needs no end.
        """
        for data, has_restarted in self.pieces(last=last):
            if has_restarted:
                self._start(b"")
            yield self._cut(data, last=False), has_restarted
        if last:
            yield self._cut(b"", last=True), False

    def _cut(self, data: bytes, *, last: bool) -> list[str]:
        if self._decoder is None:
            self._head += data
            if len(self._head) < 4 and not last:
                return []
            self._decoder = _decoder(self._head)
            data, self._head = self._head, b""
        *whole, self._rest = (self._rest + self._decoder.decode(data, final=last)).split("\n")
        lines = []
        for line in whole:
            if len(line) <= LONGEST_LINE and not self._is_too_long:
                lines.append(line.replace("\0", ""))
            else:
                self.dropped += 1
            self._is_too_long = False
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._is_too_long = "", True
        if last:
            self.dropped += self._is_too_long
            lines += [self._rest] if self._rest else []
            self._rest, self._is_too_long = "", False
        return lines


def _decoder(head: bytes) -> io.IncrementalNewlineDecoder:
    """Return what decodes a file that begins with `head`; any line ending becomes one."""
    encoding = codecs.getincrementaldecoder(encoding_of(head))(errors="replace")
    return io.IncrementalNewlineDecoder(encoding, translate=True)


class GrowingRows(GrowingLines):
    """The rows of one file, in which `parser` finds them.

    Tools write a table again to add a column, or because they always write all of it. A table
    that begins with the same row as before is the same table, and continues after the rows that
    were returned; any other is a new one.
    """

    def __init__(
        self, path: Path, parser: Callable[[], RowParser], after: Mark | None = None
    ) -> None:
        super().__init__(path, after)
        self.parser = parser()
        self._new_parser = parser
        self._first: Row = {}
        self._known = 0  # rows of this table that were returned
        self._place = 0  # rows of it that were read since the file was last written again
        if after is not None and after.size:
            # Rows that are appended are under the heading that is there.
            list(self.parser.rows(first_lines(path, after.size)[:-1]))

    def poll(self, last: bool = False) -> Iterator[Row]:
        """Yield the rows since the last call; with `last` all of them to the end of the file."""
        for lines, has_restarted in self.lines(last=last):
            if has_restarted:
                self._place = 0
                self.parser = self._new_parser()
            for found in self.parser.rows(lines):
                row = dict(found)
                if self._place == 0 and not (self._known and self._is_first(row)):
                    self._first, self._known = row, 0
                self._place += 1
                if self._place > self._known:
                    self._known = self._place
                    yield row

    def left_out(self) -> list[str]:
        """Return sentences on what was not read."""
        found = [self.parser.left_out()] if self.parser.left_out() else []
        if self.dropped:
            found.append(f"{self.dropped} lines longer than {LONGEST_LINE:,} were left out")
        return found

    def _is_first(self, row: Row) -> bool:
        """Return whether a row is the first one from before, perhaps with more columns."""
        return all(row.get(name) == cell for name, cell in self._first.items() if cell != "")


def first_lines(path: Path, size: int = 65_536) -> list[str]:
    """Return the lines in the first `size` bytes, at most 64 KiB; the last may be torn."""
    try:
        with regular.open_file(path) as stream:
            head = stream.read(min(size, 65_536))
    except OSError:
        return []
    text = head.decode(encoding_of(head), "replace").replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


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

    def left_out(self) -> list[str]:
        """Return sentences on what was not read."""
        version = file_version(self._path)
        if version is None or version == self._version:
            return []
        if version[1] > _LARGEST_JSON:
            return [f"was not read, since it is larger than {_LARGEST_JSON >> 20} MiB"]
        return ["its last content was not read, since it is no whole JSON"]
