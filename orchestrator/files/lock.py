"""Locks that end with the process that holds them, also when it is killed."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from orchestrator.errors import BusyError

Held = FileLock


def acquire(path: Path, *, timeout_s: float, holder: str) -> Held:
    """Take the lock at `path` and keep it until it is released or the process ends.

    Args:
        path: the lock file; created where missing, its folder must exist.
        timeout_s: how long to wait for another holder, in seconds.
        holder: what the lock guards, for the message.

    Raises:
        BusyError: another process still holds it after `timeout_s`.
    """
    lock = FileLock(path, timeout=timeout_s)
    try:
        lock.acquire(poll_interval=0.1)
    except Timeout:
        raise BusyError(
            f"{path.parent}: {holder} must be free, but another process holds it. "
            f"Wait for it, or end it with `sweep stop`."
        ) from None
    return lock


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock at `path`."""
    if not path.exists():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
