"""Which run folders are complete, what the others lack, and what could still be had from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.measure import read_run, read_said
from orchestrator.analysis.measure.row import Row
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.runs.curves import read_runs
from orchestrator.runs.find import RunFolder, find_runs
from orchestrator.runs.foreign import metadata

_CHECKPOINT = re.compile(r"\.(ckpt|pt|pth|h5|hdf5|keras|safetensors)$|^checkpoint-\d+$", re.I)
_NO_CHECKPOINT = re.compile(r"^(val_|test_|train_)?(predictions|targets)\.")
_MOST_LOOKED_AT = 2_000


@dataclass(frozen=True)
class Audited:
    """One run folder as an audit finds it.

    Attributes:
        path: the folder.
        tool: who made it, for people: ``sweep``, ``Lightning``; "" where nothing tells.
        state: the trial's state; None for runs of others.
        is_complete: True where it can be ranked.
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
        UsageError: a ``sweep-runs.yaml`` says what cannot be meant.
    """
    return [_audited(run) for run in find_runs(paths)]


def _audited(run: RunFolder) -> Audited:
    outcome = read_run(run)
    checkpoint = _checkpoint(run)
    reports, last_step = _curve(run)
    has = []
    if isinstance(outcome, Row):
        config = bool(outcome.config)
    else:
        # What cannot be ranked may know its parameters all the same.
        known = metadata.config_of(metadata.read_metadata(run.path))
        config = bool(known) or (run.record is not None and bool(run.record.config))
        config = config or bool(read_said(run).config)
    has += ["config"] if config else []
    has += ["arrays"] if not run.missing else []
    # MLflow, Ray Tune and W&B keep what they logged where no curve is read from.
    logged = isinstance(outcome, Row) and bool(outcome.logged)
    has += ["metrics"] if reports or logged else []
    has += ["checkpoint"] if checkpoint is not None else []
    lacks = [] if config else ["config"]
    recoverable = []
    complete = isinstance(outcome, Row)
    if not complete:
        lacks += run.missing
        problem = getattr(outcome, "problem", None)
        lacks += [problem] if problem else []
        recoverable = _recoverable(run, checkpoint, reports, last_step)
    else:
        lacks += [] if isinstance(outcome, Row) and outcome.metrics else ["arrays"]
    return Audited(
        path=run.path,
        tool="sweep" if run.is_ours else (run.tool.name if run.tool is not None else ""),
        state=run.state,
        is_complete=complete,
        has=tuple(has),
        lacks=tuple(dict.fromkeys(lacks)),
        recoverable=tuple(recoverable),
    )


def _recoverable(
    run: RunFolder, checkpoint: Path | None, reports: int, last_step: int | None
) -> list[str]:
    found = []
    others = metadata.other_formats(run.files)
    if others:
        found.append(f"save {', '.join(others)} as .npy, or name them in sweep-runs.yaml")
    if run.is_ours and run.state in ("WAITING", "PRUNED", "FAIL") and checkpoint is not None:
        found.append(f"run the sweep again: it goes on from {checkpoint.name}")
    elif run.is_ours and run.state == "WAITING":
        found.append("run the sweep again: it starts anew")
    elif checkpoint is not None:
        found.append(f"predict again from {checkpoint.relative_to(run.path)}")
    if reports:
        more = f" up to step {last_step}" if last_step is not None else ""
        many = "1 report" if reports == 1 else f"{reports} reports"
        found.append(f"its log has {many}{more}: `sweep doctor {run.path}`")
    return found


def _checkpoint(run: RunFolder) -> Path | None:
    """Return the checkpoint in or below a run folder that was written last."""
    newest: tuple[float, Path] | None = None
    looked = 0
    waiting = [run.path]
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


def _curve(run: RunFolder) -> tuple[int, int | None]:
    """Return how many reports the log of a run has, and the last step."""
    try:
        runs = read_runs(run.path)
    except (NotFoundError, UsageError, OSError):
        return 0, None
    reports = runs[0].reports
    return len(reports), reports[-1][0] if reports else None
