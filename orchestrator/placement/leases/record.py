"""What stands in the file of a lease. Any user may have written it, so nothing is believed."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

_LENGTH = 512
_LONGEST_KEY = 128
_MOST_BYTES = 1 << 60


@dataclass(frozen=True)
class Claim:
    """Memory of a device that a process has promised to a trial.

    Attributes:
        device: key of the device (`Device.key`).
        memory_bytes: what is claimed.
        used_bytes: how much of it the device already shows as used.
        pid: who claims it, for people: in a container it counts for itself.
        uid: whose file it is; None where it is not known.
    """

    device: str
    memory_bytes: int
    used_bytes: int
    pid: int
    uid: int | None = None

    @property
    def pending_bytes(self) -> int:
        """What still looks free though it is promised."""
        return max(0, self.memory_bytes - self.used_bytes)


def pack_claim(claim: Claim) -> bytes:
    """Return the content of a lease's file: always as long, so that it can be written over.

    Raises:
        ValueError: a size is negative or beyond any memory, or the key too long.
    """
    for size in (claim.memory_bytes, claim.used_bytes):
        if not 0 <= size <= _MOST_BYTES:
            raise ValueError(f"memory must be 0 to {_MOST_BYTES} bytes, but got {size}")
    if not 0 < len(claim.device) <= _LONGEST_KEY or not claim.device.isascii():
        raise ValueError(
            f"a device's key must be 1 to {_LONGEST_KEY} ASCII characters, but got {claim.device!r}"
        )
    body = json.dumps([1, claim.device, claim.memory_bytes, claim.used_bytes, claim.pid]).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body.ljust(_LENGTH))


def parse_claim(content: bytes, uid: int | None = None) -> Claim | None:
    """Return the claim in a lease's file, or None where it is torn, foreign or senseless.

    Args:
        content: the file's bytes.
        uid: who owns the file.
    """
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
    return Claim(device, memory, used, pid, uid)
