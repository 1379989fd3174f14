"""What `sweep stop` asks of a driver: small files in its folder, taken up within a second."""

from __future__ import annotations

import uuid

from orchestrator.files import atomic
from orchestrator.runs.layout import SweepDir


def ask_to_stop(sweep: SweepDir, trial: int | None) -> None:
    """Ask the driver of `sweep` to end trial number `trial`, or the sweep where it is None."""
    sweep.requests_dir.mkdir(exist_ok=True)
    atomic.write_json(sweep.requests_dir / f"{uuid.uuid4().hex}.json", {"stop": trial})


def take(sweep: SweepDir) -> list[int | None]:
    """Return the requests that stand, oldest first, and remove them."""
    if not sweep.requests_dir.is_dir():
        return []
    found = []
    for path in sorted(sweep.requests_dir.glob("*.json"), key=lambda path: path.stat().st_mtime):
        request = atomic.read_json(path)
        if request is not None and "stop" in request:
            found.append(request["stop"])
        path.unlink(missing_ok=True)
    return found
