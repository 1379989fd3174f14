"""Files in a folder that all users of a machine share, each as good as the lock on it.

Nothing there is trusted: everything is opened relative to the folder and never through a link,
and what nobody holds any more is cleared away.
"""

from __future__ import annotations

import os
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

try:
    import fcntl
except ImportError:  # Windows: nothing is shared there
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

_SUFFIX = ".lease"
_LONGEST = 4096
_STALE_S = 60.0


def open_shared(path: Path, *, is_ours: bool, make: bool = True) -> int:
    """Return a folder that all may write, opened.

    Args:
        path: the folder; a link is refused.
        make: whether it is made where it is missing.
        is_ours: True for a folder of no other use, whose mode may be mended: the one who made it
            may have been killed before it said that all may write.

    Raises:
        FileNotFoundError: it is not there and is not to be made, or has no parent.
        OSError: it cannot be made or opened, or this system has no file locks.
    """
    if fcntl is None:
        raise OSError("this system has no file locks that end with a process")
    made = False
    if make:
        with suppress(FileExistsError):
            path.mkdir()
            made = True
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(folder)
    # All may leave files there, and none may remove another's.
    shared = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO | stat.S_ISVTX
    may_mend = made or (is_ours and status.st_uid == os.geteuid())
    if may_mend and stat.S_IMODE(status.st_mode) != shared:
        os.fchmod(folder, shared)
    return folder


def publish(folder: int, content: bytes) -> tuple[int, str]:
    """Return a new file and its name; nobody sees it before it is locked and filled.

    It is held until it is closed. There is one of each name ever, so that one who clears away a
    file that is not held never hits another.

    Raises:
        OSError: the folder is full or not writable.
    """
    name = uuid.uuid4().hex
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    hidden = f".{name}.tmp"
    file = os.open(hidden, flags, 0o644, dir_fd=folder)
    try:
        os.fchmod(file, 0o644)  # whatever the mask: other users read it
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(file, content, 0)
        os.rename(hidden, name + _SUFFIX, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.close(file)
        with suppress(OSError):
            os.unlink(hidden, dir_fd=folder)
        raise
    return file, name + _SUFFIX


def read_held(
    folder: int, parse: Callable[[bytes, int], T | None], *, but: Collection[str] = ()
) -> Iterator[T]:
    """Yield the content of every file that a living process holds.

    Args:
        folder: opened.
        parse: makes a value of a file's bytes and its owner's id; None where they make no sense.
        but: names to pass over.
    """
    for name in sorted(os.listdir(folder)):
        found = None if name in but else _examine(folder, name, parse)
        if found is not None:
            yield found


def _examine(folder: int, name: str, parse: Callable[[bytes, int], T | None]) -> T | None:
    """Return what a file says; None, and it is cleared away, where nobody holds it."""
    is_lease = name.endswith(_SUFFIX)
    if not is_lease and not name.endswith(".tmp"):
        return None
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None  # released meanwhile, a link, or not for us to read
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        if not is_lease and time.time() - status.st_mtime < _STALE_S:
            return None  # being made: its maker is about to lock it, and must not find us there
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(file, status.st_uid, parse) if is_lease else None
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        return None
    finally:
        os.close(file)


def _read(file: int, uid: int, parse: Callable[[bytes, int], T | None]) -> T | None:
    """Return what a file says that its holder may be writing just now."""
    for _ in range(5):
        found = parse(os.pread(file, _LONGEST, 0), uid)
        if found is not None:
            return found
        time.sleep(0.001)
    return None


def lock_within(folder: int, timeout_s: float) -> bool:
    """Lock an opened folder until it is closed; False where that did not succeed in time."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        except OSError:
            return False  # a file system without locks
        else:
            return True
