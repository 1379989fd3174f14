"""Opening a sweep's folder to run in it: a new one, or one that is to go on."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ChangedSpecError, UsageError
from orchestrator.files import atomic, lock
from orchestrator.runs import SweepDir, TrialRecord, load_trials, safe_name
from orchestrator.sweepfile import differences
from orchestrator.sweepfile.model import Spec

# A reader that asks whether a driver lives holds the lock for an instant.
LOCK_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class OpenSweep:
    """A sweep's folder that this process holds.

    Attributes:
        folder: the folder.
        records: the trials that it holds already, by number.
        held: the lock; let go of with `close`.
    """

    folder: SweepDir
    records: dict[int, TrialRecord]
    held: lock.Held

    def close(self) -> None:
        """Let go of the folder."""
        self.held.release()


def open_sweep(spec: Spec, results: Path, *, new: bool = False) -> OpenSweep:
    """Take hold of the folder of `spec` under `results`, making it where it is missing.

    Args:
        spec: what is to run.
        results: where sweeps are kept.
        new: start another sweep ``<name>-2`` beside one that exists.

    Raises:
        ChangedSpecError: the folder holds a sweep of another spec, and `new` was not given.
        BusyError: another process runs this sweep.
        UsageError: the folder cannot be made or written.
    """
    folder = folder_for(spec, results, new=new)
    make_folder(folder)
    held = lock.acquire(
        folder.lock_file, timeout_s=LOCK_TIMEOUT_S, holder=f"the sweep '{folder.name}'"
    )
    try:
        asked = _plain(spec)
        before = atomic.read_json(folder.spec_file)
        if before is not None:
            changed = differences(before, asked)
            if changed:
                lines = "\n  ".join(changed)
                raise ChangedSpecError(
                    f"{folder.path}: must have been run with this spec to go on, but it differs:\n"
                    f"  {lines}\nGive --new to start '{_unused(folder).name}' beside it, or undo "
                    "the change. (run_cap, budget, targets, gates and remedies may change.)"
                )
        atomic.write_json(folder.spec_file, asked)
        records = {record.number: record for record in load_trials(folder)}
    except BaseException:
        held.release()
        raise
    return OpenSweep(folder, records, held)


def folder_for(spec: Spec, results: Path, *, new: bool) -> SweepDir:
    """Return the folder that a run of `spec` uses; it may not exist yet.

    Of a sweep and those that ``--new`` has put beside it, the last one of this very spec goes on.
    """
    first = SweepDir(results / safe_name(spec.name))
    if new:
        return _unused(first)
    asked = _plain(spec)
    for folder in reversed(_beside(first)):
        before = atomic.read_json(folder.spec_file)
        if before is not None and not differences(before, asked):
            return folder
    return first


def _plain(spec: Spec) -> dict[str, Any]:
    """Return `spec` as it is after a way through JSON."""
    found: dict[str, Any] = json.loads(json.dumps(atomic.plain(spec.to_dict())))
    return found


def _beside(first: SweepDir) -> list[SweepDir]:
    """Return the folders ``<name>-2`` and so on that hold a sweep, by number."""
    numbered = re.compile(re.escape(first.name) + r"-([1-9]\d*)")
    try:
        names = [path.name for path in first.path.parent.iterdir()]
    except OSError:
        return []
    counts = sorted(int(match[1]) for name in names if (match := numbered.fullmatch(name)))
    found = [SweepDir(first.path.with_name(f"{first.name}-{count}")) for count in counts]
    return [folder for folder in found if folder.spec_file.is_file()]


def make_folder(folder: SweepDir) -> None:
    """Make the folder of a sweep where it is missing.

    Raises:
        UsageError: it cannot be made or written.
    """
    try:
        folder.trials_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(folder.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(
            f"{folder.path}: must be a folder that can be written, but got: {error.strerror}. "
            "Choose another with --results."
        ) from None


def _unused(folder: SweepDir) -> SweepDir:
    count = 1
    found = folder
    while found.spec_file.exists():
        count += 1
        found = SweepDir(folder.path.with_name(f"{folder.name}-{count}"))
    return found
