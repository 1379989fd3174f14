"""How a run of a sweep ended, and the exit code that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.analysis import Success
from orchestrator.engine.queue.decisions import Ending
from orchestrator.runs import SweepDir, SweepState, TrialRecord, TrialState


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    Attributes:
        ending: why it ended before all that the file requests had run; None if it did not.
        success: the verdict on ``success``; None if the file has none, or it was not judged.
        is_unranked: True if no complete trial has the file's metric.
    """

    folder: SweepDir
    state: SweepState
    records: Mapping[int, TrialRecord]
    ending: Ending | None = None
    success: Success | None = None
    is_unranked: bool = False

    @property
    def exit_code(self) -> int:
        """0 if all went well, 130 if it was interrupted, 3 if a gate was missed.

        1 if the file's ``success`` is missed or, without one, if a trial failed or none can be
        ranked.
        """
        if self.state is SweepState.INTERRUPTED:
            return 130
        if self.ending is not None and self.ending.exit_code is not None:
            return self.ending.exit_code
        if self.success is not None:
            return 0 if self.success.met else 1
        failed = any(record.state is TrialState.FAIL for record in self.records.values())
        return 1 if failed or self.is_unranked or self.state is SweepState.FAILED else 0


def is_unranked(records: Iterable[TrialRecord]) -> bool:
    """Return whether trials are complete, and the metric is known of none."""
    values = [record.value for record in records if record.state is TrialState.COMPLETE]
    return bool(values) and all(value is None for value in values)
