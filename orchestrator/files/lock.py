"""Locks that end with the process that holds them, also when it is killed."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orchestrator.errors import BusyError, UsageError

if TYPE_CHECKING:
    from filelock import FileLock as Held

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def acquire(path: Path, *, timeout_s: float, holder: str) -> Held:
    """Take the lock at `path` and keep it until it is released or the process ends.

    Args:
        path: the lock file; created if missing, but not its folder.
        holder: what the lock guards, for the message.

    Raises:
        BusyError: another process still holds it after `timeout_s`.
        UsageError: the file cannot be opened for writing, or the file system has no locks.
        OSError: the disk is full.
    """
    from filelock import FileLock, Timeout  # which takes long, and tables need no lock

    lock = FileLock(path, timeout=timeout_s)
    try:
        lock.acquire(poll_interval=0.1)
    except Timeout:
        raise BusyError(
            f"{path.parent}: another process holds {holder}. "
            "Wait for it, or end it with `sweep stop`."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        if error.errno in _NO_LOCKS:
            raise UsageError(
                f"{path}: the file system has no locks ({error.strerror}), so nothing would keep "
                "two processes apart. Choose a folder on another disk."
            ) from None
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "See who owns the folder, or choose another."
        ) from None
    return lock


def share(path: Path, *, holder: str) -> IO[bytes]:
    """Share the lock at `path` with others who do, until the file returned is closed.

    Raises:
        BusyError: a process holds it for itself.
    """
    path.touch()
    stream = path.open("rb")
    try:
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise BusyError(
            f"{path.parent}: another process holds {holder} for itself. "
            "Wait for it, or end it with `sweep stop`."
        ) from None
    return stream


def try_to_take(path: Path) -> IO[bytes] | None:
    """Take the lock at `path` until the file returned is closed; None if a process holds it."""
    stream = path.open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock at `path`.

    The check takes a shared lock for an instant: it needs no write permission, and others that
    check at the same time do not mistake it for a holder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:  # others come from a file system without locks
        return isinstance(error, BlockingIOError | PermissionError)
    finally:
        os.close(descriptor)
    return False


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
