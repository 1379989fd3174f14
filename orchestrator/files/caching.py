"""The user's cache, and whether what it holds about the files of a folder is still true."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

# Local file systems note the time of each change in the inode, where no program can set it. On
# others (FUSE, SMB) times may be anything.
_LOCAL = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "bcachefs"))
_REMOTE = frozenset(("nfs", "nfs4"))  # attributes are up to date once a file has been opened
# Two changes within a tick of the clock have one time. A page that a program has mapped notes only
# its first change until it is written to disk, half a minute later; on tmpfs it never is.
_SETTLED_NS = 120 * 10**9
_MOST_FILES = 2_000


def cache_folder() -> Path:
    """Return the folder of the user's cache, which may not exist and may be deleted at any time."""
    named = os.environ.get("SWEEP_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sweep"


def fingerprint(folder: Path) -> str | None:
    """Return what differs once any file in or below a folder changes; None if that is not certain.

    It holds name, device, inode, size, and times of all files. It is not certain if a file changed
    in the last two minutes, on file systems whose times cannot be trusted, with links to folders,
    and if there are thousands of files.
    """
    found: list[tuple[object, ...]] = []
    newest = 0
    top = str(folder)
    waiting = [top]
    try:
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    at = entry.stat()
                    system = _file_system(at.st_dev)
                    if system in _REMOTE and stat.S_ISREG(at.st_mode):
                        opened = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK)
                        try:
                            at = os.fstat(opened)
                        finally:
                            os.close(opened)
                    elif system not in _LOCAL or stat.S_ISDIR(at.st_mode):
                        return None
                    newest = max(newest, at.st_mtime_ns, at.st_ctime_ns)
                    times = at.st_size, at.st_mtime_ns, at.st_ctime_ns
                    found.append((entry.path[len(top) :], at.st_dev, at.st_ino, *times))
            if len(found) > _MOST_FILES:
                return None
    except OSError:
        return None
    if newest > time.time_ns() - _SETTLED_NS:
        return None
    return hashlib.blake2b(repr(sorted(found)).encode(), digest_size=16).hexdigest()


@cache
def _file_system(device: int) -> str:
    """Return the type of the file system of a device, as ``"ext4"``; "" if unknown."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            parts = line.split()
            if parts[2] == number:
                return parts[parts.index("-") + 1]
    return ""
