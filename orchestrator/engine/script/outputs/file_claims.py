"""Which files a script writes: those that match a pattern and are new or changed since it began.

Trials that run at once in one folder write beside each other. What one trial follows, no other one
of this machine does: a claim holds for as long as the process that made it lives, and touches
nothing of the script's.

What a program writes into the folder that it shares with the other trials.

Of each file that changed while the program ran, time, size and inode are told. Whether two trials
wrote the same one is for the driver to say, which knows when each of them ran
(`engine.overwrites`).
"""

from __future__ import annotations

import fnmatch
import glob
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.engine.script.workdir import is_left_out
from orchestrator.placement.memory_needs import HISTORY_FILE
from orchestrator.runs.curves import Mark, mark

MOST_FILES = 200
"""Files that one pattern is followed in."""

_MOST_MARKS = 1_000
_EVERY_S = 0.2  # how often one file is looked for
_EVERY_GLOB_S = 1.0  # how often a folder is searched


class Claims:
    """The files and folders that one trial has for itself."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], socket.socket] = {}

    def claim(self, path: Path) -> bool:
        """Take `path`; False where another trial has it."""
        try:
            state = os.stat(path)
        except OSError:
            return False
        key = (state.st_dev, state.st_ino)
        if key in self._held:
            return True
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract name belongs to nobody once its process is gone.
            lock.bind(f"\0sweep-{os.getuid()}-{key[0]}-{key[1]}")
        except OSError:
            lock.close()
            return False
        self._held[key] = lock
        return True

    def close(self) -> None:
        """Let go of all of them."""
        for lock in self._held.values():
            lock.close()
        self._held.clear()


class FoundFiles:
    """The files of one pattern, as they appear. Make it before the script starts.

    Args:
        pattern: a path or glob; ``**`` goes into folders.
        base: returns the folder that it counts from, None while that is not known.
        claims: of the trial; None where nobody else can write there.
        folders: look for folders instead.
    """

    def __init__(
        self,
        pattern: str,
        base: Callable[[], Path | None],
        claims: Claims | None,
        *,
        folders: bool = False,
    ) -> None:
        self.pattern = pattern
        self.paths: list[Path] = []
        self.foreign: list[Path] = []
        self._base = base
        self._claims = claims
        self._folders = folders
        self._is_glob = any(sign in pattern for sign in "*?[")
        self._next = 0.0
        there = self._matching()
        self._before = {path: _state(path) for path in there}
        self._marks = {} if folders else {path: mark(path) for path in there[:_MOST_MARKS]}

    def before(self, path: Path) -> Mark | None:
        """Return how far a file was written before the script began; None where it was not."""
        return self._marks.get(path)

    def look(self, *, now: float | None = None) -> list[Path]:
        """Return the files that have appeared or changed since the last call.

        Args:
            now: a monotonic time, s; None looks whenever it is called.
        """
        if now is not None and now < self._next:
            return []
        began = time.monotonic()
        new = []
        self.foreign = []
        for path in self._matching():
            is_as_before = path in self._before and _state(path) == self._before[path]
            if path in self.paths or is_as_before or len(self.paths) >= MOST_FILES:
                continue
            if self._claims is not None and not self._claims.claim(path):
                self.foreign.append(path)
                continue
            self.paths.append(path)
            new.append(path)
        if now is not None:
            # A glob over a large tree must not become all that the process does.
            took = time.monotonic() - began
            self._next = now + max(_EVERY_GLOB_S if self._is_glob else _EVERY_S, 20 * took)
        return new

    def _matching(self) -> list[Path]:
        base = self._base()
        if base is None:
            return []
        names = [self.pattern]
        if self._is_glob:
            try:
                names = glob.glob(self.pattern, root_dir=base, recursive=True)
            except (OSError, ValueError):
                return []
        found = sorted({base / name for name in names})
        return [path for path in found if (path.is_dir() if self._folders else path.is_file())]


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written: its inode, size, and time."""
    try:
        known = os.stat(path)
    except OSError:
        return None
    return known.st_ino, known.st_size, known.st_mtime_ns


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
