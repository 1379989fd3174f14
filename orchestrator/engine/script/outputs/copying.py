"""Copying a script's arrays and metadata into the run directory, under the names of every run."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.engine.script import config_check
from orchestrator.engine.script.outputs.adoption import METADATA, OutputFolder
from orchestrator.engine.script.outputs.found_files import FoundFiles, ScriptFolder
from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.runs import RunDir
from orchestrator.runs.curves import tail
from orchestrator.sweepfile.model import Program

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun

# The arrays from which tables are computed, under the names that a run directory knows.
_ARRAYS = tuple(
    f"{prefix}{name}{suffix}.npy"
    for prefix in ("", "val_")
    for suffix in ("_lengths", "")
    for name in ("predictions", "targets")
)
_OUTPUTS_METADATA = "outputs_metadata.json"
_COMPARE_S = 1.0  # how often the script's own metadata is looked at
_MAGIC = b"\x93NUMPY"
_CHUNK = 1 << 20


class Outputs:
    """The output folder of one script, from before its start until after its end.

    Without ``outputs`` in the sweep file, only the files of a trial's own copy are kept.

    Args:
        earlier: the folder in which an earlier attempt of the trial began; it is this one's too,
            unless this one makes another.
    """

    def __init__(
        self,
        program: Program,
        config: Mapping[str, Any],
        run: TrialRun,
        earlier: Path | None = None,
    ) -> None:
        self._copy = Path(program.workdir) if program.copies else None
        self._before = {} if self._copy is None else _versions(self._copy)
        self._pattern = program.outputs
        self._config = config
        self._run = run
        self._compared: tuple[Path, tuple[int, int, int]] | None = None
        self._next_poll = self._next_compare = 0.0
        self._warned: set[str] = set()
        self.path: Path | None = None
        self._folder: OutputFolder | None = None
        if program.outputs is not None:
            self._folder = OutputFolder(
                program.outputs,
                Path(program.workdir),
                config=config,
                log=RunDir(run.directory).log_file,
                warn=self._warn,
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
            # A glob over a large tree must not become all that this process does.
            self._next_poll = now + 10 * (time.monotonic() - now)
        if now >= self._next_compare:
            self._next_compare = now + _COMPARE_S
            self._compare()

    def keep(self, pids: Iterable[int], *, is_whole: bool) -> None:
        """Copy arrays and metadata into the run directory; called when nothing writes any more.

        Args:
            pids: ids that the script and its workers had.
            is_whole: the script ended well; otherwise a missing folder is no surprise.

        Raises:
            TrialError: the script ended well and made no folder. What it wrote may be in the
                folder of another trial, so neither may count as good.
        """
        if self._folder is None:
            if self._copy is not None:
                now = _versions(self._copy)
                new = {name for name in now if self._before.get(name) != now[name]}
                self._copy_from(self._copy, only=new)
            return
        try:
            path = self._folder.settle(pids)
            if path is not None:
                self._adopt(path)
                self._compare()
                self._copy_from(path)
            elif is_whole:
                raise TrialError(
                    f"outputs {self._pattern!r}: the script made no new folder that matches. "
                    "Correct the pattern; or, if two trials took the same name, let the name hold "
                    "the process id (and do not trust the arrays of a trial that ran at the same "
                    "time)."
                )
        finally:
            self._folder.close()

    def _copy_from(self, folder: Path, only: Collection[str] | None = None) -> None:
        try:
            copy_outputs(folder, self._run.directory, only=only)
        except OSError as error:
            self._warn(f"the files of {folder} could not be copied: {error.strerror or error}")

    def _adopt(self, path: Path | None) -> None:
        if path is not None and path != self.path:
            self.path = path
            self._run.adopted(str(path))
            self._run.describe(outputs=str(path))

    def _compare(self) -> None:
        """Compare the requested values with those that the script recorded."""
        if self.path is None:
            return
        file = self.path / METADATA
        version = tail.file_version(file)
        if version is None or (file, version) == self._compared:
            return
        metadata = atomic.read_json(file)
        if metadata is None:
            return
        self._compared = file, version
        for text in config_check.differences(self._config, metadata):
            self._warn(text)
        data = metadata.get("data")
        if isinstance(data, dict) and "kind" in data:
            self._run.describe(data=data)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._run.warn(text)


def _versions(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return the arrays and metadata in a folder, with what changes when they are written."""
    versions = {name: tail.file_version(folder / name) for name in (*_ARRAYS, METADATA)}
    return {name: version for name, version in versions.items() if version is not None}


def copy_outputs(folder: Path, directory: Path, *, only: Collection[str] | None = None) -> None:
    """Copy the arrays and the metadata of a script's folder into the run directory.

    Each file appears whole or not at all; the script's folder stays as it is. Its metadata become
    ``outputs_metadata.json``, because ``metadata.json`` is the run's own.

    Args:
        folder: the script's folder.
        directory: the run directory.
        only: names of the files that count; None for all.
    """
    for name in (*_ARRAYS, METADATA):
        source = folder / name
        if not source.is_file() or (only is not None and name not in only):
            continue
        target = directory / (_OUTPUTS_METADATA if name == METADATA else name)
        if target.exists() and target.samefile(source):
            continue
        copy_whole(source, target)


def copy_whole(source: Path, target: Path) -> None:
    """Replace `target` by a copy of `source` in one step."""
    with source.open("rb") as reading, atomic.replacing(target) as writing:
        shutil.copyfileobj(reading, writing, _CHUNK)


class Arrays:
    """The arrays that ``metrics`` names. Make it before the script starts.

    Args:
        wanted: our name (``val_predictions``) to a path or glob, with ``:key`` behind it for an
            ``.npz`` file.
        folder: where the script writes.
    """

    def __init__(self, wanted: Mapping[str, str], folder: ScriptFolder) -> None:
        self._found: dict[str, tuple[str, str | None, FoundFiles]] = {}
        for name, written in wanted.items():
            path = folder.expand(written)
            if path is not None:
                path, key = _split_key(path)
                self._found[name] = (written, key, FoundFiles(path, folder))

    def keep(self, directory: Path) -> list[str]:
        """Copy the arrays whole or not at all; return a sentence for each that is missing.

        Of several files that match, the newest counts.
        """
        problems = []
        for name, (written, key, files) in self._found.items():
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
                        shutil.copyfileobj(source, target, _CHUNK)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                reason = error.args[0] if isinstance(error, KeyError) else error
                problems.append(f"{where}: {newest} cannot be read: {reason}")
        return problems


def _split_key(text: str) -> tuple[str, str | None]:
    """Return path and key of ``arrays.npz:pred``; the key is None if there is none."""
    path, sign, key = text.rpartition(":")
    return (path, key) if sign and path.endswith(".npz") else (text, None)


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
