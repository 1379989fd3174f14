"""The folder that a script makes for itself: finding it, and keeping its arrays and metadata.

A script that names its own output folder (``experiments/exp_<time>_<pid>/``) does not pass the
name on. A folder that did not exist before the script started and matches the pattern is its own,
unless another trial has taken it: a trial locks the folder that it adopts, as long as it lives.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engine.child.saving import copy_whole
from orchestrator.engine.script import config_check
from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.files.series_names import SPLITS
from orchestrator.runs import RunDir
from orchestrator.runs.curves import tail
from orchestrator.runs.read import group_file
from orchestrator.sweepfile.model import Program

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun

_METADATA = "metadata.json"
_ARRAYS = tuple(
    f"{prefix}{role}{suffix}.npy"
    for prefix in ("", "val_")
    for suffix in ("_lengths", "")
    for role in ("predictions", "targets")
)
# What is copied, to its name in the run directory, whose own metadata.json is another file.
_COPIES = {**{name: name for name in _ARRAYS}, _METADATA: "outputs_metadata.json"}
_CERTAIN = 2  # evidence from which on it is known which script made a folder
_SHORTEST_PID = 4  # digits; shorter process ids are found in any date
_SHORTEST_NAME = 8  # characters of a folder's name that identify it in the output
_LOG_PART = 1_000_000  # bytes of each end of the log that are searched for the folder's name


class Outputs:
    """The output folder of one script, from before its start until after its end.

    Without ``outputs`` in the sweep file, only the files of a trial's own copy are kept. The folder
    of an earlier attempt is this one's too, unless this one makes another.
    """

    def __init__(
        self, program: Program, config: Mapping[str, Any], run: TrialRun, earlier: Path | None
    ) -> None:
        self.path: Path | None = None
        self._copy = Path(program.workdir) if program.copies else None
        groups = {group_file(program.arrays, split)[0] for split in SPLITS}
        self._copies = {**_COPIES, **{name: name for name in groups}}
        self._before = self._versions()
        self._config = config
        self._run = run
        self._compared: tuple[Path, tuple[int, int, int]] | None = None
        self._next_poll = 0.0
        self._folder: OutputFolder | None = None
        if program.outputs is not None:
            self._folder = OutputFolder(
                program.outputs,
                Path(program.workdir),
                config=config,
                log=RunDir(run.directory).log_file,
                warn=run.warn,
                earlier=earlier,
            )
            self._adopt(self._folder.path)

    def look(self, pids: Iterable[int]) -> None:
        """Adopt the folder once it is there, and compare the script's metadata as they change."""
        if self._folder is None:
            return
        now = time.monotonic()
        if now >= self._next_poll:
            self._adopt(self._folder.poll(pids))
            # A glob over a large tree must not take up all the time of this process.
            self._next_poll = now + 10 * (time.monotonic() - now)
        self._compare()

    def keep(self, pids: Iterable[int], *, is_whole: bool) -> None:
        """Copy arrays and metadata into the run directory; called when nothing writes any more.

        Raises:
            TrialError: the script ended well (`is_whole`) and made no folder. What it wrote may be
                in the folder of another trial, so neither may count as good.
        """
        if self._folder is None:
            if self._copy is not None:
                now = self._versions()
                new = {name for name in now if self._before.get(name) != now[name]}
                self._copy_from(self._copy, {name: self._copies[name] for name in new})
            return
        try:
            path = self._folder.settle(pids)
            if path is not None:
                self._adopt(path)
                self._compare()
                self._copy_from(path, self._copies)
            elif is_whole:
                raise TrialError(
                    f"outputs {self._folder.pattern!r}: the script made no new folder that "
                    "matches. Correct the pattern; or, if two trials took the same name, let the "
                    "name hold the process id (and do not trust the arrays of a trial that ran at "
                    "the same time)."
                )
        finally:
            self._folder.close()

    def _versions(self) -> dict[str, tuple[int, int, int]]:
        """Return the files to keep in the trial's copy, with what changes when they are written."""
        if self._copy is None:
            return {}
        versions = {name: tail.file_version(self._copy / name) for name in self._copies}
        return {name: version for name, version in versions.items() if version is not None}

    def _copy_from(self, folder: Path, copies: Mapping[str, str]) -> None:
        try:
            copy_outputs(folder, self._run.directory, copies)
        except OSError as error:
            self._run.warn(f"the files of {folder} could not be copied: {error.strerror or error}")

    def _adopt(self, path: Path | None) -> None:
        if path is not None and path != self.path:
            self.path = path
            self._run.adopted(str(path))
            self._run.describe(outputs=str(path))

    def _compare(self) -> None:
        """Compare the requested values with those that the script recorded."""
        if self.path is None:
            return
        file = self.path / _METADATA
        version = tail.file_version(file)
        if version is None or (file, version) == self._compared:
            return
        metadata = atomic.read_json(file)
        if metadata is None:
            return
        self._compared = file, version
        for text in config_check.differences(self._config, metadata):
            self._run.warn(text)
        data = metadata.get("data")
        if isinstance(data, dict) and "kind" in data:
            self._run.describe(data=data)


