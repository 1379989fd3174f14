"""Files of leases in a folder that all users of a machine share, each as good as its lock.

Nothing there is trusted: any user may have written it. Everything is opened relative to the folder
and never through a link, and what nobody holds any more is cleared away.
"""

from __future__ import annotations

import json
import os
import stat
import time
import uuid
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is shared there
    fcntl = None  # type: ignore[assignment]

_LENGTH = 512
_LONGEST_KEY = 128
_LONGEST_FILE = 4096
_MOST_BYTES = 1 << 60
_SUFFIX = ".lease"
_STALE_S = 60.0


@dataclass(frozen=True)
class Claim:
    """Memory that a process has promised to a trial, on the device with the key `device`.

    The device already shows `used_bytes` of it as used. `pid` is for people: each container counts
    its own.
    """

    device: str
    memory_bytes: int
    used_bytes: int
    pid: int


def pack_claim(claim: Claim) -> bytes:
    """Return the content of a lease's file: of fixed length, so that it can be overwritten.

    Raises:
        ValueError: a size is negative or beyond any memory, or the key is too long.
    """
    for size in (claim.memory_bytes, claim.used_bytes):
        if not 0 <= size <= _MOST_BYTES:
            raise ValueError(f"memory must be 0 to {_MOST_BYTES} bytes (got {size})")
    if not 0 < len(claim.device) <= _LONGEST_KEY or not claim.device.isascii():
        raise ValueError(
            f"a device key must be 1 to {_LONGEST_KEY} ASCII characters (got {claim.device!r})"
        )
    body = json.dumps([1, claim.device, claim.memory_bytes, claim.used_bytes, claim.pid]).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body.ljust(_LENGTH))


def parse_claim(content: bytes) -> Claim | None:
    """Return the claim in a lease's file, or None if it is torn, foreign or senseless."""
    check, _, rest = content.partition(b" ")
    body = rest.rstrip()
    try:
        if int(check, 16) != zlib.crc32(body):
            return None
        version, device, memory, used, pid = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None
    if version != 1 or not isinstance(device, str) or len(device) > _LONGEST_KEY:
        return None
    numbers = (memory, used, pid)
    if not all(type(number) is int and 0 <= number <= _MOST_BYTES for number in numbers):
        return None
    return Claim(device, memory, used, pid)


def open_folder(path: Path, *, is_ours: bool, make: bool = True) -> int:
    """Open a folder that all may write, but no link, and return its descriptor.

    The mode of a folder that is only ours may be repaired: the process that made it may have been
    killed before all were allowed to write.

    Raises:
        OSError: it is missing, cannot be made or opened, or this system has no file locks.
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
    """Make a file that nobody sees before it is locked and filled; return it and its name.

    It is locked until it is closed. A name is never used twice, so that removing a file that nobody
    holds never hits another.
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


def read_claims(folder: int, *, but: Collection[str] = ()) -> Iterator[Claim]:
    """Yield the claim in every file that a living process holds, except the files named `but`."""
    for name in sorted(os.listdir(folder)):
        found = None if name in but else _examine(folder, name)
        if found is not None:
            yield found


def _examine(folder: int, name: str) -> Claim | None:
    """Return the claim in a file; None, and the file is cleared away, if nobody holds it."""
    is_lease = name.endswith(_SUFFIX)
    if not is_lease and not name.endswith(".tmp"):
        return None
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None  # released meanwhile, a link, or not readable for this user
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        if not is_lease and time.time() - status.st_mtime < _STALE_S:
            return None  # being made: its maker is about to lock it, and must not find us there
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(file) if is_lease else None
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        return None
    finally:
        os.close(file)


def _read(file: int) -> Claim | None:
    """Return the claim in a file that its holder may be writing at this moment."""
    for _ in range(5):
        found = parse_claim(os.pread(file, _LONGEST_FILE, 0))
        if found is not None:
            return found
        time.sleep(0.001)
    return None


def lock_within(folder: int, timeout_s: float) -> bool:
    """Lock an opened folder until it is closed, and return whether that succeeded in time."""
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
