"""Optuna's journal in one file, safe against a driver that is killed at any moment.

Optuna's own file locks outlive a killed process: the next one waits 30 s before it breaks them.
Here a kernel lock is held while a line is written; it ends with the process. A line that the kill
left incomplete is removed before the journal is opened, because Optuna would append to it and could
never read the file again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Container, Generator
from pathlib import Path
from typing import IO, Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._file import get_lock_file
from optuna.trial import FrozenTrial, TrialState

from orchestrator.errors import SweepError
from orchestrator.files import lock

LOCK_TIMEOUT_S = 30.0

# Of the operations in a journal, as Optuna numbers them: to create a trial, and to set its state.
_CREATE_OR_SET = (4, 6)

# What Optuna raises at a line that it did not write.
_DAMAGED = (*(LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError),)


class KernelLock(JournalFileOpenLock):
    """A lock on the journal that ends with the process that holds it."""

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        # Not Optuna's own name `<journal>.lock`, whose mere existence means "taken".
        self._path = journal.with_name(f".{journal.name}.lock")
        self._held: Any = None
        # The library for locks takes longer than all else at a report, so a free one is taken here.
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        try:
            if self._file is None:
                self._file = self._path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._held = lock.acquire(self._path, timeout_s=LOCK_TIMEOUT_S, holder="the study")
        return True

    def release(self) -> None:
        """Release the lock."""
        held, self._held = self._held, None
        if held is not None:
            held.release()
        elif self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)


class Journal(JournalFileBackend):
    """Optuna's file without an fsync for each report: run directories rebuild what is lost.

    Attributes:
        completed: how many trials were made complete by what was read so far.
    """

    completed = 0

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records in one write."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), open(self._file_path, "a+b", buffering=0) as stream:
            end = stream.tell()
            if end and os.pread(stream.fileno(), 1, end - 1) != b"\n":
                mend(Path(self._file_path))  # another driver was killed in the middle of a line
            stream.write(lines.encode())

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the operations from a number on."""
        for operation in super().read_logs(log_number_from):
            if operation.get("op_code") in _CREATE_OR_SET:
                self.completed += operation.get("state") == TrialState.COMPLETE
            yield operation


class SweepJournal(JournalStorage):
    """A journal that does not search all trials for the complete ones at each report."""

    def __init__(self, file: Journal) -> None:
        self._file = file
        self._complete: dict[int, tuple[int, list[FrozenTrial]]] = {}
        super().__init__(file)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study in certain states; None for all."""
        if deepcopy or states != (TrialState.COMPLETE,):
            return super().get_all_trials(study_id, deepcopy, states)
        with self._thread_lock:
            self._sync_with_backend()
        count, found = self._complete.get(study_id, (-1, []))
        if count != self._file.completed:
            count = self._file.completed
            found = super().get_all_trials(study_id, deepcopy, states)
            self._complete[study_id] = count, found
        return list(found)


def open_journal(path: Path) -> SweepJournal:
    """Open a journal; create it if it is missing, and repair a torn end.

    Raises:
        SweepError: the file is not a journal of Optuna's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = KernelLock(path)
    with get_lock_file(own):  # others may be writing
        mend(path)
    try:
        return SweepJournal(Journal(str(path), lock_obj=own))
    except _DAMAGED as error:
        raise SweepError(
            f"{path}: not a readable Optuna journal ({error!r}). "
            "Move it away and run the sweep again; finished trials are in their folders."
        ) from error


def mend(path: Path) -> int:
    """Truncate a journal after its last readable line, and return the number of bytes removed.

    A killed driver leaves a torn last line; its operation counts as not done. If more than the last
    line is removed, the damaged file is kept as ``<name>.damaged``.
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
    except (ValueError, RecursionError):
        return False
