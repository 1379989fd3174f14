"""Finding the files that one script writes, in a folder that other trials may write into too.

Files count that match a pattern and are new or changed since the script began. A file that one
trial follows is followed by no other trial on this machine: a claim lasts as long as the process
that made it, and touches nothing of the script's.
"""

from __future__ import annotations

import glob
import os
import shutil
import socket
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from orchestrator.files import atomic
from orchestrator.runs.curves import tail

MOST_FILES = 200  # that one pattern is followed in
_MOST_MARKS = 1_000
_EVERY_S = 0.2  # how often one file is looked for
_EVERY_GLOB_S = 1.0  # how often a folder is searched
_MAGIC = b"\x93NUMPY"


class ScriptFolder:
    """The folder that a script writes into, and what in it belongs to this trial.

    Args:
        base: returns the folder from which patterns count; None while it is not known.
        is_shared: other trials write there too, so that files are claimed.
        expand: inserts the macros of a path; None if it names a parameter that is absent.
    """

    def __init__(
        self,
        base: Callable[[], Path | None],
        *,
        is_shared: bool = False,
        expand: Callable[[str], str | None] = lambda text: text,
    ) -> None:
        self.base = base
        self.expand = expand
        self._is_shared = is_shared
        self._held: dict[tuple[int, int], socket.socket] = {}

    def claim(self, path: Path) -> bool:
        """Take `path` for this trial; False if another trial has it."""
        if not self._is_shared:
            return True
        try:
            state = os.stat(path)
        except OSError:
            return False
        key = (state.st_dev, state.st_ino)
        if key in self._held:
            return True
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # The system frees an abstract name once its process is gone.
            lock.bind(f"\0sweep-{os.getuid()}-{key[0]}-{key[1]}")
        except OSError:
            lock.close()
            return False
        self._held[key] = lock
        return True

    def close(self) -> None:
        """Release all claims."""
        for lock in self._held.values():
            lock.close()
        self._held.clear()


class FoundFiles:
    """The files of one pattern, as they appear. Make it before the script starts.

    Args:
        pattern: a path or glob; ``**`` searches subfolders.
        folders: look for folders instead.

    Attributes:
        paths: the files found so far.
        foreign: files that match but belong to another trial.
    """

    def __init__(self, pattern: str, folder: ScriptFolder, *, folders: bool = False) -> None:
        self.paths: list[Path] = []
        self.foreign: list[Path] = []
        self._pattern = pattern
        self._folder = folder
        self._is_wanted = Path.is_dir if folders else Path.is_file
        self._is_glob = any(sign in pattern for sign in "*?[")
        self._next = 0.0
        matching = self._matching()
        self._before = {path: tail.file_version(path) for path in matching}
        self._marks = {} if folders else {path: tail.mark(path) for path in matching[:_MOST_MARKS]}

    def before(self, path: Path) -> tail.Mark | None:
        """Return how far a file was written before the script began; None if it was absent."""
        return self._marks.get(path)

    def look(self, *, now: float | None = None) -> list[Path]:
        """Return the files that have appeared or changed since the last call.

        Calls that come too soon by the monotonic time `now` (s) are skipped; None skips none.
        """
        if now is not None and now < self._next:
            return []
        began = time.monotonic()
        new = []
        self.foreign = []
        for path in self._matching():
            is_as_before = path in self._before and tail.file_version(path) == self._before[path]
            if path in self.paths or is_as_before or len(self.paths) >= MOST_FILES:
                continue
            if self._folder.claim(path):
                self.paths.append(path)
                new.append(path)
            else:
                self.foreign.append(path)
        if now is not None:
            # A glob over a large tree must not take up all the time of the process.
            took = time.monotonic() - began
            self._next = now + max(_EVERY_GLOB_S if self._is_glob else _EVERY_S, 20 * took)
        return new

    def _matching(self) -> list[Path]:
        base = self._folder.base()
        if base is None:
            return []
        names = [self._pattern]
        if self._is_glob:
            try:
                names = glob.glob(self._pattern, root_dir=base, recursive=True)
            except (OSError, ValueError):
                return []
        return sorted({path for name in names if self._is_wanted(path := base / name)})


class Arrays:
    """The arrays that ``metrics`` names. Make it before the script starts.

    Args:
        wanted: our name (``val_predictions``) to a path or glob; ``:key`` may follow that of an
            ``.npz`` file.
    """

    def __init__(self, wanted: Mapping[str, str], folder: ScriptFolder) -> None:
        self._found: list[tuple[str, str, str | None, FoundFiles]] = []
        for name, written in wanted.items():
            text = folder.expand(written)
            if text is not None:
                path, sign, key = text.rpartition(":")
                has_key = bool(sign) and path.endswith(".npz")
                files = FoundFiles(path if has_key else text, folder)
                self._found.append((name, written, key if has_key else None, files))

    def keep(self, directory: Path) -> list[str]:
        """Copy the arrays whole or not at all; return a sentence for each that is missing.

        Of several files that match, the newest counts.
        """
        problems = []
        for name, written, key, files in self._found:
            where = f"metrics.{name} {written!r}"
            files.look()
            if not files.paths:
                taken = f" ({files.foreign[0]} is another trial's)" if files.foreign else ""
                problems.append(f"{where}: no file of this trial matches{taken}")
                continue
            newest = max(files.paths, key=tail.modified_ns)
            try:
                with _opened(newest, key) as source:
                    head = source.read(len(_MAGIC))
                    if head != _MAGIC:
                        raise ValueError("not an .npy array")
                    with atomic.replacing(directory / f"{name}.npy") as target:
                        target.write(head)
                        shutil.copyfileobj(source, target, 1 << 20)
            except (OSError, ValueError, zipfile.BadZipFile) as error:
                problems.append(f"{where}: {newest} cannot be read: {error}")
        return problems


@contextmanager
def _opened(path: Path, key: str | None) -> Iterator[IO[bytes]]:
    """Open an ``.npy`` file, or one inside an archive; the array is never loaded."""
    if key is None and path.suffix != ".npz":
        with path.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if key is None:
            if len(names) != 1:
                raise ValueError(f"name one of its arrays behind a colon: {', '.join(names)}")
            key = names[0]
        if f"{key}.npy" not in archive.namelist():
            raise ValueError(f"it has no {key}, but {', '.join(names)}")
        with archive.open(f"{key}.npy") as stream:
            yield stream
