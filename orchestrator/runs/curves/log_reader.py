"""What reads one format of logs, what it returns, and what readers share."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files import regular
from orchestrator.files.discover import records

if TYPE_CHECKING:
    from orchestrator.runs.read.stored_run import StoredRun

LARGEST_BYTES = 512 * 2**20

Report = tuple[int, dict[str, float]]
"""A step and what was measured there."""


class LogProblem(Exception):  # noqa: N818  (it is what was found, not a fault)
    """A log that cannot be read as learning curves; the message says why."""


@dataclass(frozen=True)
class LoggedRun:
    """One run as its log has it; other tools' runs have neither number, state nor `stored`."""

    name: str  # the trial's name, or what sets the run apart in its file
    path: Path  # the file or run folder
    form: str  # which tool's log it is, for people: "sweep trial", "CSV"
    reports: tuple[Report, ...]  # in the order of the log; steps may repeat or go back
    unit: str = "epoch"  # what the steps count: "epoch" or "step"
    config: Mapping[str, Any] = field(default_factory=dict)  # as far as it is known
    number: int | None = None
    state: str | None = None
    total_steps: float | None = None  # the last step that was planned, if known
    notes: tuple[str, ...] = ()  # on how the log was read
    stored: StoredRun | None = field(default=None, repr=False, compare=False)

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return step and value of one series, for the steps that have it."""
        return [(step, metrics[name]) for step, metrics in self.reports if name in metrics]

    @property
    def names(self) -> list[str]:
        """The names of all series, in the order of their first report."""
        return list(dict.fromkeys(name for _, metrics in self.reports for name in metrics))


@dataclass(frozen=True)
class LogReader:
    """One format of logs."""

    name: str  # for people, in the list of what can be read
    read: Callable[[Path], list[LoggedRun]]  # may raise LogProblem
    suffixes: tuple[str, ...] = ()  # of such files, apart from ".gz"
    # Decides by the name of a binary file instead; a pattern is ignored for these.
    recognizes: Callable[[Path], bool] | None = None
    # Reads it with a user's regular expression. Only the format that takes all files that no other
    # takes has it.
    read_with_pattern: Callable[[Path, str | None], list[LoggedRun]] | None = None
    # What tools call such a log, to its priority: of several in a folder the lowest is taken.
    usual_names: Mapping[str, int] = field(default_factory=dict)

    def takes(self, path: Path) -> bool:
        """Return whether a file is named as this format's are."""
        if self.recognizes is not None:
            return self.recognizes(path)
        inner = path.with_suffix("") if path.suffix == ".gz" else path
        return inner.suffix.lower() in self.suffixes

    def priority(self, path: Path) -> float | None:
        """Return the place of a log among those of its folder; None if its name is not usual."""
        if self.recognizes is not None:
            return math.inf if self.recognizes(path) else None
        return self.usual_names.get(path.name)


@cache
def log_readers() -> tuple[LogReader, ...]:
    """Return all readers: binary formats first, as their names may end in any suffix."""
    found = records("orchestrator.runs.curves.formats", "READER")
    return tuple(sorted(found, key=lambda reader: reader.recognizes is None))


def read_log(path: Path, pattern: str | None = None) -> list[LoggedRun]:
    """Return the runs of one file, read as its name suggests, else as text, or raise LogProblem."""
    reader = next((each for each in log_readers() if each.takes(path)), None)
    if reader is not None and (pattern is None or reader.recognizes is not None):
        return reader.read(path)
    readers_of_text = (each.read_with_pattern for each in log_readers() if each.read_with_pattern)
    return next(readers_of_text)(path, pattern)


def read_bytes(path: Path) -> bytes:
    """Return the content of a log, unpacked if its name ends in ``.gz``, or raise LogProblem."""
    try:
        with regular.open_file(path) as raw:
            stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            content = stream.read(LARGEST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise LogProblem(f"cannot be read: {error}") from None
    if len(content) > LARGEST_BYTES:
        raise LogProblem(f"is larger than {LARGEST_BYTES >> 20} MiB")
    return content


def message_classes(package: str, **messages: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    """Return the classes of protobuf messages by their names, with only the fields that are read.

    Args:
        package: unique name, so that two tools' messages do not collide.
        messages: name of a message to its fields, each with its number and type: one of
            protobuf's in capitals (``"DOUBLE"``; text is ``"BYTES"``, as a damaged character must
            not cost the message) or the name of another message, with ``*`` if repeated.
    """
    # Loaded only here. The classes that tensorboardX ships would load torch.
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package)
    file.syntax = "proto3"
    for message, fields in messages.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            one = declared.field.add(name=name, number=number)
            plain = kind.rstrip("*")
            one.label = one.LABEL_REPEATED if kind != plain else one.LABEL_OPTIONAL
            if plain in messages:
                one.type, one.type_name = one.TYPE_MESSAGE, f".{package}.{plain}"
            else:
                one.type = one.Type.Value(f"TYPE_{plain}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }
