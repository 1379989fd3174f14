"""W&B's offline log (``run-<id>.wandb``), read without W&B, also while it is being written.

The file is a LevelDB log (blocks of 32 KiB; each record with a checksum, a length and whether it
is whole, or the first, a middle or the last piece of one) of protocol buffers. Of these only three
kinds are wanted: the run with its config, changes of the config, and the history. Field numbers
are those of W&B's public ``wandb_internal.proto``; they are part of its file format, which new
releases only add to.

::

    log = WandbLog(path)
    log.read()            # and again later: goes on where the file ended
    log.config, log.reports
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.curve import LoggedRun, LogProblem, Report, number

_HEADER = b":W&B"
_HEADER_BYTES = 7
_BLOCK = 32 * 1024
_RECORD_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

# Record, then what is inside each of its kinds.
_HISTORY, _CONFIG, _RUN = 2, 5, 17
_RUN_CONFIG = 4
_ITEM, _HISTORY_STEP = 1, 2
_KEY, _NESTED_KEY, _BOOLEAN, _INTEGER, _NUMBER, _VALUE_JSON = 1, 2, 4, 5, 6, 16
_REMOVED = 2
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


class WandbLog:
    """One offline log, read as far as it is written.

    Attributes:
        config: what ``wandb.config`` held last; nested values are mappings.
        reports: step and the numbers that were logged there, in order.
    """

    def __init__(self, path: Path) -> None:
        self.config: dict[str, Any] = {}
        self.reports: list[Report] = []
        self._path = path
        self._offset = _HEADER_BYTES
        self._pieces = b""

    def read(self) -> int:
        """Take in what was written since the last call, and return how many reports came.

        Raises:
            LogProblem: the file is none of W&B's, or cannot be read.
        """
        before = len(self.reports)
        try:
            with self._path.open("rb") as stream:
                head = stream.read(_HEADER_BYTES)
                if len(head) < _HEADER_BYTES and _HEADER.startswith(head[:4]):
                    return 0  # it is being made
                if not head.startswith(_HEADER):
                    raise LogProblem("it does not begin as a log of W&B")
                stream.seek(self._offset)
                data = stream.read()
        except OSError as error:
            raise LogProblem(f"it cannot be read: {error.strerror or error}") from None
        for record in self._records(data):
            try:
                self._take(record)
            except (ValueError, IndexError, struct.error):
                continue  # damaged, or of a kind that a later release added
        return len(self.reports) - before

    def _records(self, data: bytes) -> Iterator[bytes]:
        """Yield whole records, and remember where the next one starts."""
        place = 0
        while True:
            left = _BLOCK - (self._offset + place) % _BLOCK
            if left < _RECORD_HEADER.size:
                place += left
                left = _BLOCK
            start = place + _RECORD_HEADER.size
            if start > len(data):
                break
            _, length, kind = _RECORD_HEADER.unpack_from(data, place)
            if kind == 0 and length == 0:
                # The rest of the block was set aside and not written yet, or is padding.
                if place + left > len(data):
                    break
                place += left
                continue
            if start + length > len(data):
                break
            piece = data[start : start + length]
            place = start + length
            if kind in (_WHOLE, _FIRST):
                self._pieces = b""
            self._pieces += piece
            if kind in (_WHOLE, _LAST):
                whole, self._pieces = self._pieces, b""
                yield whole
        self._offset += min(place, len(data))

    def _take(self, record: bytes) -> None:
        for field, value in _fields(record):
            if not isinstance(value, bytes):
                continue
            if field == _HISTORY:
                self._take_history(value)
            elif field == _CONFIG:
                self._take_config(value)
            elif field == _RUN:
                for inner, part in _fields(value):
                    if inner == _RUN_CONFIG and isinstance(part, bytes):
                        self._take_config(part)

    def _take_config(self, record: bytes) -> None:
        for field, item in _fields(record):
            if not isinstance(item, bytes):
                continue
            keys, value = _item(item)
            if not keys or keys[0] == "_wandb":
                continue
            inside = self.config
            for key in keys[:-1]:
                nested = inside.get(key)
                inside[key] = inside = nested if isinstance(nested, dict) else {}
            if field == _ITEM:
                inside[keys[-1]] = value
            elif field == _REMOVED:
                inside.pop(keys[-1], None)

    def _take_history(self, record: bytes) -> None:
        step: int | None = None
        metrics: dict[str, float] = {}
        for field, value in _fields(record):
            if field == _ITEM and isinstance(value, bytes):
                keys, content = _item(value)
                name = ".".join(keys)
                found = number(content)
                if name == "_step" and found is not None:
                    step = int(found)
                elif found is not None and not name.startswith("_"):
                    metrics[name] = found
            elif field == _HISTORY_STEP and isinstance(value, bytes):
                step = next((int(part) for inner, part in _fields(value) if inner == 1), 0)
        if metrics:
            self.reports.append((len(self.reports) if step is None else step, metrics))


def read_wandb(path: Path) -> list[LoggedRun]:
    """Return the run in an offline log.

    Raises:
        LogProblem: it is none of W&B's, or logged nothing.
    """
    log = WandbLog(path)
    log.read()
    if not log.reports:
        raise LogProblem("it has no history")
    name = path.stem.removeprefix("run-")
    return [LoggedRun(name, path, "W&B", tuple(log.reports), "step", dict(log.config))]


def is_wandb_log(path: Path) -> bool:
    """Tell by its name whether a file is an offline log."""
    return path.suffix == ".wandb" and path.name.startswith("run-")


def _item(record: bytes) -> tuple[list[str], Any]:
    """Return the key of an item, with those of its nesting, and its value."""
    key, nested, value = "", [], None
    for field, content in _fields(record):
        if field == _KEY and isinstance(content, bytes):
            key = content.decode(errors="replace")
        elif field == _NESTED_KEY and isinstance(content, bytes):
            nested.append(content.decode(errors="replace"))
        elif field == _VALUE_JSON and isinstance(content, bytes):
            value = json.loads(content)
        elif field == _NUMBER and isinstance(content, bytes):
            value = struct.unpack("<d", content)[0]
        elif field == _BOOLEAN and isinstance(content, int):
            value = bool(content)
        elif field == _INTEGER and isinstance(content, int):
            value = (content >> 1) ^ -(content & 1)  # zigzag
    return nested or ([key] if key else []), value


def _fields(record: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and content of each field of a protocol buffer.

    Raises:
        ValueError: it is none.
    """
    place = 0
    while place < len(record):
        tag, place = _varint(record, place)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(record, place)
            yield field, value
            continue
        if wire == _BYTES:
            length, place = _varint(record, place)
        elif wire in (_FIXED_64, _FIXED_32):
            length = 8 if wire == _FIXED_64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if place + length > len(record):
            raise ValueError("cut short")
        yield field, record[place : place + length]
        place += length


def _varint(record: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(record) or shift > 63:
            raise ValueError("cut short")
        byte = record[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, place
        shift += 7
