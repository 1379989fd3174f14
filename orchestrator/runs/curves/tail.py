"""Files that somebody is still writing: what is new since the last look, in bounded memory.

A file may not be there yet, end in the middle of a line, be cut and written anew, or be replaced
by another one of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
