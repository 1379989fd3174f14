"""Copy a run folder to the driver while it grows, if the nodes share no folder.

The agent's folder starts as a copy of the driver's, so an attempt continues what an earlier one
has written. From then on `Source` finds what changes, in pieces, and `Target` applies them: what is
appended to a file at once, a file that was replaced only once it is complete. Arrays wait for the
end of the attempt, when all else has been sent too.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

KEPT = frozenset({"state.json", "stop.json", ".lock"})
"""What of a run folder is not copied: the driver's own files, and the lock of the attempt."""

PIECE_BYTES = 4 << 20
LARGE_BYTES = 1 << 20
LARGE_EVERY_S = 5.0
"""How long after a large file was sent its next version waits."""

_ARRAYS = (".npy", ".npz")
_LOGS = (".jsonl", ".txt", ".log", ".out", ".err", ".csv", ".tsv")
_CHECKED_BYTES = 256
_PART_BYTES = 64 << 20
_PUT_FROM_BYTES = 64 << 10


@dataclass(frozen=True)
class Piece:
    """A part of a file.

    Attributes:
        path: relative to the run folder.
        whole: size of the file that replaces the one before once this piece completes it; None if
            the piece is appended to it; -1 if it is gone.
        is_private: only its owner may read it.
    """

    path: str
    offset: int = 0
    data: bytes = b""
    whole: int | None = None
    is_private: bool = False


@dataclass(frozen=True)
class _Version:
    inode: int
    size: int
    changed_at: int


@dataclass
class _Transfer:
    """A file that is sent whole, and how much of it was."""

    path: str
    stream: BinaryIO
    version: _Version
    offset: int = 0


class Source:
    """The side of the run folder that a trial writes to; both sides have the same at first.

    Args:
        kept: names at the top that the other side writes itself.
    """

    def __init__(self, folder: Path, kept: frozenset[str]) -> None:
        self.folder = folder
        self._kept = kept
        self._sent = dict(_versions(self.folder, self._kept))
        self._ends = {path: self._end_of(path, each.size) for path, each in self._sent.items()}
        self._sent_at: dict[str, float] = {}
        self._transfer: _Transfer | None = None

    def take(self, now: float, *, at_end: bool = False, limit: int = PIECE_BYTES) -> list[Piece]:
        """Return what has changed, of about `limit` bytes; call it again for the rest.

        Args:
            now: seconds that never go back.
            at_end: nothing is written any more, so everything is due; empty once all was taken.
        """
        present = dict(_versions(self.folder, self._kept))
        pieces = [Piece(path, whole=-1) for path in self._sent.keys() - present.keys()]
        for gone in pieces:
            del self._sent[gone.path]
        for path, version in sorted(present.items(), key=lambda each: each[1].size):
            left = limit - sum(len(one.data) for one in pieces)
            if left <= 0:
                return pieces
            if not self._is_due(path, version, now, at_end=at_end):
                continue
            piece = self._append(path, version, left)
            if piece is None and self._transfer is None and (stream := self._open(path)):
                self._transfer = _Transfer(path, stream, _version(os.fstat(stream.fileno())))
                piece = self._advance(left, now)
            pieces += [] if piece is None else [piece]
        left = limit - sum(len(one.data) for one in pieces)
        if self._transfer is not None and self._transfer.offset and left > 0:
            pieces.append(self._advance(left, now))
        return pieces

    def close(self) -> None:
        """Close what is open."""
        if self._transfer is not None:
            self._transfer.stream.close()

    def _is_due(self, path: str, version: _Version, now: float, *, at_end: bool) -> bool:
        sent = self._sent.get(path)
        if sent == version or (self._transfer is not None and self._transfer.path == path):
            return False
        if at_end:
            return True
        if path.endswith(_ARRAYS):
            return False
        is_quick = version.size <= LARGE_BYTES or (sent is not None and path.endswith(_LOGS))
        return is_quick or now - self._sent_at.get(path, -LARGE_EVERY_S) >= LARGE_EVERY_S

    def _append(self, path: str, version: _Version, limit: int) -> Piece | None:
        """Return what was appended to a log; None if it is none, or was written again."""
        sent = self._sent.get(path)
        is_log = path.endswith(_LOGS) or ".tfevents." in path
        if not is_log or sent is None or sent.inode != version.inode or version.size <= sent.size:
            return None
        if self._end_of(path, sent.size) != self._ends[path]:
            return None
        data = self._read(path, sent.size, min(limit, version.size - sent.size))
        end = sent.size + len(data)
        # Of a part only its size is known again.
        known = version.changed_at if end == version.size else 0
        self._sent[path] = _Version(version.inode, end, known)
        self._ends[path] = self._end_of(path, end)
        return Piece(path, sent.size, data) if data else None

    def _advance(self, limit: int, now: float) -> Piece:
        """Return the next part of the file that is sent whole."""
        transfer = self._transfer
        assert transfer is not None
        path, stream, version = transfer.path, transfer.stream, transfer.version
        about = os.fstat(stream.fileno())
        present = _version(about)
        if transfer.offset and present != version:
            # It is written in place: what was sent of it is worth nothing.
            transfer.offset, transfer.version, version = 0, present, present
        stream.seek(transfer.offset)
        is_private = not about.st_mode & (stat.S_IRGRP | stat.S_IROTH)
        data = stream.read(limit)
        piece = Piece(path, transfer.offset, data, version.size, is_private)
        transfer.offset += len(piece.data)
        if transfer.offset >= version.size or not piece.data:
            piece = replace(piece, whole=transfer.offset)
            stream.close()
            self._transfer = None
            self._sent[path] = replace(version, size=transfer.offset)
            self._ends[path] = self._end_of(path, transfer.offset)
            self._sent_at[path] = now
        return piece

    def _open(self, path: str) -> BinaryIO | None:
        try:
            # A buffer would return what the file held before it was written in place.
            return (self.folder / path).open("rb", buffering=0)
        except OSError:
            return None  # it was removed meanwhile

    def _read(self, path: str, offset: int, size: int) -> bytes:
        stream = self._open(path)
        if stream is None:
            return b""
        with stream:
            stream.seek(offset)
            return stream.read(size)

    def _end_of(self, path: str, size: int) -> bytes:
        """Return the last bytes of the first `size` of a log, to know whether it was kept."""
        start = max(0, size - _CHECKED_BYTES)
        return self._read(path, start, size - start) if path.endswith(_LOGS) else b""


