"""A sweep that survives logout: its driver runs in a session of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.engine.driver.opening import folder_for, make_folder
from orchestrator.errors import SweepError
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord
from orchestrator.sweepfile.model.spec import Spec

START_TIMEOUT_S = 60.0


def start_detached(
    spec: Spec, results: Path, arguments: Sequence[str], *, new: bool
) -> tuple[SweepDir, int]:
    """Start ``sweep run`` with `arguments` in the background and wait until it holds the sweep.

    Returns:
        The sweep's folder and the driver's process id.

    Raises:
        SweepError: the driver ended at once; the message is what it said, the exit code its own.
    """
    folder = folder_for(spec, results, new=new)
    is_new = not folder.path.exists()
    make_folder(folder)
    offset = folder.driver_log.stat().st_size if folder.driver_log.exists() else 0
    with folder.driver_log.open("ab") as log:
        driver = subprocess.Popen(
            # Without -P a file in the working folder could stand in for one of our packages.
            [sys.executable, "-P", "-m", "orchestrator", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    ended = False
    while not ended and time.monotonic() < deadline:
        # Asked in this order: a sweep with nothing left to do may be over at once.
        ended = driver.poll() is not None
        record = SweepRecord.load(folder)
        if record is not None and record.pid == driver.pid:
            return folder, driver.pid
        time.sleep(0.05)
    if not ended:
        raise SweepError(
            f"{folder.driver_log}: the driver must start within {START_TIMEOUT_S:.0f} s, but "
            f"process {driver.pid} has not. See that log, and end it with `kill {driver.pid}`."
        )
    with folder.driver_log.open("rb") as log:
        log.seek(offset)
        said = log.read().decode(errors="replace").strip()
    if is_new and not folder.spec_file.exists():
        shutil.rmtree(folder.path, ignore_errors=True)  # it holds nothing but that log
    # What it said before the error was its header.
    message = said.rpartition("\nError: ")[2].removeprefix("Error: ")
    error = SweepError(message or f"the driver ended with exit code {driver.returncode}")
    error.exit_code = driver.returncode if driver.returncode > 0 else 1
    raise error
