"""Scalars of TensorBoard event files, read without TensorFlow.

The file is a row of records: length (8 bytes), its checksum (4), the content, its checksum (4).
Each content is a protocol buffer: `Event` {2: step, 5: `Summary` {1: `Value` {1: tag,
2: float | 8: `TensorProto` {1: type, 4: bytes | 5: floats | 6: doubles}}}}. Only these fields are
looked at. A torn last record, as in a run that goes on, ends the reading.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

from orchestrator.runs.curves import cells as rows
from orchestrator.runs.curves.curve import LoggedRun, LogProblem
from orchestrator.runs.curves.table_logs import read_bytes
from orchestrator.runs.curves.tail import GrowingFile, Mark

_FLOAT, _DOUBLE = 1, 2
_FRAME = 12  # bytes of a record before its content; four stand behind it
_LARGEST_SCALARS = 1 << 20  # bytes; what is larger is a graph or a picture
_LARGEST = 1 << 32


def is_event_file(path: Path) -> bool:
    """Tell whether a file is named as TensorBoard names its own."""
    return ".tfevents." in path.name


def read_events(path: Path) -> list[LoggedRun]:
    """Return the run of one event file.

    Raises:
        LogProblem: it holds no scalars.
    """
    by_step: dict[int, dict[str, float]] = {}
    for record in _records(read_bytes(path)):
        try:
            step, scalars = _event(record)
        except (ValueError, IndexError, struct.error):
            continue
        by_step.setdefault(step, {}).update(scalars)
    kept = [(step, values) for step, values in sorted(by_step.items()) if values]
    if not kept:
        raise LogProblem("holds no scalars")
    cells = [values for _, values in kept]
    epochs: list[float | None] = [None] * len(kept)
    if all("epoch" in values for values in cells):
        epochs = [values["epoch"] for values in cells]
    steps: list[float | None] = [float(step) for step, _ in kept]
    cells = [{k: v for k, v in values.items() if k != "epoch"} for values in cells]
    unit, reports, notes = rows.as_reports(epochs, steps, cells)
    if not reports:
        raise LogProblem("holds no scalars")
    name = path.parent.name or path.name
    return [LoggedRun(name, path, "TensorBoard", reports, unit, notes=tuple(notes))]


class EventLog:
    """The scalars of an event file that somebody is still writing.

    Args:
        path: the file.
        after: pass over what it held then.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self._file = GrowingFile(path, after)
        self._buffer = b""
        self._to_skip = 0
        self._is_broken = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Return step and scalars of the records that came since the last call."""
        data, is_anew = self._file.read()
        if is_anew:
            self._buffer, self._to_skip, self._is_broken = b"", 0, False
        found = []
        for record in self._records(data):
            try:
                step, scalars = _event(record)
            except (ValueError, IndexError, struct.error):
                continue
            if scalars:
                found.append((step, scalars))
        return found

    def _records(self, data: bytes) -> Iterator[bytes]:
        """Yield whole records; a large one is passed over without being held."""
        data = self._buffer + data
        at = 0
        while not self._is_broken:
            skipped = min(self._to_skip, len(data) - at)
            at += skipped
            self._to_skip -= skipped
            if self._to_skip or at + _FRAME > len(data):
                break
            (length,) = struct.unpack_from("<Q", data, at)
            if length > _LARGEST:
                self._is_broken = True  # no event file, or a damaged one
                break
            if length > _LARGEST_SCALARS:
                self._to_skip = _FRAME + length + 4
                continue
            end = at + _FRAME + length + 4
            if end > len(data):
                break
            yield data[at + _FRAME : end - 4]
            at = end
        self._buffer = b"" if self._is_broken else data[at:]


def _records(content: bytes) -> Iterator[bytes]:
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        end = at + 12 + length
        if end + 4 > len(content):
            return
        yield content[at + 12 : end]
        at = end + 4


def _fields(content: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    """Yield number, wire type and content of each field; varints come as numbers."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield number, wire, value
            continue
        if wire == 2:
            size, at = _varint(content, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(content):
            raise ValueError("a field is longer than its record")
        yield number, wire, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _event(content: bytes) -> tuple[int, dict[str, float]]:
    step, scalars = 0, {}
    for number, wire, value in _fields(content):
        if number == 2 and isinstance(value, int):
            step = value
        elif number == 5 and isinstance(value, bytes) and wire == 2:
            for inner, _, item in _fields(value):
                if inner == 1 and isinstance(item, bytes):
                    found = _value(item)
                    if found is not None:
                        scalars[found[0]] = found[1]
    return step, scalars


def _value(content: bytes) -> tuple[str, float] | None:
    tag, scalar = "", math.nan
    known = False
    for number, wire, value in _fields(content):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8", "replace")
        elif number == 2 and wire == 5:
            scalar, known = struct.unpack("<f", value)[0], True
        elif number == 8:
            found = _tensor(value)
            if found is not None:
                scalar, known = found, True
    return (tag, scalar) if known and tag else None


def _tensor(content: bytes) -> float | None:
    """Return the value of a tensor that holds one float or double."""
    kind = 0
    for number, _, value in _fields(content):
        if number == 1 and isinstance(value, int):
            kind = value
        if not isinstance(value, bytes):
            continue
        if number == 4 and kind in (_FLOAT, _DOUBLE):
            form = "<f" if kind == _FLOAT else "<d"
            if len(value) == struct.calcsize(form):
                return float(struct.unpack(form, value)[0])
        if number == 5 and len(value) == 4:
            return float(struct.unpack("<f", value)[0])
        if number == 6 and len(value) == 8:
            return float(struct.unpack("<d", value)[0])
    return None
