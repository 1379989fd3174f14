"""A disk cache for arrays that are slow to prepare, shared by the trials of a sweep.

The cache is in the folder that the environment variable ``SWEEP_CACHE`` names, by default
``~/.cache/sweep``. The name of an entry contains a hash of everything that its content depends on.
Entries are written to a temporary file and renamed; damaged entries are made again. The folder may
be deleted at any time::

    found = cached("eeg-features", {"signals": digest(signals), "depth": 4}, make=compute)
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_SETTINGS = "settings"


class Interrupted(Exception):  # noqa: N818  (not an error: a stop was requested)
    """A stop was requested while an entry was prepared; nothing was kept."""


def cache_folder() -> Path:
    """Return the cache folder; it may not exist yet."""
    named = os.environ.get("SWEEP_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sweep"


def entry(kind: str, settings: Mapping[str, Any]) -> Path:
    """Return the file of the entry for `kind` and `settings`, whether it exists or not."""
    name = hashlib.sha256(_text(settings).encode()).hexdigest()[:20]
    return cache_folder() / f"{kind}-{name}.npz"


def digest(*arrays: NDArray[Any]) -> str:
    """Return a hash of `arrays`: types, shapes and all values."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:20]


def cached(
    kind: str,
    settings: Mapping[str, Any],
    make: Callable[[], Arrays],
    *,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Arrays:
    """Return the arrays of `make`, from the cache if they are there.

    If several processes need the same entry at once, one makes it and the others wait. If the
    folder cannot be written, each process makes its own.

    Args:
        kind: kind of entry, in one or two words; the beginning of the file's name.
        settings: everything that the content depends on, in JSON types; arrays as their `digest`.
        make: makes the arrays; none may be called ``settings`` or contain objects.
        progress: receives a message when something takes long.
        should_stop: checked while waiting for another process.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    text = _text(settings)
    path = entry(kind, settings)
    found = _read(path, text)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path.with_suffix(".lock"), kind, progress, should_stop)
    except OSError as error:
        progress(f"{kind} is not kept: {path.parent} cannot be written ({error.strerror})")
        return make()
    try:
        found = _read(path, text)  # the previous lock holder may have written it
        if found is None:
            found = make()
            _write(path, found, text, progress)
    finally:
        lock.release()
    return found


def _text(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _acquire(
    path: Path, kind: str, progress: Callable[[str], None], should_stop: Callable[[], bool]
) -> FileLock:
    """Wait for the lock, however long it is held; it is released if its holder dies."""
    lock = FileLock(path)
    waiting = False
    while True:
        try:
            lock.acquire(timeout=1.0, poll_interval=0.1)
        except Timeout:
            if should_stop():
                raise Interrupted from None
            if not waiting:
                progress(f"waiting for another process that makes the same {kind}")
            waiting = True
        else:
            return lock


def _read(path: Path, settings: str) -> Arrays | None:
    """Return the arrays in `path`, or None if it is missing, damaged or has other settings."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive[_SETTINGS]) != settings:
                return None
            return {name: archive[name] for name in archive.files if name != _SETTINGS}
    except Exception:  # a damaged archive can raise almost anything; it is made again
        return None


def _write(path: Path, arrays: Arrays, settings: str, progress: Callable[[str], None]) -> None:
    """Write the arrays in one atomic step; the caller holds the lock."""
    for left in path.parent.glob(f".{path.name}.*"):  # left by a writer that was killed
        left.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as stream:
            everything: dict[str, Any] = {_SETTINGS: np.array(settings), **arrays}
            np.savez(stream, **everything)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:  # a full disk costs the next trial time, but not this one its data
        progress(f"{path.name} is not kept: its folder cannot be written ({error.strerror})")
        temporary.unlink(missing_ok=True)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
