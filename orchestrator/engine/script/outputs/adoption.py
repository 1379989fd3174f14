"""Adopting the folder that a script made for itself.

A script that names its own output folder (``experiments/exp_<time>_<pid>/``) does not pass the
name on. A folder that did not exist before the script started and matches the pattern is its own,
unless another trial has taken it: a trial locks the folder that it adopts, as long as it lives.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.script import config_check
from orchestrator.files import atomic
from orchestrator.runs.curves import tail

METADATA = "metadata.json"

_CERTAIN = 2  # evidence from which on it is known which script made a folder
_SHORTEST_PID = 4  # digits; shorter process ids are found in any date
_SHORTEST_NAME = 8  # characters of a folder's name that identify it in the output
_LOG_PART = 1_000_000  # bytes of each end of the log that are searched for the folder's name


class OutputFolder:
    """Watches for the folder that one script makes.

    Make it before the script starts: folders that exist by then are not the script's.

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
        self._pattern = pattern.rstrip("/")
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
            if self._take(path) or evidence[path] >= _CERTAIN:
                rivals = [each.name for each in ranked if evidence[each] == evidence[path]]
                if evidence[path] < _CERTAIN and len(rivals) > 1:
                    others = ", ".join(name for name in rivals if name != path.name)
                    self._warn(
                        f"several new folders match {self._pattern!r}: took {path.name}, the "
                        f"newest; also there: {others}"
                    )
                self.path = path
                return path
            self._foreign.add(path)
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
        for name in glob.iglob(self._pattern, root_dir=self._base, recursive=True):
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
        if _is_named(path, _ends(self._log)):
            return _CERTAIN
        metadata = atomic.read_json(path / METADATA)
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


def _is_named(path: Path, output: bytes) -> bool:
    """Return whether `output` names the folder; a short name counts only with its parent's."""
    names = [os.path.join(path.parent.name, path.name)]
    if len(path.name) >= _SHORTEST_NAME:
        names.append(path.name)
    return any(
        re.search(rb"(?<![\w.-])" + re.escape(os.fsencode(name)) + rb"(?![\w.-])", output)
        for name in names
    )


def _ends(log: Path) -> bytes:
    """Return the beginning and the end of a log that may be very long."""
    try:
        with log.open("rb") as stream:
            head = stream.read(_LOG_PART)
            stream.seek(max(len(head), os.fstat(stream.fileno()).st_size - _LOG_PART))
            return head + b"\n" + stream.read(_LOG_PART)
    except OSError:
        return b""
