"""Append-only logs of one JSON object a line; a torn last line is tolerated."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.files.atomic import plain
from orchestrator.files.regular import open_file

DEEPEST = 40
"""Nested: deeper than what any user wrote, shallow enough for the interpreter's stack."""


def append(path: Path, record: Mapping[str, Any], *, with_others: bool = False) -> None:
    """Append `record` as one line, in one write; locked if it is `with_others`, as on NFS.

    A torn line of an earlier writer is ended first, so that only that line is lost. Raises an
    `OSError` if the folder is missing, full or not writable.
    """
    line = json.dumps(plain(record), ensure_ascii=False).encode() + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        if with_others:
            with suppress(OSError):  # not every file system has locks, or needs them here
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        while line:
            # A disk that fills up accepts a part; writing the rest raises.
            line = line[os.write(descriptor, line) :]
    finally:
        os.close(descriptor)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all whole records; lines that are torn, without an object or too deep are left out."""
    return list(iterate(path))


def iterate(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what `read` returns, without holding the whole log."""
    with suppress(OSError), open_file(path, path.parent) as stream:
        yield from _records(stream)


def parse(content: bytes) -> list[dict[str, Any]]:
    """Return the records of the whole lines in `content`."""
    return list(_records(content.split(b"\n")))


def _records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        is_flat = line.count(b"{") + line.count(b"[") <= DEEPEST  # the usual case
        if isinstance(record, dict) and (is_flat or not is_deeper(record, DEEPEST)):
            yield record


def read_last(path: Path, tail_bytes: int = 16_384) -> dict[str, Any] | None:
    """Return the last whole record within the last `tail_bytes` of a log, which alone are read."""
    try:
        with open_file(path, path.parent) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - tail_bytes))
            records = parse(stream.read())
    except OSError:
        return None
    return records[-1] if records else None


def is_deeper(value: Any, most: int) -> bool:
    """Return whether a value of JSON is nested more than `most` times."""
    layer = [value]
    for _ in range(most):
        layer = [
            item
            for holder in layer
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not layer:
            return False
    return True
