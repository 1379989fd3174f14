"""Predictions and targets that a script saved under names of its own, brought under ours."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from orchestrator.engine.script.outputs.file_claims import Claims, FoundFiles
from orchestrator.files import atomic

_MAGIC = b"\x93NUMPY"
_CHUNK = 1 << 20


class Arrays:
    """The arrays that ``metrics`` names. Make it before the script starts.

    Args:
        wanted: our name (``val_predictions``) to a path or glob, with ``:key`` behind it for an
            ``.npz`` file.
        base: returns the folder that they count from.
        claims: of the trial; None where no other trial writes there.
        expand: puts in the macros of a path; None where it names a parameter that is absent.
    """

    def __init__(
        self,
        wanted: Mapping[str, str],
        base: Callable[[], Path | None],
        claims: Claims | None = None,
        expand: Callable[[str], str | None] = lambda text: text,
    ) -> None:
        self._found: dict[str, tuple[str, str | None, FoundFiles]] = {}
        for name, written in wanted.items():
            path = expand(written)
            if path is not None:
                path, key = split_key(path)
                self._found[name] = (written, key, FoundFiles(path, base, claims))

    def keep(self, directory: Path) -> list[str]:
        """Copy the arrays into the run directory, whole or not at all.

        Of several files that match, the newest counts.

        Returns:
            A sentence for each array that could not be found or copied.
        """
        problems = []
        for name, (written, key, files) in self._found.items():
            where = f"metrics.{name} {written!r}"
            files.look()
            if not files.paths:
                taken = f"; {files.foreign[0]} is another trial's" if files.foreign else ""
                problems.append(f"{where}: must match a file of this trial, but none did{taken}")
                continue
            newest = max(files.paths, key=_modified)
            try:
                with _opened(newest, key) as source:
                    head = source.read(len(_MAGIC))
                    if head != _MAGIC:
                        raise ValueError("it is no .npy array")
                    with atomic.replacing(directory / f"{name}.npy") as target:
                        target.write(head)
                        shutil.copyfileobj(source, target, _CHUNK)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                reason = error.args[0] if isinstance(error, KeyError) else error
                problems.append(f"{where}: {newest} cannot be read: {reason}")
        return problems


def split_key(text: str) -> tuple[str, str | None]:
    """Return path and key of ``arrays.npz:pred``; the key is None where there is none."""
    path, sign, key = text.rpartition(":")
    return (path, key) if sign and path.endswith(".npz") else (text, None)


@contextmanager
def _opened(path: Path, key: str | None) -> Iterator[IO[bytes]]:
    """Open an ``.npy`` file, or that of an archive; it is never loaded."""
    if key is None and path.suffix != ".npz":
        with path.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if key is None:
            if len(names) != 1:
                has = ", ".join(name.removesuffix(".npy") for name in names)
                raise ValueError(f"name one of its arrays behind a colon: {has}")
            key = names[0].removesuffix(".npy")
        if f"{key}.npy" not in names:
            has = ", ".join(name.removesuffix(".npy") for name in names)
            raise ValueError(f"it has no {key}, but {has}")
        with archive.open(f"{key}.npy") as stream:
            yield stream


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
