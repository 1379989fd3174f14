"""What ends a driver from outside (Ctrl+C, `sweep stop`), and `--detach`, which survives logout."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from orchestrator.engine.driver.opening import folder_for, make_folder
from orchestrator.errors import SweepError
from orchestrator.files import atomic
from orchestrator.runs import SweepDir, SweepRecord
from orchestrator.sweepfile.model import Spec

START_TIMEOUT_S = 60.0
SAME_SIGNAL_S = 0.5


@contextmanager
def catching(first: Callable[[], None], second: Callable[[], None]) -> Iterator[None]:
    """Call `first` at the first SIGINT, SIGTERM or SIGHUP, and `second` at the next; then exit.

    SIGHUP counts because a terminal that closes sends it; a sweep under ``nohup`` continues. It is
    never the second: a shell and its terminal both send it. Nor is a SIGTERM at once after the
    first: ``timeout`` sends it to the process and to its group. Only the main thread has handlers.

    Args:
        first: must return at once; it runs between two instructions of the main thread.
        second: called last; the process ends after it with exit code 130.
    """
    earlier: tuple[int, float] | None = None  # the first signal and when it came

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal earlier
        if earlier is None:
            earlier = number, time.monotonic()
            first()
            return
        is_twin = number == earlier[0] and time.monotonic() - earlier[1] < SAME_SIGNAL_S
        if number == signal.SIGINT or (number == signal.SIGTERM and not is_twin):
            try:
                second()
            finally:
                # Not sys.exit: Ray would wait for its actors. Its processes end with this one, and
                # each trial's process ends its own group when its lifeline closes.
                os._exit(130)

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        if before[signal.SIGHUP] is signal.SIG_IGN:
            del before[signal.SIGHUP]

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def take(sweep: SweepDir) -> list[int | None]:
    """Return the pending requests, oldest first, and remove them."""
    found = []
    ages = {}
    for path in sweep.requests_dir.glob("*.json"):
        with suppress(FileNotFoundError):  # another driver took it
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=lambda path: ages[path]):
        request = atomic.read_json(path)
        if request is not None and "stop" in request:
            found.append(request["stop"])
        path.unlink(missing_ok=True)
    return found


class DriverEndedError(SweepError):
    """A driver in the background ended at once, with its message and its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def start_detached(
    spec: Spec, results: Path, arguments: Sequence[str], *, new: bool
) -> tuple[SweepDir, int]:
    """Start ``sweep run`` with `arguments` in the background and wait until it holds the sweep.

    Returns the sweep's folder and the driver's process id. If the driver ends at once, the
    `SweepError` has its message and its exit code.
    """
    folder = folder_for(spec, results, new=new)
    is_new = not folder.path.exists()
    make_folder(folder)
    with folder.driver_log.open("ab") as log:
        offset = log.tell()
        driver = subprocess.Popen(
            # Without -P a file in the working folder could replace one of our packages.
            [sys.executable, "-P", "-m", "orchestrator", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    has_ended = False
    while not has_ended and time.monotonic() < deadline:
        # In this order: a sweep with nothing left to do may be over at once.
        has_ended = driver.poll() is not None
        record = SweepRecord.load(folder)
        if record is not None and record.pid == driver.pid:
            return folder, driver.pid
        time.sleep(0.05)
    if not has_ended:
        raise SweepError(
            f"{folder.driver_log}: the driver has not started after {START_TIMEOUT_S:.0f} s "
            f"(process {driver.pid}). See that log, and end it with `kill {driver.pid}`."
        )
    printed = folder.driver_log.read_bytes()[offset:].decode(errors="replace").strip()
    if is_new and not folder.spec_file.exists():
        shutil.rmtree(folder.path, ignore_errors=True)  # it holds nothing but that log
    # Before the error it printed its header.
    message = printed.rpartition("\nError: ")[2].removeprefix("Error: ")
    raise DriverEndedError(
        message or f"the driver ended with exit code {driver.returncode}",
        driver.returncode if driver.returncode > 0 else 1,
    )
