"""What reads one format of logs, and the list of them: the modules of `formats`."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from orchestrator.files.discover import records
from orchestrator.runs.curves.curve import LoggedRun, LogProblem

LARGEST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class LogReader:
    """One format of logs.

    Attributes:
        name: for people, in the list of what can be read.
        read: returns the runs of a file; raises LogProblem.
        suffixes: endings of such files, apart from ``.gz``; () if `recognises` decides.
        recognises: decides by the name of a file instead.
        read_with_pattern: reads it with a user's regular expression; None for formats in which
            there is nothing to search.
        is_binary: True for files that no pattern can read, so that a pattern does not matter.
        usual_names: what tools call such a log, to its priority: of several in a folder the
            lowest is taken.
        is_last: True for the reader of everything that no other recognises.
    """

    name: str
    read: Callable[[Path], list[LoggedRun]]
    suffixes: tuple[str, ...] = ()
    recognises: Callable[[Path], bool] | None = None
    read_with_pattern: Callable[[Path, str], list[LoggedRun]] | None = None
    is_binary: bool = False
    usual_names: Mapping[str, int] = field(default_factory=dict)
    is_last: bool = False

    def takes(self, path: Path) -> bool:
        """Return whether a file is named as this format's are."""
        if self.recognises is not None:
            return self.recognises(path)
        inner = path.with_suffix("") if path.suffix == ".gz" else path
        return self.is_last or inner.suffix.lower() in self.suffixes


@cache
def log_readers() -> tuple[LogReader, ...]:
    """Return all readers, the one that takes everything last."""
    found = records("orchestrator.runs.curves.formats", "READER")
    return tuple(sorted(found, key=lambda reader: (reader.is_last, not reader.is_binary)))


def read_log(path: Path, pattern: str | None = None) -> list[LoggedRun]:
    """Return the runs of one file, read as its name suggests, else as text.

    Raises:
        LogProblem: it cannot be read as learning curves.
    """
    reader = next(reader for reader in log_readers() if reader.takes(path))
    if pattern is None or reader.is_binary:
        return reader.read(path)
    return next(
        reader.read_with_pattern(path, pattern)
        for reader in log_readers()
        if reader.read_with_pattern is not None
    )


def read_bytes(path: Path) -> bytes:
    """Return the content of a log, unpacked if its name ends in ``.gz``.

    Raises:
        LogProblem: it cannot be read, or is larger than any log of curves.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise LogProblem(f"is larger than {LARGEST_BYTES >> 20} MiB")
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(LARGEST_BYTES + 1)
        else:
            content = path.read_bytes()
    except (OSError, EOFError) as error:
        raise LogProblem(f"cannot be read: {error}") from None
    if len(content) > LARGEST_BYTES:
        raise LogProblem(f"is larger than {LARGEST_BYTES >> 20} MiB")
    return content
