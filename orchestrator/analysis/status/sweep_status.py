"""The status of a sweep, read from its folder while it runs or afterwards.

Only small files are read, and only the ends of logs: `sweep status` must cost next to nothing
while a training runs. No numpy here for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.analysis.status.time_saved import savings
from orchestrator.analysis.status.trial_status import (
    TrialStatus,
    expected_durations,
    iso,
    parse_time,
    read_trial,
)
from orchestrator.errors import NotFoundError
from orchestrator.files import plain
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    load_trials,
)

_MOST_SWEEPS = 20  # the newest, searched for one of equal trials
_LAST_RUNS = 32  # of a sweep whose driver was killed, searched for the last sign of life


@dataclass(frozen=True)
class SweepStatus:
    """The status of a sweep.

    Attributes:
        state: one of `SweepState`, as it is now.
        reason: why it ended if it did not end well.
        counts: trials in every state; trials that the sweep will still make count as WAITING.
        trials: those that have a record.
        n_trials: how many there will be; None if unbounded.
        elapsed_s: seconds since it was started, or that it took.
        time_left_s: seconds until its end; None if unknown.
        ends_at: the same as a time, ISO 8601 UTC.
        placement: that of `SweepRecord`, as are `command` and `course`.
    """

    sweep: str
    path: Path
    state: str
    reason: str | None
    metric: str
    goal: str
    counts: Mapping[str, int]
    trials: tuple[TrialStatus, ...]
    n_trials: int | None
    elapsed_s: float | None
    time_left_s: float | None
    ends_at: str | None
    placement: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    course: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """True once nothing will change any more without a new `sweep run`."""
        return self.state != SweepState.RUNNING

    def to_dict(self) -> dict[str, Any]:
        """Return the status in JSON types; non-finite numbers become strings."""
        saved = savings(SweepDir(self.path), self.trials).to_dict()
        return dict(plain({**asdict(self), "saved": saved}))


def read_status(sweep: SweepDir, *, at: float | None = None) -> SweepStatus:
    """Return the status of `sweep` at a time, in seconds since 1970; by default now.

    Raises:
        NotFoundError: the folder holds no sweep, or its record cannot be read.
    """
    present = datetime.now(UTC).timestamp() if at is None else at
    record = SweepRecord.load(sweep)
    if record is None:
        raise NotFoundError(
            f"{sweep.path}: no sweep, since state.json is missing or cannot be read. "
            "Start it with `sweep run FILE`."
        )
    state = record.state_now(sweep)
    lives = state is SweepState.RUNNING
    records = load_trials(sweep, damaged=True)
    trials = tuple(
        read_trial(sweep, trial, lives=lives, metric=record.metric, present=present)
        for trial in records
    )
    if lives:
        trials = _with_expected(sweep, records, trials, present)
    counts = {each.value: 0 for each in TrialState}
    for trial in trials:
        counts[trial.state] += 1
    if record.n_trials is not None and state in (SweepState.RUNNING, SweepState.INTERRUPTED):
        counts["WAITING"] += max(0, record.n_trials - len(trials))
    left = _time_left(trials, counts["WAITING"], record.n_trials) if lives else None
    placement = record.placement
    if placement and not lives:
        placement = {**placement, "waiting": None}  # nothing waits without a driver
    return SweepStatus(
        sweep=record.sweep,
        path=sweep.path,
        state=state.value,
        reason=record.reason,
        metric=record.metric,
        goal=record.goal,
        counts=counts,
        trials=trials,
        n_trials=record.n_trials,
        elapsed_s=_elapsed(sweep, record, present if lives else None),
        time_left_s=left,
        ends_at=iso(present + left) if left is not None else None,
        placement=placement,
        command=record.command,
        course=record.course,
    )


def _with_expected(
    sweep: SweepDir, records: Sequence[TrialRecord], trials: tuple[TrialStatus, ...], present: float
) -> tuple[TrialStatus, ...]:
    """Return the trials; those without a pace take as long as such trials took before.

    Those are the complete ones of this sweep, else of an earlier one.
    """
    unknown = [one for one in trials if one.state == TrialState.RUNNING and one.time_left_s is None]
    if not unknown:
        return trials
    expected = expected_durations(records)
    if not expected:
        before = _sweep_before(sweep)
        expected = expected_durations(load_trials(before)) if before is not None else {}
    found = list(trials)
    for place, trial in enumerate(trials):
        per_step = expected.get(trial.stage) if trial in unknown else None
        if per_step is None or trial.elapsed_s is None or trial.attempt != 1:
            continue
        left = per_step * (trial.total_steps or 1) - trial.elapsed_s
        if left > 0:
            found[place] = replace(trial, time_left_s=left, ends_at=iso(present + left))
    return tuple(found)


def _sweep_before(sweep: SweepDir) -> SweepDir | None:
    """Return the sweep that ``--new`` was given next to, else the newest of equal trials, if any.

    Trials are equal if they have the same trainer or program and the same fixed parameters.
    """
    name, _, number = sweep.name.rpartition("-")
    if name and number.isdecimal():
        before = sweep.path.with_name(f"{name}-{int(number) - 1}" if int(number) > 2 else name)
        if before.is_dir():
            return SweepDir(before)
    own = _what_runs(sweep)
    others = [one for one in SweepDir.all_in(sweep.path.parent) if one.name != sweep.name]
    return next((one for one in others[:_MOST_SWEEPS] if own and _what_runs(one) == own), None)


def _what_runs(sweep: SweepDir) -> list[Any]:
    spec = SweepRecord.load_spec(sweep)
    return [spec.get(key) for key in ("trainer", "program", "fixed")] if spec else []


def _time_left(trials: Sequence[TrialStatus], waiting: int, n_trials: int | None) -> float | None:
    """Return the seconds until the last trial ends, or None if that is not known yet.

    Waiting trials take as long as the mean of the complete ones, or else of those that run, and
    share as many places as are taken now.
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if n_trials is None or not running:
        return None
    durations = [
        trial.elapsed_s
        for trial in trials
        if trial.state == TrialState.COMPLETE and trial.elapsed_s is not None
    ] or [
        trial.elapsed_s + trial.time_left_s
        for trial in running
        if trial.elapsed_s is not None and trial.time_left_s is not None
    ]
    if not durations:
        return None
    mean = sum(durations) / len(durations)
    lefts = [
        max(0.0, mean - (trial.elapsed_s or 0.0))
        if trial.time_left_s is None
        else trial.time_left_s
        for trial in running
    ]
    return max(*lefts, (sum(lefts) + waiting * mean) / len(running))


def _elapsed(sweep: SweepDir, record: SweepRecord, present: float | None) -> float | None:
    """Return the seconds between the start of a sweep and `present`, or its end if that is None."""
    started = parse_time(record.started_at)
    ended = present if present is not None else parse_time(record.ended_at)
    if started is not None and ended is None:
        # A driver that was killed recorded no end; what was written last is the best guess.
        files = [sweep.events_file, *(run.metrics_file for run in sweep.run_dirs()[-_LAST_RUNS:])]
        ended = max((path.stat().st_mtime for path in files if path.exists()), default=None)
    return None if started is None or ended is None else max(0.0, ended - started)
