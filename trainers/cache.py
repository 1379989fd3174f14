"""What takes long to prepare is kept on disk, so that the trials of a sweep prepare it once.

Arrays are kept in the folder that the environment variable ``SWEEP_CACHE`` names, else in
``~/.cache/sweep``. An entry is named by everything that its content depends on, written beside its
place and moved there whole, and made anew where it turns out to be damaged. The folder may be
deleted at any time::

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


class Interrupted(Exception):  # noqa: N818  (it is no error: the caller was asked to stop)
    """The trial was asked to stop while something was prepared; nothing was kept."""


def cache_folder() -> Path:
    """Return where prepared arrays are kept; it may not exist yet."""
    named = os.environ.get("SWEEP_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sweep"


def entry(kind: str, settings: Mapping[str, Any]) -> Path:
    """Return the file that `cached` keeps under `kind` and `settings`, whether it exists or not."""
    name = hashlib.sha256(_text(settings).encode()).hexdigest()[:20]
    return cache_folder() / f"{kind}-{name}.npz"


def digest(*arrays: NDArray[Any]) -> str:
    """Return a name for the content of `arrays`: type, shape and every value."""
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
    """Return what `make` returns, from the cache where it is there already.

    Of several processes that want the same entry at once, one makes it and the others wait. Where
    the folder cannot be written, everybody makes his own.

    Args:
        kind: what is kept, in a word or two; the beginning of the file's name.
        settings: everything that the content depends on, as JSON holds it; arrays by `digest`.
        make: makes the arrays; none may be called ``settings`` or hold objects.
        progress: told why something takes long.
        should_stop: asked while another process is waited for.

    Raises:
        Interrupted: `should_stop` said so.
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
        found = _read(path, text)  # whoever held the lock may have written it
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
    """Take the lock, however long its holder works; it falls free when its holder dies."""
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
    """Return the arrays in `path`, or None where it is missing, damaged or of other settings."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive[_SETTINGS]) != settings:
                return None
            return {name: archive[name] for name in archive.files if name != _SETTINGS}
    except Exception:  # a damaged archive raises nearly anything; it is simply made anew
        return None


def _write(path: Path, arrays: Arrays, settings: str, progress: Callable[[str], None]) -> None:
    """Put the arrays in their place in one step; the caller holds the lock."""
    for left in path.parent.glob(f".{path.name}.*"):  # of a writer that was killed
        left.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as stream:
            everything: dict[str, Any] = {_SETTINGS: np.array(settings), **arrays}
            np.savez(stream, **everything)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:  # a full disk costs the next trial its time, not this one its data
        progress(f"{path.name} is not kept: its folder cannot be written ({error.strerror})")
        temporary.unlink(missing_ok=True)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
