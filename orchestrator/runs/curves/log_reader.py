"""What reads one format of logs, what it returns, and what readers share."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from orchestrator.files import regular
from orchestrator.files.discover import records

if TYPE_CHECKING:
    from orchestrator.runs.read.stored_run import StoredRun

LARGEST_BYTES = 512 * 2**20  # of a file that is read whole
LONGEST_LINE = 1 << 20  # characters; a longer one is dropped
_SNIFFED_BYTES = 65_536
_LONGEST_LINE = 16 << 20  # characters
_PIECE = 1 << 20  # characters that are read at once
_GZIP = b"\x1f\x8b"
# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

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
    reports: Sequence[Report]  # in the order of the log; steps may repeat or go back
    unit: str = "epoch"  # what the steps count: "epoch" or "step"
    config: Mapping[str, Any] = field(default_factory=dict)  # as far as it is known
    number: int | None = None
    state: str | None = None
    failure: str = ""  # why one of our trials failed, or what a table of runs has as its state
    total_steps: float | None = None  # the last step that was planned, if known
    notes: tuple[str, ...] = ()  # on how the log was read
    last: Mapping[str, float] = field(default_factory=dict)  # of series that `reports` averages
    facts: Mapping[str, float] = field(default_factory=dict)  # as in `cells.FACTS`
    stored: StoredRun | None = field(default=None, repr=False, compare=False)

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return step and value of one series, for the steps that have it."""
        return [(step, metrics[name]) for step, metrics in self.reports if name in metrics]

    @property
    def names(self) -> list[str]:
        """The names of all series, in the order of their first report."""
        return list(dict.fromkeys(name for _, metrics in self.reports for name in metrics))


@dataclass(frozen=True)
class Head:
    """The beginning of a log, by which its format is recognized."""

    path: Path
    data: bytes
    text: str

    @property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        return [line for line in self.text.splitlines() if line.strip()]

    @property
    def suffix(self) -> str:
        """The ending of the name, apart from ``.gz``, in lower case."""
        path = self.path
        return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


class RowParser(Protocol):
    """What turns the lines of a log, as they come, into rows."""

    def rows(self, lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of further lines."""

    def left_out(self) -> str:
        """Return a sentence on what was not read; "" if all was."""


@dataclass(frozen=True)
class LogReader:
    """One format of logs."""

    name: str  # for people, in the list of what can be read
    read: Callable[[Path], list[LoggedRun]]  # may raise LogProblem
    recognizes: Callable[[Head], bool]
    rank: int = 1  # readers of lower rank are asked first
    parser: Callable[[], RowParser] | None = None  # of the formats that are read by line
    # Reads it with a user's regular expression. Only the format that takes all files that no other
    # takes has it.
    read_with_pattern: Callable[[Path, str | None], list[LoggedRun]] | None = None
    # What tools call such a log (* is allowed), to its priority: of several in a folder the lowest
    # is taken.
    usual_names: Mapping[str, float] = field(default_factory=dict)

    def priority(self, name: str) -> float | None:
        """Return the place of a log among those of its folder; None if its name is not usual."""
        name = name.removesuffix(".gz")
        if fnmatchcase(name, "debug*.log"):
            return None  # what W&B and others write about themselves
        found = (rank for usual, rank in self.usual_names.items() if fnmatchcase(name, usual))
        return min(found, default=None)


@cache
def log_readers() -> tuple[LogReader, ...]:
    """Return all readers in the order in which they are asked."""
    found = records("orchestrator.runs.curves.formats", "READER")
    return tuple(sorted(found, key=lambda reader: reader.rank))


@lru_cache(maxsize=4096)
def priorities(name: str) -> tuple[float, ...]:
    """Return the place of a log among those of its folder for each reader that knows its name."""
    found = (reader.priority(name) for reader in log_readers())
    return tuple(place for place in found if place is not None)


def reader_of(path: Path) -> LogReader | None:
    """Return the reader that recognizes the content of a file; None if it is empty or unknown.

    Raises:
        LogProblem: the file cannot be read.
    """
    try:
        with opened(path) as stream:
            data = stream.read(_SNIFFED_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise LogProblem(f"cannot be read: {error}") from None
    head = Head(path, data, data.decode(encoding_of(data), "ignore").removeprefix("\ufeff"))
    return next((reader for reader in log_readers() if reader.recognizes(head)), None)


def read_log(path: Path, pattern: str | None = None) -> list[LoggedRun]:
    """Return the runs of one file, read as its content asks for, else as text.

    Raises:
        LogProblem: there are no learning curves in it.
    """
    reader = reader_of(path)
    if reader is not None and (pattern is None or reader.rank == 0):
        return reader.read(path)
    readers_of_text = (each.read_with_pattern for each in log_readers() if each.read_with_pattern)
    return next(readers_of_text)(path, pattern)


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text by its first bytes."""
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if marked is not None:
        return marked
    # UTF-16 without a mark: every second byte of Latin text is 0.
    zeros = [head[start:256:2].count(0) for start in (0, 1)]
    if max(zeros) > len(head[:256]) / 4:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return "utf-8-sig"


def opened(path: Path) -> io.BufferedReader | gzip.GzipFile:
    """Open a log, which may be packed."""
    stream = cast("io.BufferedReader", regular.open_file(path))
    is_packed = stream.peek(2)[:2] == _GZIP
    return gzip.GzipFile(fileobj=stream) if is_packed else stream


def read_lines(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a log, some thousand at a time; a lone carriage return stays in its line.

    Raises:
        LogProblem: it cannot be read.
    """
    try:
        with opened(path) as stream:
            encoding = encoding_of(stream.peek(4)[:256])
            with io.TextIOWrapper(stream, encoding, errors="replace", newline="\n") as text:
                rest = ""
                while piece := text.read(_PIECE):
                    # A piece may end between the two signs of a line's end.
                    whole = (rest + piece).replace("\0", "").replace("\r\n", "\n")
                    whole, _, rest = whole.rpartition("\n")
                    if len(rest) > _LONGEST_LINE:
                        raise LogProblem(f"has a line of more than {_LONGEST_LINE >> 20} MiB")
                    if whole:
                        yield whole.split("\n")
                if rest:
                    yield [rest]
    except (OSError, EOFError, zlib.error) as error:
        raise LogProblem(f"cannot be read: {error}") from None


def read_bytes(path: Path) -> bytes:
    """Return the content of a log, unpacked, or raise LogProblem."""
    try:
        with opened(path) as stream:
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
