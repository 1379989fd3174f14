"""The log of one folder: which of its files it is, and its runs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.files.series_names import best_training_name, best_validation_name
from orchestrator.runs.curves.formats.dvclive import is_dvclive, read_dvclive
from orchestrator.runs.curves.formats.tensorboard import (
    event_files,
    is_event_file,
    is_part_of_run,
    read_events,
)
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, priorities, read_log

# Other files that may be logs, if a series in them can be judged.
_MAYBE = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".log", ".txt")
_MOST_UNUSUAL = 5
_CHECKPOINT = re.compile(r"checkpoint-(\d+)$")  # of Hugging Face, with the whole log so far


def log_of_folder(
    folder: Path, files: Iterable[Path], pattern: str | None = None
) -> list[LoggedRun]:
    """Return the runs of the log with the most usual name, else of the first that can be judged.

    Args:
        files: the files in the folder.
        pattern: of the numbers in text logs.
    """
    if pattern is None and is_dvclive(folder):
        with suppress(LogProblem):
            return read_dvclive(folder)
    parts = [path for path in event_files(folder) if path.parent != folder]
    for path, is_usual in _candidates([*files, *parts]):
        try:
            if is_event_file(path):
                runs = read_events(*event_files(folder))
            else:
                runs = read_log(path, pattern)
        except LogProblem:
            continue
        if is_usual or any(
            best_training_name(run.names) or best_validation_name(run.names) for run in runs
        ):
            return runs
    return []


def may_hold_log(folder: Path, files: Collection[str], metadata: Mapping[str, Any]) -> bool:
    """Return False if `log_of_folder` finds nothing for certain, as next to most arrays.

    Args:
        files: the names of its files; none if unknown.
        metadata: content of ``metadata.json``, which is a log only if it has lists.
    """
    if not files or len(os.listdir(folder)) > len(files):
        return True
    has_lists = not metadata or "[" in str(metadata)
    return any(_may_be_log(name) for name in files if has_lists or name != "metadata.json")


@lru_cache(maxsize=4096)
def _may_be_log(name: str) -> bool:
    path = Path(name)
    return bool(priorities(name)) or path.suffix.lower() in _MAYBE or is_event_file(path)


def _candidates(files: list[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the files that may be the log, the most usual first, and whether its name is usual."""
    usual = [(place, path) for path in files for place in priorities(path.name)]
    yield from ((path, True) for _, path in sorted(usual))
    known = {path for _, path in usual}
    others = [path for path in files if path not in known and path.suffix.lower() in _MAYBE]
    yield from ((path, False) for path in sorted(others)[:_MOST_UNUSUAL])


def runs_below(folders: Iterable[Path], *, has_log: bool) -> list[Path]:
    """Return the folders below one that may be runs of their own, not parts of its run.

    Of Hugging Face's checkpoints each holds the log so far: only the newest counts, if the folder
    itself `has_log` not.
    """
    kept, checkpoints = [], []
    for path in folders:
        found = _CHECKPOINT.match(path.name)
        if found is not None:
            checkpoints.append((int(found[1]), path))
        elif not (is_part_of_run(path) or (path.name == "plots" and is_dvclive(path.parent))):
            kept.append(path)
    return kept + ([] if has_log else [path for _, path in sorted(checkpoints)[-1:]])


def named_after(run: LoggedRun, folder: Path, top: Path, count: int) -> LoggedRun:
    """Return a run of a folder's log under the folder's name, and its own if there are several."""
    if _CHECKPOINT.match(folder.name) and folder != top:
        folder = folder.parent
    called = str(folder.relative_to(top)) if folder != top else folder.name
    called = called or folder.resolve().name
    return replace(run, name=called if count == 1 else f"{called}/{run.name}")
