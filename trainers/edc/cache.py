"""Simulated rooms are kept in a cache, so that the trials of a sweep simulate them once.

The cache stands in the folder that the environment variable ``SWEEP_CACHE`` names, else in
``~/.cache/sweep``. A file is named by everything that its content depends on, written beside its
place and moved there whole, and made anew when it turns out to be damaged. It may be deleted at
any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from trainers.edc import rooms as simulator
from trainers.edc.roomset import RoomSet

Progress = Callable[[str], None]


def cache_folder() -> Path:
    """Return where simulated rooms are kept; it may not exist yet."""
    named = os.environ.get("SWEEP_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sweep"


def simulated(
    *,
    rooms: int,
    cases: int,
    rate_hz: float,
    duration_s: float,
    seed: int,
    progress: Progress = lambda text: None,
) -> RoomSet:
    """Return what `rooms.simulate` returns, from the cache where it is there already.

    Of several processes that want the same rooms at once, one simulates and the others wait.
    Where the cache folder cannot be written, rooms are simulated without it.

    Args:
        rooms: number of rooms.
        cases: curves per room.
        rate_hz: samples per second.
        duration_s: length of a curve in seconds.
        seed: of everything that is random.
        progress: told what happens.
    """
    settings: dict[str, Any] = {
        "rooms": rooms,
        "cases": cases,
        "rate_hz": float(rate_hz),
        "duration_s": float(duration_s),
        "seed": seed,
        "version": simulator.VERSION,
        "pyroomacoustics": metadata.version("pyroomacoustics"),
    }
    text = json.dumps(settings, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:20]
    path = cache_folder() / f"edc-rooms-{name}.npz"

    found = _read(path, text)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path.with_suffix(".lock"), progress)
    except OSError as error:
        progress(f"rooms are not kept: {path.parent} cannot be written ({error.strerror})")
        lock = None
    try:
        found = _read(path, text)  # whoever held the lock may have written it
        if found is None:
            found = simulator.simulate(
                rooms=rooms,
                cases=cases,
                rate_hz=rate_hz,
                duration_s=duration_s,
                seed=seed,
                progress=progress,
            )
            if lock is not None:
                _write(path, found, text, progress)
    finally:
        if lock is not None:
            lock.release()
    return found


def _acquire(path: Path, progress: Progress) -> FileLock:
    """Take the lock, however long its holder simulates; it falls free when its holder dies."""
    lock = FileLock(path)
    waiting = False
    while True:
        try:
            lock.acquire(timeout=1.0, poll_interval=0.1)
        except Timeout:
            if not waiting:
                progress("waiting for another process that simulates the same rooms")
            waiting = True
        else:
            return lock


def _read(path: Path, settings: str) -> RoomSet | None:
    """Return the set in `path`, or None where it is missing, damaged or of other settings."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["settings"]) != settings:
                return None
            found = RoomSet(
                features=archive["features"],
                curves=archive["curves"],
                rooms=archive["rooms"],
                rate_hz=float(archive["rate_hz"]),
            )
        return found.checked(path.name)
    except Exception:  # a damaged archive raises nearly anything; it is simply made anew
        return None


def _write(path: Path, rooms: RoomSet, settings: str, progress: Progress) -> None:
    """Put the set in its place in one step; the caller holds the lock."""
    for left in path.parent.glob(f".{path.name}.*"):  # of a writer that was killed
        left.unlink(missing_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as stream:
            np.savez(
                stream,
                settings=np.array(settings),
                features=rooms.features,
                curves=rooms.curves,
                rooms=rooms.rooms,
                rate_hz=np.array(rooms.rate_hz),
            )
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:  # a full disk costs the next trial its time, not this one its data
        progress(f"rooms are not kept: {path.parent} cannot be written ({error.strerror})")
        temporary.unlink(missing_ok=True)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
