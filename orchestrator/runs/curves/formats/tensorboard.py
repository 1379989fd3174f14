"""Scalars of TensorBoard event files, read without TensorFlow; all of a folder are one run.

The file is a row of records: length (8 bytes), its checksum (4), the content, its checksum (4).
Each content is a protocol buffer, an `Event`.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.files import regular
from orchestrator.files.series_names import is_split, split_of, with_split
from orchestrator.runs.curves.columns import LoggedRows, Sparse
from orchestrator.runs.curves.log_reader import (
    Head,
    LoggedRun,
    LogProblem,
    LogReader,
    Report,
    message_classes,
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
        Event={"time": (1, "DOUBLE"), "step": (2, "INT64"), "summary": (5, "Summary")},
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


def event_files(folder: Path) -> list[Path]:
    """Return the event files of the run in a folder, those in folders of its parts included."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    found = [Path(entry.path) for entry in entries if ".tfevents." in entry.name]
    for part in (Path(entry.path) for entry in entries if entry.is_dir()):
        found += sorted(part.glob("*.tfevents.*")) if is_part_of_run(part) else ()
    return [path for path in found if not regular.leads_out(path, folder)]


def is_part_of_run(folder: Path) -> bool:
    """Return whether a folder holds a part of the run of the folder above.

    Keras writes a folder for each split, and PyTorch's ``add_scalars`` one for each curve.
    """
    first = next(iter(sorted(folder.glob("*.tfevents.*"))), None)
    if first is None or is_split(folder.name):
        return first is not None
    if next(folder.parent.glob("*.tfevents.*"), None) is None:
        return False
    names = next((scalars for _, scalars in EventLog(first).read()), {})
    return any(_is_curve(folder, name) for name in names)


def _is_curve(folder: Path, name: str) -> bool:
    return folder.name.startswith(f"{name.replace('/', '_')}_")


def read_events(*paths: Path) -> list[LoggedRun]:
    """Return the run of the event files of one folder, each up to a torn record.

    Files are joined by time, as a training that was resumed writes another. A series whose step
    goes back was restarted there, so that its later steps from before do not count.
    """
    found: dict[str, tuple[array[float], array[int], array[float]]] = {}
    for path in paths:
        log = EventLog(path)
        split = split_of(path.parent.name) if is_split(path.parent.name) else ""
        for time, step, scalars in log.timed(last=True):
            for name, value in scalars.items():
                of_part = _is_curve(path.parent, name)
                named = path.parent.name if of_part else with_split(split, name)
                columns = found.setdefault(named, (array("d"), array("q"), array("d")))
                columns[0].append(time)
                columns[1].append(step)
                columns[2].append(value)
    restarts = 0
    series: dict[str, tuple[array[int], array[float]]] = {}
    for name, (times, steps, values) in found.items():
        kept = series[name] = array("q"), array("d")
        order: Sequence[int] = range(len(times))
        for place in sorted(order, key=times.__getitem__) if len(paths) > 1 else order:
            if kept[0] and kept[0][-1] >= steps[place]:
                restarts += kept[0][-1] > steps[place]
                while kept[0] and kept[0][-1] >= steps[place]:
                    kept[0].pop()
                    kept[1].pop()
            kept[0].append(steps[place])
            kept[1].append(values[place])
    all_steps = array("q", sorted({step for steps, _ in series.values() for step in steps}))
    if not all_steps:
        raise LogProblem("has no scalars")
    cells = [
        Sparse(len(all_steps), array("q", (bisect_left(all_steps, s) for s in steps)), values)
        for steps, values in series.values()
    ]
    rows = LoggedRows()
    rows.add_columns(["step", *series], [array("d", all_steps), *cells])
    note = "steps went back: what a restart logged again replaces what was there"
    run = rows.runs(paths[0], "TensorBoard", note if restarts else "")[0]
    return [replace(run, name=paths[0].parent.name or paths[0].name)]


class EventLog:
    """The scalars of an event file that is still being written, after what it held at a mark."""

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self._file = GrowingFile(path, after)
        self._records = _Records(_LARGEST_SCALARS)

    def read(self, *, last: bool = False) -> Iterator[Report]:
        """Yield step and scalars of the records since the last call; with `last` all to the end."""
        return ((step, scalars) for _, step, scalars in self.timed(last=last))

    def timed(self, *, last: bool = False) -> Iterator[tuple[float, int, dict[str, float]]]:
        """Yield the time in s as well; see `read`."""
        for data, has_restarted in self._file.pieces(last=last):
            if has_restarted:
                self._records = _Records(_LARGEST_SCALARS)
            for record in self._records.feed(data):
                time, step, scalars = _scalars(record)
                if scalars:
                    yield time, step, scalars


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


def _scalars(record: bytes) -> tuple[float, int, dict[str, float]]:
    """Return the time in s, the step and the scalars of an event; none if it is damaged."""
    from google.protobuf.message import DecodeError

    event = _event_class()()
    try:
        event.ParseFromString(record)
    except DecodeError:
        return 0.0, 0, {}
    found: dict[str, float] = {}
    for value in event.summary.value:
        scalar = _scalar(value)
        if scalar is not None and value.tag:
            found[value.tag.decode("utf-8", "replace")] = scalar
    return event.time, event.step, found


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


def _recognizes(head: Head) -> bool:
    return is_event_file(head.path)


READER = LogReader(
    "TensorBoard", read_events, _recognizes, rank=0, usual_names={"*.tfevents.*": 45}
)
