"""What a program writes into the folder that it shares with the other trials.

Of each file that changed while the program ran, time, size and inode are told. Whether two trials
wrote the same one is for the driver to say, which knows when each of them ran
(`engine.overwrites`).
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.engine.script.workdir import is_left_out
from orchestrator.placement.history import FILE as HISTORY_FILE

MOST_LOOKED_AT = 5_000
"""Files that are looked at; in a folder with more of them the rest is left to itself."""
MOST_TOLD = 100
DEEPEST = 3
# What several trials may well share: logs that grow, databases with locks of their own.
_SHARED = ("*.log", "*.lock", "*.pyc", "*.db", "*.sqlite*", "*.journal", "nohup.out")
# What people edit while a sweep runs.
_SOURCES = ("*.py", "*.ipynb", "*.md", "sweep.yaml")

Facts = dict[str, tuple[float, int, int]]
"""File, relative to the folder, to the time it was written (s since 1970), size and inode."""


class Written:
    """Tells what changes in a folder.

    Make it before the program starts.

    Args:
        folder: the folder that the program runs in.
        outputs: glob of the folders that trials make for themselves; they are not looked into.
        results: where sweeps are kept, which others write; it is not looked into either.
    """

    def __init__(self, folder: Path, outputs: str | None, results: Path | None = None) -> None:
        self._folder = folder
        self._results = None if results is None else os.path.abspath(results)
        self._outputs = None if outputs is None else outputs.rstrip("/")
        self._before = self._look()

    def changed(self) -> Facts:
        """Return the files that were written since."""
        now = self._look()
        found = {name: facts for name, facts in now.items() if self._before.get(name) != facts}
        return dict(sorted(found.items())[:MOST_TOLD])

    def _look(self) -> Facts:
        found: Facts = {}
        for entry in self._files(self._folder, 1):
            try:
                state = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it has just gone
            name = os.path.relpath(entry.path, self._folder)
            found[name] = (state.st_mtime, state.st_size, state.st_ino)
            if len(found) >= MOST_LOOKED_AT:
                break
        return found

    def _files(self, folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return
        names = {entry.name for entry in listed}
        if {"spec.json", "trials"} <= names:
            return  # a sweep's folder
        here = os.path.abspath(folder)
        if here == self._results and folder != self._folder:
            return
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                if depth < DEEPEST and not is_left_out(entry.name) and not self._is_output(entry):
                    yield from self._files(Path(entry.path), depth + 1)
            elif here == self._results and entry.name == HISTORY_FILE:
                continue  # the driver's own
            elif entry.is_file(follow_symlinks=False) and not self._is_shared(entry.name):
                yield entry

    def _is_output(self, entry: os.DirEntry[str]) -> bool:
        name = os.path.relpath(entry.path, self._folder)
        return self._outputs is not None and fnmatch.fnmatch(name, self._outputs)

    def _is_shared(self, name: str) -> bool:
        return name.startswith(".") or any(
            fnmatch.fnmatch(name, each) for each in (*_SHARED, *_SOURCES)
        )
