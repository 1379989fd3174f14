"""Scalars of TensorBoard event files, read without TensorFlow.

The file is a row of records: length (8 bytes), its checksum (4), the content, its checksum (4).
Each content is a protocol buffer, an `Event`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.cells import as_reports
from orchestrator.runs.curves.log_reader import (
    LoggedRun,
    LogProblem,
    LogReader,
    Report,
    message_classes,
    read_bytes,
)
from orchestrator.runs.curves.tail import GrowingFile, Mark

_FLOAT, _DOUBLE = 1, 2
_FRAME = 12  # bytes of a record before its content; four are after it
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
    """Return the run of one event file, up to a torn record."""
    by_step: dict[int, dict[str, float]] = {}
    for record in _Records(_LARGEST).feed(read_bytes(path)):
        step, scalars = _scalars(record)
        by_step.setdefault(step, {}).update(scalars)
    kept = [(step, values) for step, values in sorted(by_step.items()) if values]
    has_epochs = all("epoch" in values for _, values in kept)
    unit, reports, notes = as_reports(
        [values["epoch"] if has_epochs else None for _, values in kept],
        [float(step) for step, _ in kept],
        [{name: value for name, value in row.items() if name != "epoch"} for _, row in kept],
    )
    if not reports:
        raise LogProblem("has no scalars")
    return [
        LoggedRun(path.parent.name or path.name, path, "TensorBoard", reports, unit, notes=notes)
    ]


class EventLog:
    """The scalars of an event file that is still being written, after what it held at a mark."""

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self._file = GrowingFile(path, after)
        self._records = _Records(_LARGEST_SCALARS)

    def read(self) -> list[Report]:
        """Return step and scalars of the records that came since the last call."""
        data, has_restarted = self._file.read()
        if has_restarted:
            self._records = _Records(_LARGEST_SCALARS)
        found = map(_scalars, self._records.feed(data))
        return [(step, scalars) for step, scalars in found if scalars]


class _Records:
    """Splits an event file into records; those above `largest` bytes are skipped, not held."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._buffer = b""
        self._to_skip = 0
        self._is_broken = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the whole records up to the end of `data`, which continues the data before."""
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
            end = at + _FRAME + length + 4
            if length > self._largest:
                self._to_skip = end - at
                continue
            if end > len(data):
                break
            yield data[at + _FRAME : end - 4]
            at = end
        self._buffer = b"" if self._is_broken else data[at:]


def _scalars(record: bytes) -> Report:
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


READER = LogReader("TensorBoard", read_events, recognizes=is_event_file)
