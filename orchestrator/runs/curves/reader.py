"""Find and read learning curves: our runs and sweeps, and the logs of other tools."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import atomic, regular
from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.columns import thinned
from orchestrator.runs.curves.folder_logs import log_of_folder, named_after, runs_below
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, log_readers, read_log
from orchestrator.runs.foreign import metadata as foreign
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.read.stored_run import open_run
from orchestrator.runs.records import TrialRecord, TrialState

_DEEPEST = 4
_MOST_FOLDERS = 5_000


def read_runs(
    path: Path, pattern: str | None = None, *, known: Collection[Path] = ()
) -> list[LoggedRun]:
    """Return the runs at `path`: a log of any tool, a run folder, or a folder of such.

    `pattern` is a regular expression with named groups for text logs. Trials of a sweep whose
    folder is `known` are not read.

    Raises:
        NotFoundError: there is nothing at `path`, or no run in it.
        UsageError: the log cannot be read as learning curves.
    """
    if not path.exists():
        raise NotFoundError(f"{path}: no such file or folder. Name a log, a run folder or a sweep.")
    if path.is_file():
        from orchestrator.runs.read.run_tables import names_runs  # which reads logs through here

        if pattern is None and names_runs(path):
            raise UsageError(
                f"{path}: each row is another run, so there are no learning curves. "
                f"`sweep compare {path}` ranks them."
            )
        try:
            return read_log(path, pattern)
        except LogProblem as problem:
            formats = sorted(reader.name for reader in log_readers())
            raise UsageError(
                f"{path}: {problem}, so there are no learning curves. "
                f"Logs that can be read: {', '.join(formats)}."
            ) from None
    sweep = SweepDir(path)
    if sweep.trials_dir.is_dir():
        lives = sweep.driver_lives()
        found = [_trial(run, lives) for run in sweep.run_dirs() if run.path not in known]
    elif (path / "metrics.jsonl").is_file() and (path / "state.json").is_file():
        found = [_lone_trial(path)]
    else:
        found = _search(path, pattern)
    kept = [run for run in found if run.reports or run.failure]
    if not kept and not known:
        raise NotFoundError(f"{path}: no run here reported anything. Name a log file.")
    return kept


def _lone_trial(path: Path) -> LoggedRun:
    sweep = SweepDir(path.resolve().parent.parent)
    return _trial(RunDir(path), sweep.driver_lives() if sweep.state_file.is_file() else True)


def _trial(run: RunDir, lives: bool) -> LoggedRun:
    """Return the curves of one of our trials; one that has not reported has no reports."""
    record = TrialRecord.load(run)
    stored = open_run(run.path, record)
    metadata = stored.metadata
    reports, note = thinned(stored.reports)
    found = LoggedRun(
        run.path.name,
        run.path,
        "sweep trial",
        reports,
        unit="epoch" if metadata.get("trainer") else "step",
        config=foreign.config_of(metadata),
        number=run.number,
        total_steps=number(metadata.get("total_steps")),
        notes=note,
        stored=stored,
    )
    if record is None:
        return found
    planned = float(record.total_steps) if record.total_steps else None
    return replace(
        found,
        name=record.name,
        config={**found.config, **record.config},
        state=record.state_now(lives)[0].value,
        failure=(record.reason or "failed") if record.state is TrialState.FAIL else "",
        total_steps=planned if found.total_steps is None else found.total_steps,
        notes=(*record.warnings_now(runs=False), *found.notes),
    )


def _search(top: Path, pattern: str | None) -> list[LoggedRun]:
    """Return the runs of the logs in and below a folder of another tool."""
    found: list[LoggedRun] = []
    waiting = [(top, 0)]
    for folder, depth in waiting:  # which grows meanwhile
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            continue
        files = [
            folder / entry.name
            for entry in entries
            if entry.is_file()
            and not (entry.is_symlink() and regular.leads_out(folder / entry.name, folder))
        ]
        runs = _runs_in(folder, files, pattern, top)
        found += runs
        if depth == _DEEPEST:
            continue
        below = [
            folder / entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir() and not entry.is_symlink()
        ]
        below = runs_below(below, has_log=bool(runs))[: _MOST_FOLDERS - len(waiting)]
        waiting += [(entry, depth + 1) for entry in below]
    return found


def _runs_in(folder: Path, files: list[Path], pattern: str | None, top: Path) -> list[LoggedRun]:
    """Return the runs of the log in a folder, with the config next to it."""
    if {"metrics.jsonl", "state.json"} <= {path.name for path in files}:
        return [_lone_trial(folder)]
    runs = log_of_folder(folder, files, pattern)
    if not runs:
        return []
    config = foreign.config_of(atomic.read_json(folder / "config.json") or {})
    config = config or foreign.config_of(foreign.read_object(folder / "metadata.json")[0])
    named = (named_after(run, folder, top, len(runs)) for run in runs)
    return [replace(run, config={**run.config, **config}) for run in named]