class Target:
    """The driver's side of the run folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def apply(self, pieces: Iterable[Piece]) -> None:
        """Write pieces in the order in which they were taken.

        Raises:
            ValueError: a path leaves the folder.
        """
        for piece in pieces:
            path = self._folder / piece.path
            if ".." in path.parts or not path.is_relative_to(self._folder):
                raise ValueError(f"{piece.path}: not in the run folder")
            if piece.whole == -1:
                path.unlink(missing_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path if piece.whole is None else path.with_name(f".{path.name}.copy.tmp")
            mode = 0o600 if piece.is_private else 0o666
            with os.fdopen(os.open(written, os.O_RDWR | os.O_CREAT, mode), "r+b") as stream:
                stream.truncate(piece.offset)
                stream.seek(piece.offset)
                stream.write(piece.data)
            if piece.whole is not None and piece.offset + len(piece.data) >= piece.whole:
                written.replace(path)


def packed(folder: Path, put: Callable[[bytes], Any]) -> dict[str, list[Any]]:
    """Return the files of a run folder, of which the next attempt may need any, in parts.

    Args:
        put: takes a part that is too large to travel in a message, and returns what does.
    """
    found = {}
    for path, _ in _versions(folder, KEPT):
        parts: list[Any] = []
        with suppress(FileNotFoundError), (folder / path).open("rb") as stream:
            while part := stream.read(_PART_BYTES):
                parts.append(part if len(part) <= _PUT_FROM_BYTES else put(part))
            found[path] = parts
    return found


def unpacked(
    folder: Path, files: Mapping[str, Sequence[Any]], get: Callable[[Any], bytes]
) -> Source:
    """Make a run folder with the files that were `packed`, instead of one that is left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, parts in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            for part in parts:
                stream.write(part if isinstance(part, bytes) else get(part))
    return Source(folder, KEPT)


def _versions(folder: Path, kept: frozenset[str]) -> Iterator[tuple[str, _Version]]:
    """Yield the regular files of a folder; temporary ones and links are left out."""
    for inner, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inner, name)
            relative = os.path.relpath(path, folder)
            if relative in kept or (name.startswith(".") and name.endswith(".tmp")):
                continue
            with suppress(OSError):  # it was removed meanwhile
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode):
                    yield relative, _version(found)


def _version(found: os.stat_result) -> _Version:
    return _Version(found.st_ino, found.st_size, found.st_mtime_ns)
