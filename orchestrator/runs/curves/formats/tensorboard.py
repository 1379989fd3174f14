"""Scalars of TensorBoard event files, read without TensorFlow.

The file is a row of records: length (8 bytes), its checksum (4), the content, its checksum (4).
Each content is a protocol buffer, an `Event`. A torn last record, as in a run that is still going,
ends the reading.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.runs.curves import cells as rows
from orchestrator.runs.curves.curve import LoggedRun, LogProblem
from orchestrator.runs.curves.log_reader import LogReader, read_bytes
from orchestrator.runs.curves.protobuf import message_classes
from orchestrator.runs.curves.tail import GrowingFile, Mark

_FLOAT, _DOUBLE = 1, 2
_FRAME = 12  # bytes of a record before its content; four are behind it
_LARGEST_SCALARS = 1 << 20  # bytes; what is larger is a graph or a picture
_LARGEST = 1 << 32


@cache
def _event_class() -> Any:
    return message_classes(
        "sweep_tensorboard",
        Event={"step": (2, "INT64"), "summary": (5, "Summary")},
        Summary={"value": (1, "Value*")},
        # A number that may be missing is declared as a list: 0 and nothing would look the same.
        Value={"tag": (1, "BYTES"), "simple_value": (2, "FLOAT*"), "tensor": (8, "Tensor")},
        Tensor={
            "dtype": (1, "INT32"),
            "content": (4, "BYTES"),
            "floats": (5, "FLOAT*"),
            "doubles": (6, "DOUBLE*"),
        },
    )["Event"]


def is_event_file(path: Path) -> bool:
    """Return whether a file is named as TensorBoard names its own."""
    return ".tfevents." in path.name


def read_events(path: Path) -> list[LoggedRun]:
    """Return the run of one event file.

    Raises:
        LogProblem: it has no scalars.
    """
    by_step: dict[int, dict[str, float]] = {}
    for record in _records(read_bytes(path)):
        step, scalars = _scalars(record)
        by_step.setdefault(step, {}).update(scalars)
    kept = [(step, values) for step, values in sorted(by_step.items()) if values]
    if not kept:
        raise LogProblem("has no scalars")
    cells = [values for _, values in kept]
    epochs: list[float | None] = [None] * len(kept)
    if all("epoch" in values for values in cells):
        epochs = [values["epoch"] for values in cells]
    steps: list[float | None] = [float(step) for step, _ in kept]
    cells = [{k: v for k, v in values.items() if k != "epoch"} for values in cells]
    unit, reports, notes = rows.as_reports(epochs, steps, cells)
    if not reports:
        raise LogProblem("has no scalars")
    name = path.parent.name or path.name
    return [LoggedRun(name, path, "TensorBoard", reports, unit, notes=tuple(notes))]


class EventLog:
    """The scalars of an event file that is still being written.

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
            step, scalars = _scalars(record)
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


def _scalars(record: bytes) -> tuple[int, dict[str, float]]:
    """Return the step and the scalars of an event; none if it is damaged."""
    from google.protobuf.message import DecodeError

    event = _event_class()()
    try:
        event.ParseFromString(record)
    except DecodeError:
        return 0, {}
    found: dict[str, float] = {}
    for value in event.summary.value:
        scalar = _scalar(value)
        if scalar is not None and value.tag:
            found[value.tag.decode("utf-8", "replace")] = scalar
    return event.step, found


def _scalar(value: Any) -> float | None:
    """Return the number of a value, also of a tensor that holds one float or double."""
    tensor = value.tensor
    for numbers in (tensor.floats, tensor.doubles):
        if len(numbers) == 1:
            return float(numbers[0])
    form = {_FLOAT: "<f", _DOUBLE: "<d"}.get(tensor.dtype)
    if form is not None and len(tensor.content) == struct.calcsize(form):
        return float(struct.unpack(form, tensor.content)[0])
    return float(value.simple_value[-1]) if value.simple_value else None


READER = LogReader("TensorBoard", read_events, recognises=is_event_file, is_binary=True)
