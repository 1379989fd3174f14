"""A small process that outlives a killed driver by a second and ends what Ray would leave behind.

Ray's own processes end with the driver, except its agents: when the server they report to has been
killed too, they hang for a minute or more. What belongs to a sweep carries a mark in its
environment, or has a file of the sweep's temporary folder open: a process that sets its own title,
as Ray's do, overwrites the environment that others see. The reaper runs without this package and
without psutil, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = "SWEEP_SCRATCH"
"""Environment variable: its value, the temporary folder, shows to which sweep a process belongs."""

# Time for processes that do end by themselves.
PATIENCE_S = 2.0


@contextmanager
def marked_folder(*, longest_path: int = 4096, ends_all: bool) -> Iterator[Path]:
    """Mark what this process starts with a temporary folder that a reaper watches over.

    Args:
        longest_path: greatest length of the folder's path in bytes, if /tmp is shorter than the
            user's folder for temporary files.
        ends_all: end what carries the mark even if this process is not killed.

    Yields:
        The folder, readable by this user alone; it is removed at the end.
    """
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    if len(os.fsencode(folder)) > longest_path:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="sweep-", dir="/tmp"))
    reaper = start_reaper(folder)
    before = os.environ.get(MARK)  # of a sweep within which this one runs
    os.environ[MARK] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[MARK]
        os.environ.update({} if before is None else {MARK: before})
        if reaper is not None:
            if not ends_all:
                reaper.kill()
            reaper.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def start_reaper(folder: Path) -> subprocess.Popen[bytes] | None:
    """Start the reaper over what carries the mark `folder`; None if there is no /proc.

    It acts once its standard input closes, which the end of this process does as well.
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


def _belongs(pid: str, folder: str) -> bool:
    """Return whether a process belongs to the sweep whose temporary folder is `folder`."""
    with suppress(OSError):  # it has ended, or belongs to another user
        mark = os.fsencode(f"{MARK}={folder}")
        if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return True
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # closed in the meantime
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if target.startswith(os.path.join(folder, "")):
                    return True
    return False


def _reap(folder: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # At a normal end the driver lives on, and may still have Ray's logs open.
    spared = {str(os.getpid()), str(os.getppid())}
    sys.stdin.read()
    deadline = time.monotonic() + PATIENCE_S
    while True:
        numbers = [name for name in os.listdir("/proc") if name.isdigit() and name not in spared]
        victims = [pid for pid in numbers if _belongs(pid, folder)]
        if not victims or time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    for pid in victims:
        with suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _reap(sys.argv[1])
