"""Which run folders are complete, what the others lack, and what can be recovered from them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.analysis.measure.measuring import measure
from orchestrator.analysis.measure.row import Row
from orchestrator.files import checkpoints
from orchestrator.runs.foreign import metadata
from orchestrator.runs.read import StoredRun, find_runs

_ARRAYS = re.compile(r"^(val_|test_|train_)?(predictions|targets)\.")
_MOST_ENTRIES = 2_000


@dataclass(frozen=True)
class Audited:
    """One run folder as an audit finds it; complete if it can be ranked.

    Attributes:
        tool: what made it, as shown: ``sweep``, ``Lightning``; "" if unknown.
        state: None for another tool's run.
        has: what is there: ``config``, ``arrays``, ``metrics``, ``checkpoint``.
        lacks: what is missing or unusable, one phrase each.
        recoverable: what can be recovered from it and how, one sentence each.
    """

    path: Path
    tool: str
    state: str | None
    complete: bool
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    recoverable: tuple[str, ...]


def audit(paths: Sequence[Path]) -> list[Audited]:
    """Return every run at and below `paths`, in natural order of their paths.

    Raises:
        NotFoundError: one of `paths` is no folder.
        UsageError: a ``sweep-runs.yaml`` is not valid.
    """
    # Copies, so that what is read of one run is not kept while the others are read.
    return [_audited(replace(run)) for run in find_runs(paths)]


def _audited(run: StoredRun) -> Audited:
    measured = measure(run)
    checkpoint = _newest_checkpoint(run.path)
    reports, last_step = _curve(run)
    lacks = [] if run.config else ["config"]
    is_logged = False
    if isinstance(measured, Row):
        # MLflow, Ray Tune and W&B keep what they logged in files that no curve is read from.
        is_logged = bool(measured.logged)
        lacks += [] if measured.metrics else ["arrays"]
    else:
        lacks += [*measured.missing, *([measured.problem] if measured.problem else [])]
    found = {
        "config": bool(run.config),
        "arrays": bool(run.places) and not run.missing,
        "metrics": bool(reports) or is_logged,
        "checkpoint": checkpoint is not None,
    }
    is_complete = isinstance(measured, Row)
    tool = run.tool.name if run.tool is not None else ("" if run.log is None else run.log.form)
    return Audited(
        path=run.path,
        tool="sweep" if run.is_ours else tool,
        state=run.state,
        complete=is_complete,
        has=tuple(name for name, is_there in found.items() if is_there),
        lacks=tuple(dict.fromkeys(lacks)),
        recoverable=() if is_complete else _recoverable(run, checkpoint, reports, last_step),
    )


def _recoverable(
    run: StoredRun, checkpoint: Path | None, reports: int, last_step: int | None
) -> tuple[str, ...]:
    found = []
    others = metadata.other_formats(run.files)
    if others:
        found.append(f"save {', '.join(others)} as .npy, or name them in sweep-runs.yaml")
    if run.is_ours and run.state in ("WAITING", "PRUNED", "FAIL") and checkpoint is not None:
        found.append(f"run the sweep again: it continues from {checkpoint.name}")
    elif run.is_ours and run.state == "WAITING":
        found.append("run the sweep again: it starts from the beginning")
    elif checkpoint is not None:
        found.append(f"predict again from {checkpoint.relative_to(run.path)}")
    if reports:
        until = f" up to step {last_step}" if last_step is not None else ""
        count = "1 report" if reports == 1 else f"{reports} reports"
        found.append(f"its log has {count}{until}: `sweep doctor {run.path}`")
    return tuple(found)


def _newest_checkpoint(root: Path) -> Path | None:
    """Return the newest checkpoint, a file or folder, in or below a run folder."""
    found: list[tuple[float, Path]] = []
    looked = 0
    for folder, folders, files in os.walk(root):
        looked += len(folders) + len(files)
        names = [
            name
            for name in [*folders, *files]
            if (checkpoints.FILE.search(name) or checkpoints.FOLDER.match(name))
            and not _ARRAYS.match(name)
        ]
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):
                found.append((path.stat().st_mtime, path))
        folders[:] = [name for name in folders if name not in names and name[0] != "."]
        if looked >= _MOST_ENTRIES:
            break
    return max(found, key=lambda item: item[0])[1] if found else None


def _curve(run: StoredRun) -> tuple[int, int | None]:
    """Return how many reports the log of a run has, and the last step."""
    return len(run.curve), run.curve[-1][0] if run.curve else None
