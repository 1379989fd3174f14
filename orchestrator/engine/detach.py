"""A sweep that survives logout: its driver runs in a session of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.engine.opening import folder_for
from orchestrator.errors import SweepError
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord
from orchestrator.spec.model import Spec

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
    folder.path.mkdir(parents=True, exist_ok=True)
    offset = folder.driver_log.stat().st_size if folder.driver_log.exists() else 0
    with folder.driver_log.open("ab") as log:
        driver = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        record = SweepRecord.load(folder)
        if record is not None and record.pid == driver.pid:
            return folder, driver.pid
        if driver.poll() is not None:
            break
        time.sleep(0.05)
    with folder.driver_log.open("rb") as log:
        log.seek(offset)
        said = log.read().decode(errors="replace").strip()
    error = SweepError(
        said.removeprefix("Error: ")
        or f"{folder.driver_log}: the driver must start within {START_TIMEOUT_S:.0f} s, but "
        f"process {driver.pid} has not. See that log."
    )
    error.exit_code = driver.returncode or 1
    raise error
