"""Tell a disk that is full, gone or read-only from a fault of whoever wrote to it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
_PROBE_BYTES = 1 << 16
_LITTLE_BYTES = 1 << 30  # a script may have failed to write more than the probe


def trouble(folder: Path, message: str) -> str | None:
    """Return what is wrong with the disk of `folder` after a failure; None if nothing is.

    It is tried, since the error of a library or a script need not name the cause.

    Args:
        message: of the failure.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
        names_it = any(os.strerror(number) in message for number in _FULL)
        if names_it and shutil.disk_usage(folder).free < _LITTLE_BYTES:
            return "the disk is full"
    except OSError as error:
        return None if error.errno in _LIMITS else what_is_wrong(error, folder)
    return None


def what_is_wrong(error: OSError, folder: Path) -> str:
    """Return why files below `folder` cannot be read or written."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return f"the disk is full ({reason})"
    if error.errno in _LIMITS:
        return f"the system refuses more files, processes or memory ({reason}; see `ulimit -a`)"
    if error.errno == errno.ENOENT and not folder.exists():
        return "the folder was removed, moved or unmounted"
    if error.errno == errno.ENOENT:
        return f"files in it were removed ({error.filename})"
    return f"cannot be read and written any more ({error})"


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
