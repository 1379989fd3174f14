"""W&B's offline log (``run-<id>.wandb``), read without W&B, also while it is being written.

The file is a LevelDB log (blocks of 32 KiB; each record with a checksum, a length and whether it
is whole, or the first, a middle or the last piece of one) of protocol buffers. Of these only three
kinds are read: the run with its config, changes of the config, and the history.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.files import regular
from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.log_reader import (
    LoggedRun,
    LogProblem,
    LogReader,
    Report,
    message_classes,
)

_HEADER = b":W&B"
_HEADER_BYTES = 7
_BLOCK = 32 * 1024
_PIECE = 4 << 20  # bytes that are held at once
_RECORD_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@cache
def _record_class() -> Any:
    # Field numbers are those of W&B's public wandb_internal.proto: part of its file format, which
    # new releases only add to.
    return message_classes(
        "sweep_wandb",
        Record={"history": (2, "History"), "config": (5, "Config"), "run": (17, "Run")},
        Run={"config": (4, "Config")},
        Config={"update": (1, "Item*"), "remove": (2, "Item*")},
        History={"item": (1, "Item*"), "step": (2, "Step")},
        Step={"num": (1, "INT64")},
        Item={
            "key": (1, "BYTES"),
            "nested_key": (2, "BYTES*"),
            # Numbers that may be missing are declared as lists: 0 and nothing would look the same.
            "boolean": (4, "BOOL*"),
            "integer": (5, "SINT64*"),
            "number": (6, "DOUBLE*"),
            "value_json": (16, "BYTES"),
        },
    )["Record"]


class WandbLog:
    """One offline log, read as far as it is written."""

    def __init__(self, path: Path) -> None:
        self.config: dict[str, Any] = {}  # the last content of ``wandb.config``
        self.reports: list[Report] = []  # in order
        self._path = path
        self._offset = _HEADER_BYTES
        self._pieces = b""

    def read(self) -> int:
        """Read what was written since the last call, and return the number of new reports.

        Raises LogProblem if the file is not W&B's or cannot be read.
        """
        before = len(self.reports)
        try:
            with regular.open_file(self._path) as stream:
                head = stream.read(_HEADER_BYTES)
                if len(head) < _HEADER_BYTES and _HEADER.startswith(head[:4]):
                    return 0  # it is being made
                if not head.startswith(_HEADER):
                    raise LogProblem("it does not begin as a log of W&B")
                stream.seek(self._offset)
                while (data := stream.read(_PIECE)) and self._take(data):
                    stream.seek(self._offset)
        except OSError as error:
            raise LogProblem(f"it cannot be read: {error.strerror or error}") from None
        return len(self.reports) - before

    def _take(self, data: bytes) -> bool:
        """Take in the whole records of a piece of the file; return whether there were any."""
        from google.protobuf.message import DecodeError

        start = self._offset
        for record in self._records(data):
            message = _record_class()()
            try:
                message.ParseFromString(record)
                for config in (message.run.config, message.config):
                    self._take_config(config)
                if message.HasField("history"):
                    self._take_history(message.history)
            except (ValueError, DecodeError):
                continue  # damaged
        return self._offset > start

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

    def _take_config(self, config: Any) -> None:
        for index, item in enumerate([*config.update, *config.remove]):
            keys = _keys(item)
            if not keys or keys[0] == "_wandb":
                continue
            inside = self.config
            for key in keys[:-1]:
                nested = inside.get(key)
                inside[key] = inside = nested if isinstance(nested, dict) else {}
            if index < len(config.update):
                inside[keys[-1]] = _value(item)
            else:
                inside.pop(keys[-1], None)

    def _take_history(self, history: Any) -> None:
        step = history.step.num if history.HasField("step") else None
        metrics: dict[str, float] = {}
        for item in history.item:
            name, found = ".".join(_keys(item)), number(_value(item))
            if name == "_step" and found is not None:
                step = int(found) if step is None else step
            elif found is not None and not name.startswith("_"):
                metrics[name] = found
        if metrics:
            self.reports.append((len(self.reports) if step is None else step, metrics))


def _read(path: Path) -> list[LoggedRun]:
    log = WandbLog(path)
    log.read()
    if not log.reports:
        raise LogProblem("it has no history")
    name = path.stem.removeprefix("run-")
    return [LoggedRun(name, path, "W&B", tuple(log.reports), "step", log.config)]


def is_wandb_log(path: Path) -> bool:
    """Return whether a file is named as an offline log is."""
    return path.suffix == ".wandb" and path.name.startswith("run-")


def _keys(item: Any) -> list[str]:
    """Return the key of an item, or all keys of one inside others."""
    keys = list(item.nested_key) or ([item.key] if item.key else [])
    return [key.decode(errors="replace") for key in keys]


def _value(item: Any) -> Any:
    plain = [*item.number, *item.boolean, *item.integer]
    return json.loads(item.value_json) if item.value_json else (plain or [None])[-1]


READER = LogReader(
    "W&B, offline",
    _read,
    lambda head: head.data.startswith(_HEADER) or is_wandb_log(head.path),
    rank=0,
    usual_names={"run-*.wandb": 5},
)
