"""A sweep's record from the start of a driver to its end, and what the end comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis import Success, judge_success
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.queue.decisions import Ending
from orchestrator.runs import SweepDir, SweepRecord, SweepState, TrialRecord, TrialState, now
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    Attributes:
        folder: the sweep's folder.
        state: FINISHED, INTERRUPTED or FAILED.
        records: all its trials, by number.
        ending: why it ended before all that the file requests had run; None if it did not.
        success: the verdict on ``success``; None if the file has none, or it was not judged.
    """

    folder: SweepDir
    state: SweepState
    records: Mapping[int, TrialRecord]
    ending: Ending | None = None
    success: Success | None = None

    @property
    def exit_code(self) -> int:
        """0 if all went well, 130 if it was interrupted, 3 if a gate was missed.

        1 if the file's ``success`` is missed or, without one, if a trial failed.
        """
        if self.state is SweepState.INTERRUPTED:
            return 130
        if self.ending is not None and self.ending.exit_code is not None:
            return self.ending.exit_code
        if self.success is not None:
            return 0 if self.success.met else 1
        failed = any(record.state is TrialState.FAIL for record in self.records.values())
        return 1 if failed or self.state is SweepState.FAILED else 0


def new_record(
    spec: Spec, folder: SweepDir, command: str, before: SweepRecord | None, *, retries: bool
) -> SweepRecord:
    """Return the record with which a driver starts, unsaved.

    Args:
        command: the command line that continues it.
        before: the record that an earlier driver left, if one did.
        retries: True if trials run again that had ended: what they decided is decided again.
    """
    record = SweepRecord(
        sweep=folder.name,
        n_trials=count_trials(spec),
        metric=spec.metric.name if spec.metric else "",
        goal=spec.metric.goal if spec.metric else "minimize",
        spec_path=str(spec.path),
        command=command,
    )
    if before is not None and isinstance(before.course, dict):
        stale = ("ended", "success", *(("stages", "gates", "kept") if retries else ()))
        record.course = {key: value for key, value in before.course.items() if key not in stale}
        if "stages" in record.course:
            record.n_trials = before.n_trials
    return record


def conclude(
    conductor: Conductor,
    spec: Spec,
    folder: SweepDir,
    record: SweepRecord,
    before: SweepRecord | None,
    only: frozenset[str],
) -> Outcome:
    """Write into the record how a driver ended, save it and return the outcome.

    Args:
        before: of the driver before if nothing was left to run; None if something ran.
        only: the only trials that were to run; empty for all.
    """
    success = None
    if _was_interrupted(conductor):
        record.state, record.reason = SweepState.INTERRUPTED, conductor.stop_reason
    else:
        record.state = SweepState.FINISHED
        record.reason = f"only {', '.join(sorted(only))}" if only else None
        if conductor.ending is not None:
            record.reason = conductor.ending.reason
        if spec.success and not only:
            trials = list(conductor.records.values())
            success = judge_success(spec.success, folder, trials, spec.metric)
            record.course["success"] = success.to_dict()
    stamp(record, before)
    record.save(folder)
    return Outcome(folder, record.state, conductor.records, conductor.ending, success)


def stamp(record: SweepRecord, before: SweepRecord | None = None) -> None:
    """Note when a sweep ended; if nothing was left to run, its earlier times stay."""
    record.ended_at = now()
    if before is not None:
        record.started_at, record.ended_at = before.started_at, before.ended_at


def _was_interrupted(conductor: Conductor) -> bool:
    """Return whether the user ended the sweep before it came to its own end."""
    reason = conductor.stop_reason
    if reason is None:
        return False
    if conductor.ending is None:
        return not conductor.trials.is_complete
    return any(
        record.state is TrialState.WAITING and record.reason == reason
        for record in conductor.records.values()
    )
