"""Files that somebody is still writing: what is new since the last look, in bounded memory.

A file may not be there yet, end in the middle of a line, be cut and written anew, or be replaced
by another one of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 4 << 20
"""Read at one look; a longer piece is read over several."""
LONGEST_LINE = 1 << 20
"""Bytes of one line; a longer one is left out."""

_PRINT = 256  # bytes at the beginning and before the last place that tell a file from another


class GrowingFile:
    """The bytes of one file, as far as they are written.

    ::

        file = GrowingFile(path)
        data, is_anew = file.read()      # and again later: goes on where the file ended

    Args:
        path: the file; it may not exist yet.
        skip: pass over what it holds now: an earlier run wrote that.
    """

    def __init__(self, path: Path, *, skip: bool = False) -> None:
        self.path = path
        self._offset = 0
        self._inode: int | None = None
        self._version: tuple[int, int, int] | None = None
        self._head = self._last = b""
        if skip:
            self._pass_over()

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
        if state.st_ino != self._inode or state.st_size < self._offset:
            return True
        before = os.pread(handle, len(self._last), self._offset - len(self._last))
        return before != self._last or os.pread(handle, len(self._head), 0) != self._head

    def _pass_over(self) -> None:
        try:
            with self.path.open("rb") as stream:
                state = os.fstat(stream.fileno())
                self._offset, self._inode = state.st_size, state.st_ino
                start = max(0, self._offset - _PRINT)
                self._head = os.pread(stream.fileno(), min(_PRINT, self._offset), 0)
                self._last = os.pread(stream.fileno(), self._offset - start, start)
        except OSError:
            return
        self._version = (state.st_ino, state.st_size, state.st_mtime_ns)


class GrowingLines:
    """The whole lines of one file, as far as they are written.

    Args:
        path: the file.
        skip: pass over what it holds now.
    """

    def __init__(self, path: Path, *, skip: bool = False) -> None:
        self._file = GrowingFile(path, skip=skip)
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
