"""Which run folders are complete, what the others lack, and what could still be had from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.measuring import measure
from orchestrator.analysis.measure.row import Row
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.runs.curves import read_runs
from orchestrator.runs.find import RunFolder, find_runs
from orchestrator.runs.foreign import metadata
from orchestrator.runs.read import StoredRun

_CHECKPOINT = re.compile(r"\.(ckpt|pt|pth|h5|hdf5|keras|safetensors)$|^checkpoint-\d+$", re.I)
_NO_CHECKPOINT = re.compile(r"^(val_|test_|train_)?(predictions|targets)\.")
_MOST_LOOKED_AT = 2_000


@dataclass(frozen=True)
class Audited:
    """One run folder as an audit finds it.

    Attributes:
        path: the folder.
        tool: who made it, for people: ``sweep``, ``Lightning``; "" if unknown.
        state: the trial's state; None for another tool's run.
        is_complete: True if it can be ranked.
        has: what is there: ``config``, ``arrays``, ``metrics``, ``checkpoint``.
        lacks: what is missing, and what is there but cannot be used, one phrase each.
        recoverable: what could still be had from it, one sentence each.
    """

    path: Path
    tool: str
    state: str | None
    is_complete: bool
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    recoverable: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "path": str(self.path),
            "tool": self.tool,
            "state": self.state,
            "complete": self.is_complete,
            "has": list(self.has),
            "lacks": list(self.lacks),
            "recoverable": list(self.recoverable),
        }


def audit(paths: Sequence[Path]) -> list[Audited]:
    """Return every run at and below `paths`, in natural order of their paths.

    Raises:
        NotFoundError: one of `paths` is no folder.
        UsageError: a ``sweep-runs.yaml`` is not valid.
    """
    return [_audited(StoredRun(folder)) for folder in find_runs(paths)]


def _audited(run: StoredRun) -> Audited:
    folder = run.folder
    measured = measure(run)
    checkpoint = _checkpoint(run.path)
    reports, last_step = _curve(run)
    is_complete = isinstance(measured, Row)
    # MLflow, Ray Tune and W&B keep what they logged where no curve is read from.
    is_logged = isinstance(measured, Row) and bool(measured.logged)
    found = {
        "config": bool(run.config),
        "arrays": not folder.missing,
        "metrics": bool(reports) or is_logged,
        "checkpoint": checkpoint is not None,
    }
    lacks = [] if run.config else ["config"]
    if isinstance(measured, Row):
        lacks += [] if measured.metrics else ["arrays"]
    else:
        lacks += [*measured.missing, *([measured.problem] if measured.problem else [])]
    return Audited(
        path=run.path,
        tool="sweep" if folder.is_ours else (folder.tool.name if folder.tool is not None else ""),
        state=folder.state,
        is_complete=is_complete,
        has=tuple(name for name, is_there in found.items() if is_there),
        lacks=tuple(dict.fromkeys(lacks)),
        recoverable=() if is_complete else _recoverable(folder, checkpoint, reports, last_step),
    )


def _recoverable(
    run: RunFolder, checkpoint: Path | None, reports: int, last_step: int | None
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


def _checkpoint(root: Path) -> Path | None:
    """Return the checkpoint in or below a run folder that was written last."""
    newest: tuple[float, Path] | None = None
    looked = 0
    waiting = [root]
    while waiting and looked < _MOST_LOOKED_AT:
        folder = waiting.pop()
        try:
            entries = list(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            looked += 1
            try:
                if _CHECKPOINT.search(entry.name) and not _NO_CHECKPOINT.match(entry.name):
                    found = (entry.stat().st_mtime, entry)
                    newest = found if newest is None or found[0] > newest[0] else newest
                elif entry.is_dir() and not entry.is_symlink() and entry.name[:1] != ".":
                    waiting.append(entry)
            except OSError:
                continue
    return newest[1] if newest is not None else None


def _curve(run: StoredRun) -> tuple[int, int | None]:
    """Return how many reports the log of a run has, and the last step."""
    reports: Sequence[tuple[int, Any]] = run.reports
    if not run.folder.is_ours:
        try:
            reports = read_runs(run.path)[0].reports
        except (NotFoundError, UsageError, OSError):
            reports = ()
    return len(reports), reports[-1][0] if reports else None
