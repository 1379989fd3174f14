"""Keeping what a script leaves behind: its folder is adopted, checked and copied."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from orchestrator.engine.script import config_check
from orchestrator.engine.script.outputs import adoption
from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program

_RECORD_S = 1.0  # how often the script's own metadata is looked at


class Keeping(Protocol):
    """The part of a run that is told of a script's folder; see `engine.script.ScriptRun`."""

    @property
    def directory(self) -> Path:
        """The run directory."""

    def describe(self, **facts: Any) -> None:
        """Merge `facts` into ``metadata.json``."""

    def warn(self, text: str) -> None:
        """Take what the user should know."""

    def adopted(self, path: str) -> None:
        """Take note that the folder has appeared."""


class Outputs:
    """The output folder of one script, from before it starts until after its end.

    Args:
        program: the script; without ``outputs`` there is nothing to keep.
        config: what was asked.
        run: told what is found.
        earlier: the folder in which an earlier attempt of the trial began; it is this one's too,
            unless it makes another.
    """

    def __init__(
        self,
        program: Program,
        config: Mapping[str, Any],
        run: Keeping,
        earlier: Path | None = None,
    ) -> None:
        self._copy = Path(program.workdir) if program.copies else None
        self._before = {} if self._copy is None else _states(self._copy)
        self._pattern = program.outputs
        self._config = config
        self._run = run
        self._told: Path | None = None
        self._read: tuple[Path, int, int] | None = None
        self._next_poll = self._next_read = 0.0
        self._warned: set[str] = set()
        self._folder: adoption.OutputFolder | None = None
        if program.outputs is not None:
            self._folder = adoption.OutputFolder(
                program.outputs,
                Path(program.workdir),
                config=config,
                log=RunDir(run.directory).log_file,
                warn=self._warn,
                earlier=earlier,
            )
            self._tell(self._folder.path)

    @property
    def path(self) -> Path | None:
        """The folder that was adopted; None where there is none."""
        return self._told

    def look(self, pids: Iterable[int]) -> None:
        """Adopt the folder once it is there, and compare the script's metadata as they change."""
        if self._folder is None:
            return
        now = time.monotonic()
        if now >= self._next_poll:
            self._tell(self._folder.poll(pids))
            # A glob over a large tree must not become all that this process does.
            self._next_poll = now + 10 * (time.monotonic() - now)
        if now >= self._next_read:
            self._next_read = now + _RECORD_S
            self._compare()

    def keep(self, pids: Iterable[int], *, is_whole: bool) -> None:
        """Copy arrays and metadata into the run directory; called when nothing writes any more.

        Args:
            pids: ids that the script and its workers had.
            is_whole: False where the script failed, was stopped, or never started: then a missing
                folder is no surprise.

        Raises:
            TrialError: the script ended well and made no folder of its own. What it wrote may
                stand in the folder of another trial, so neither may pass for good.
        """
        if self._folder is None:
            self._keep_copy()
            return
        try:
            path = self._folder.settle(pids)
            if path is None:
                if is_whole:
                    raise TrialError(
                        f"outputs {self._pattern!r}: the script must make a new folder that "
                        "matches, but made none. Mend the pattern; or, where two trials took the "
                        "same name, let the name hold the process id (and do not trust the arrays "
                        "of a trial that ran at the same time)."
                    )
                return
            self._tell(path)
            self._compare()
            try:
                adoption.copy_outputs(path, self._run.directory)
            except OSError as error:
                self._warn(f"the files of {path} could not be copied: {error.strerror or error}")
        finally:
            self._folder.close()

    def _keep_copy(self) -> None:
        """Keep what a program wrote beside its sources, where these are a copy of its own."""
        if self._copy is None:
            return
        now = _states(self._copy)
        new = {name for name, state in now.items() if self._before.get(name) != state}
        try:
            adoption.copy_outputs(self._copy, self._run.directory, only=new)
        except OSError as error:
            self._warn(f"the files of {self._copy} could not be copied: {error.strerror or error}")

    def _tell(self, path: Path | None) -> None:
        if path is not None and path != self._told:
            self._told = path
            self._run.adopted(str(path))
            self._run.describe(outputs=str(path))

    def _compare(self) -> None:
        """Hold what was asked against what the script recorded."""
        if self._told is None:
            return
        file = self._told / adoption.METADATA
        try:
            state = file.stat()
        except OSError:
            return
        version = (file, state.st_mtime_ns, state.st_size)
        metadata = atomic.read_json(file) if version != self._read else None
        if metadata is None:
            return
        self._read = version
        for text in config_check.differences(self._config, metadata):
            self._warn(text)
        data = metadata.get("data")
        if isinstance(data, dict) and "kind" in data:
            self._run.describe(data=data)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._run.warn(text)


def _states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return time, size and inode of the files in `folder` that a table is made of."""
    found = {}
    for name in (*adoption.ARRAYS, adoption.METADATA):
        try:
            state = (folder / name).stat()
        except OSError:
            continue
        found[name] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return found
