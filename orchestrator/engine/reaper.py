"""A small process that outlives a killed driver for a second and ends what Ray would leave behind.

Ray's own processes end with the driver, all but its agents: when the server they report to has been
killed too, they hang for a minute or more. What belongs to a sweep carries a mark in its
environment. The reaper waits for its standard input to close, gives what carries the mark some time
to end, kills the rest and removes the sweep's temporary folder. It imports nothing of this package,
so that it starts in milliseconds.
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


def _marked(mark: bytes) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environment = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue  # it has ended, or it is somebody else's
        if mark in environment.split(b"\0"):
            found.append(int(name))
    return found


def _reap(folder: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    mark = os.fsencode(f"{MARK}={folder}")
    deadline = time.monotonic() + PATIENCE_S
    while (victims := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _reap(sys.argv[1])