def copy_outputs(folder: Path, directory: Path, copies: Mapping[str, str] = _COPIES) -> None:
    """Copy a script's arrays and metadata into the run directory, each whole or not at all.

    Args:
        copies: name in `folder` to name in the run directory.
    """
    for name, kept in copies.items():
        source, target = folder / name, directory / kept
        if ".." in Path(kept).parts or Path(kept).is_absolute():
            continue  # no file of the run
        if source.is_file() and not (target.exists() and target.samefile(source)):
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_whole(source, target)


class OutputFolder:
    """Watches for the folder that one script makes. Make it before the script starts.

    Args:
        pattern: glob, relative to `base` or absolute, as ``"experiments/*/"``.
        config: the requested values; a folder whose metadata differs is a worse candidate.
        log: the script's output, searched for the folder's name if several are new.
        earlier: a folder that is the script's already, from an earlier attempt.
    """

    def __init__(
        self,
        pattern: str,
        base: Path,
        *,
        config: Mapping[str, Any],
        log: Path,
        warn: Callable[[str], None],
        earlier: Path | None = None,
    ) -> None:
        self.path: Path | None = None
        self.pattern = pattern
        self._base = base
        self._config = config
        self._log = log
        self._warn = warn
        self._lock: int | None = None
        self._foreign: set[Path] = set()
        self._before = self._matching()
        if earlier is not None and earlier.is_dir() and self._take(earlier):
            self.path = earlier

    def poll(self, pids: Iterable[int]) -> Path | None:
        """Look for the folder of the script and its workers, and return it if it is adopted now."""
        if self.path is not None:
            return None
        evidence = {path: self._evidence(path, pids) for path in self._candidates()}
        ranked = sorted(
            evidence, key=lambda path: (evidence[path], tail.modified_ns(path)), reverse=True
        )
        for path in ranked:
            if not self._take(path) and evidence[path] < _CERTAIN:
                self._foreign.add(path)
                continue
            rivals = [
                each.name for each in ranked if evidence[each] == evidence[path] and each != path
            ]
            if rivals and evidence[path] < _CERTAIN:
                self._warn(
                    f"several new folders match {self.pattern.rstrip('/')!r}: took {path.name}, "
                    f"the newest; also there: {', '.join(rivals)}"
                )
            self.path = path
            return path
        return None

    def settle(self, pids: Iterable[int]) -> Path | None:
        """Decide finally, once the script has ended; return None if it made no folder.

        What was adopted stays adopted, unless it is gone, or its name or the script's output show
        that another folder is the script's: then trials of several sweeps started at once.
        """
        pids = tuple(pids)
        if self.path is not None and not self.path.is_dir():
            self._warn(f"the output folder {self.path} was there, but is gone")
            self.path = None
        if self.path is None:
            return self.poll(pids)
        if self._evidence(self.path, pids) < _CERTAIN:
            # Another trial may have taken the script's folder before its output named it.
            self._foreign.clear()
            for path in self._candidates():
                if self._evidence(path, pids) >= _CERTAIN:
                    self._warn(f"adopted {self.path.name} first, but the script made {path.name}")
                    self._take(path)
                    self.path = path
                    break
        return self.path

    def close(self) -> None:
        """Release the folder's lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _matching(self) -> dict[Path, int]:
        """Return the folders that match now, links followed, with their inodes."""
        found = {}
        for name in glob.iglob(self.pattern.rstrip("/"), root_dir=self._base, recursive=True):
            path = Path(os.path.realpath(self._base / name))
            try:
                if path.is_dir():
                    found[path] = path.stat().st_ino
            except OSError:
                continue  # it has just gone
        return found

    def _candidates(self) -> list[Path]:
        """Return new folders that no other trial has taken, without those inside another one."""
        new = {
            path
            for path, inode in self._matching().items()
            if self._before.get(path) != inode and path not in self._foreign
        }
        return sorted(path for path in new if not new & set(path.parents))

    def _evidence(self, path: Path, pids: Iterable[int]) -> int:
        """Return how sure it is that the script made `path`; from `_CERTAIN` on it is."""
        numbers = re.findall(r"\d+", path.name)
        if any(len(str(pid)) >= _SHORTEST_PID and str(pid) in numbers for pid in pids):
            return _CERTAIN + 1
        if _is_named(path, self._log):
            return _CERTAIN
        metadata = atomic.read_json(path / _METADATA)
        if metadata is None:
            return 0
        if config_check.differences(self._config, metadata):
            return -1
        return min(1, config_check.agreements(self._config, metadata))

    def _take(self, path: Path) -> bool:
        """Lock `path`; False if another trial holds it."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:
            pass  # a file system without locks: nothing can refuse
        self.close()
        self._lock = handle
        return True


def _is_named(path: Path, log: Path) -> bool:
    """Return whether either end of the log, which may be very long, names the folder.

    A short name counts only with its parent's.
    """
    try:
        with log.open("rb") as stream:
            head = stream.read(_LOG_PART)
            stream.seek(max(len(head), os.fstat(stream.fileno()).st_size - _LOG_PART))
            output = head + b"\n" + stream.read(_LOG_PART)
    except OSError:
        return False
    names = [os.path.join(path.parent.name, path.name)]
    if len(path.name) >= _SHORTEST_NAME:
        names.append(path.name)
    return any(
        re.search(rb"(?<![\w.-])" + re.escape(os.fsencode(name)) + rb"(?![\w.-])", output)
        for name in names
    )
