"""What changes in a folder while a program runs in it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.engine.script.workdir import is_left_out
from orchestrator.placement.memory_needs import HISTORY_FILE

MOST_FILES = 5_000
"""Files that are looked at; in a folder with more of them the rest is ignored."""
MOST_REPORTED = 100
DEEPEST = 3
# What several trials may well share: logs that grow, databases with their own locks.
_SHARED = ("*.log", "*.lock", "*.pyc", "*.db", "*.sqlite*", "*.journal", "nohup.out")
# What people edit while a sweep runs.
_SOURCES = ("*.py", "*.ipynb", "*.md", "sweep.yaml")

FileStates = dict[str, tuple[float, int, int]]
"""File, relative to the folder, to the time it was written (s since 1970), size and inode."""


def file_states(
    folder: Path,
    *,
    deepest: int,
    most: int,
    skips: Callable[[os.DirEntry[str]], bool] = lambda entry: False,
) -> FileStates:
    """Return the files below a folder and what changes when they are written.

    Folders of sweeps, hidden folders, caches, and what `skips` accepts are left out.

    Args:
        folder: the folder.
        deepest: levels of folders, 1 for its own files only.
        most: greatest number of files.
    """
    found: FileStates = {}
    for entry in _files(folder, deepest, skips):
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # it has just gone
        name = os.path.relpath(entry.path, folder)
        found[name] = (state.st_mtime, state.st_size, state.st_ino)
        if len(found) >= most:
            break
    return found


def _files(
    folder: Path, deepest: int, skips: Callable[[os.DirEntry[str]], bool]
) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    if {"spec.json", "trials"} <= {entry.name for entry in listed}:
        return  # a sweep's folder
    for entry in listed:
        if skips(entry):
            continue
        if entry.is_dir(follow_symlinks=False):
            if deepest > 1 and not is_left_out(entry.name):
                yield from _files(Path(entry.path), deepest - 1, skips)
        elif entry.is_file(follow_symlinks=False):
            yield entry


class WrittenFiles:
    """Finds the files that change in a folder that trials share. Make it before the program starts.

    Whether two trials wrote the same file is for the driver to decide, which knows when each of
    them ran.

    Args:
        folder: the folder that the program runs in.
        outputs: glob of the folders that trials make for themselves; they are skipped.
        results: where sweeps are kept, which others write; it is skipped too.
    """

    def __init__(self, folder: Path, outputs: str | None, results: Path | None = None) -> None:
        self._folder = folder
        self._results = None if results is None else os.path.abspath(results)
        self._outputs = None if outputs is None else outputs.rstrip("/")
        self._before = self._states()

    def changed(self) -> FileStates:
        """Return the files that were written since."""
        now = self._states()
        found = {name: state for name, state in now.items() if self._before.get(name) != state}
        return dict(sorted(found.items())[:MOST_REPORTED])

    def _states(self) -> FileStates:
        return file_states(self._folder, deepest=DEEPEST, most=MOST_FILES, skips=self._skips)

    def _skips(self, entry: os.DirEntry[str]) -> bool:
        path = os.path.abspath(entry.path)
        if entry.is_dir(follow_symlinks=False):
            name = os.path.relpath(entry.path, self._folder)
            is_output = self._outputs is not None and fnmatch.fnmatch(name, self._outputs)
            return is_output or path == self._results
        if entry.name == HISTORY_FILE and os.path.dirname(path) == self._results:
            return True  # the driver's own
        patterns = (".*", *_SHARED, *_SOURCES)
        return any(fnmatch.fnmatch(entry.name, pattern) for pattern in patterns)
