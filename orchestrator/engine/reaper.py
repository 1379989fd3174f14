"""A small process that outlives a killed driver for a second and ends what Ray would leave behind.

Ray's own processes end with the driver, all but its agents: when the server they report to has been
killed too, they hang for a minute or more. The reaper is told their process ids and start times,
waits for its standard input to close, and kills those that are still the same processes. It imports
nothing of this package, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Time for processes that do end by themselves.
PATIENCE_S = 2.0


def start_reaper() -> subprocess.Popen[bytes] | None:
    """Start the reaper over the present descendants of this process; None where there is no /proc.

    It ends by itself when this process does. Close its standard input to end it earlier.
    """
    victims = [f"{pid} {started}" for pid in _descendants(os.getpid()) if (started := _start(pid))]
    if not victims:
        return None
    reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert reaper.stdin is not None
    reaper.stdin.write("\n".join([*victims, ""]).encode())
    reaper.stdin.flush()
    return reaper


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text(encoding="ascii").split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _start(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot; with the id it names a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold blanks; the start time is the 20th field after it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _reap() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    victims = [line.split() for line in sys.stdin.read().splitlines()]
    deadline = time.monotonic() + PATIENCE_S
    while victims and time.monotonic() < deadline:
        victims = [(pid, start) for pid, start in victims if _start(int(pid)) == start]
        time.sleep(0.1)
    for pid, _ in victims:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    _reap()
