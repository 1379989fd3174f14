"""How long the trials of a sweep took."""

from __future__ import annotations

from orchestrator.files import atomic
from orchestrator.runs import SweepDir, TrialRecord, TrialState

MOST = 200
"""How many trials are looked at: more would change the mean by little and take long to read."""


def complete_durations(
    sweep: SweepDir, stage: str | None = None, *, on_cpu: bool | None = None
) -> list[float]:
    """Return the seconds that complete trials took, the last ones first.

    Trials that were continued from a checkpoint are left out: their last attempt is not all.

    Args:
        sweep: its folder; one that does not exist has no trials.
        stage: the stage at which they ran; None if the sweep has no stages.
        on_cpu: whether they ran on the CPU; None for both.
    """
    found: list[float] = []
    for run in reversed(sweep.run_dirs()):
        if len(found) == MOST:
            break
        record = TrialRecord.load(run)
        if record is None or record.state is not TrialState.COMPLETE:
            continue
        if record.attempt > 1 or record.stage != stage:
            continue
        if on_cpu is not None and ((record.slot or {}).get("device") == "cpu") is not on_cpu:
            continue
        took = (atomic.read_json(run.metadata_file) or {}).get("duration_s")
        if isinstance(took, bool) or not isinstance(took, int | float):
            continue
        if 0 < took < float("inf"):
            found.append(float(took))
    return found
