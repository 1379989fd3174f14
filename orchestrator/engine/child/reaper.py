"""A small process that outlives a killed driver for a second and ends what Ray would leave behind.

Ray's own processes end with the driver, all but its agents: when the server they report to has been
killed too, they hang for a minute or more. What belongs to a sweep carries a mark in its
environment, or has a file of the sweep's temporary folder open: a process that gives itself another
title, as Ray's do, writes over the environment that others see. The reaper waits for its standard
input to close, gives what it finds some time to end, kills the rest and removes the folder. It
imports nothing of this package, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "SWEEP_SCRATCH"
"""Environment variable: its value, the temporary folder, tells whose a process is."""

# Time for processes that do end by themselves.
PATIENCE_S = 2.0


def start_reaper(folder: Path) -> subprocess.Popen[bytes] | None:
    """Start the reaper over what carries the mark `folder`; None where there is no /proc.

    It ends by itself when this process does. Close its standard input to end it earlier.
    """
    if not Path("/proc/self/environ").exists():
        return None
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _members(folder: str, spared: set[int]) -> list[int]:
    """Return the processes that belong to the sweep whose temporary folder is `folder`."""
    mark = os.fsencode(f"{MARK}={folder}")
    inside = os.path.join(folder, "")
    numbers = {int(name) for name in os.listdir("/proc") if name.isdigit()} - spared
    return [pid for pid in numbers if _carries(pid, mark) or _uses(pid, inside)]


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it has ended, or it is somebody else's


def _uses(pid: int, inside: str) -> bool:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            if os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith(inside):
                return True
        except OSError:
            continue  # closed in the meantime
    return False


def _reap(folder: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # At an end in order the driver lives on, and Ray's logs may still be open in it.
    spared = {os.getpid(), os.getppid()}
    sys.stdin.read()
    deadline = time.monotonic() + PATIENCE_S
    while (victims := _members(folder, spared)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _reap(sys.argv[1])
