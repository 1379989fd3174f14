"""Optuna's journal in one file, safe against a driver that is killed at any moment.

Optuna's own file locks are files that a killed process leaves behind: the next one waits 30 s
before it breaks them. Here a lock of the kernel is held while a line is written; it ends with the
process. A line that was torn by the kill is cut off before the journal is opened, because Optuna
would append to it and could never read the file again.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from orchestrator.errors import SweepError
from orchestrator.files import lock

LOCK_TIMEOUT_S = 30.0


class KernelLock(JournalFileOpenLock):
    """A lock on the journal that ends with the process that holds it.

    Args:
        journal: the journal's path.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        # Another name than Optuna's own `<journal>.lock`, whose mere existence means "taken".
        self._path = journal.with_name(f".{journal.name}.lock")
        self._held: Any = None

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        self._held = lock.acquire(self._path, timeout_s=LOCK_TIMEOUT_S, holder="the study")
        return True

    def release(self) -> None:
        """Give the lock back."""
        held, self._held = self._held, None
        if held is not None:
            held.release()


def open_journal(path: Path) -> JournalStorage:
    """Open the journal at `path`, making it where it is missing and mending a torn end.

    Raises:
        SweepError: the file is no journal of Optuna's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mend(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=KernelLock(path)))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise SweepError(
            f"{path}: must be a journal of Optuna's, but it cannot be read ({error!r}). "
            "Move it away and run the sweep again; finished trials stand in their folders."
        ) from error


def mend(path: Path) -> int:
    """Cut the journal at `path` behind its last line that can be read, and return the bytes cut.

    A torn last line is what a killed driver leaves; the operation that it recorded counts as not
    done. Where more than the last line is cut, the damaged file is kept as ``<name>.damaged``.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    whole = 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n") or not _is_record(line):
            break
        whole += len(line)
    torn = len(content) - whole
    if not torn:
        return 0
    if b"\n" in content[whole:-1]:
        shutil.copyfile(path, path.with_name(f"{path.name}.damaged"))
    with path.open("r+b") as stream:
        stream.truncate(whole)
        stream.flush()
        os.fsync(stream.fileno())
    return torn


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
