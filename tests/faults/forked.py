"""Run something in a forked process that meets a fault of ``shim.c``, which must be preloaded."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

WAYS = ("before", "torn", "after")
"""To be killed at an operation: before it, after half of a write, after it."""

_faults = ctypes.CDLL(os.environ.get("LD_PRELOAD") or None)


def arm(mode: str, number: int, folder: Path) -> None:
    """Let this process meet a fault at an operation below a folder."""
    _faults.arm(mode.encode(), ctypes.c_long(number), str(folder).encode())


def counted() -> int:
    """Return how many operations there were since `arm`."""
    _faults.counted.restype = ctypes.c_long
    return int(_faults.counted())


def in_fork(action: Callable[[], object]) -> tuple[int, str]:
    """Run `action` in a forked process and return how that ended and what it printed."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(ours)
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        # The streams were of a file perhaps, which can seek.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        code = 1
        try:
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        printed = stream.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), printed
