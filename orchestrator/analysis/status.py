"""How the trials of a sweep stand, read from its folder while it runs or afterwards.

Only small files are read, and of the logs only their ends: `sweep status` must cost next to
nothing beside a training. No numpy here for the same reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError
from orchestrator.files import atomic
from orchestrator.files.atomic import plain
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import (
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    load_trials,
    state_now,
)

_TAIL_BYTES = 16_384
_LAST_RUNS = 32  # of a sweep whose driver was killed, where the last sign of life is looked for
# Driver and child read the clock one after the other.
_SLACK_S = 1.0


@dataclass(frozen=True)
class TrialStatus:
    """How one trial stands.

    Attributes:
        number: place in the sweep, from 0.
        name: the trial's name.
        state: one of the words of `TrialState`.
        reason: why it stands there, or None.
        step: step of the last report; None before the first.
        total_steps: how many steps it will report; None where unknown.
        metrics: those of the last report, and the sweep's metric as it was told at the end.
        config: the values that the sweep gave.
        progress: what it does before the first report of this attempt, or None.
        elapsed_s: seconds that the present or last attempt took so far; None before the first.
        time_left_s: seconds until its end at the pace of this attempt; None where unknown.
        ends_at: the same as a time, ISO 8601 UTC.
        attempt: which try this is, from 1; 0 before the first.
        warnings: what the user should know.
        need: the memory that it takes, and where that number comes from (`TrialRecord.need`).
    """

    number: int
    name: str
    state: str
    reason: str | None = None
    step: int | None = None
    total_steps: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    progress: str | None = None
    elapsed_s: float | None = None
    time_left_s: float | None = None
    ends_at: str | None = None
    attempt: int = 0
    warnings: tuple[str, ...] = ()
    need: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SweepStatus:
    """How a sweep stands.

    Attributes:
        sweep: its name.
        path: its folder.
        state: one of the words of `SweepState`, as it is now.
        reason: why it ended where it did not end well.
        metric: the metric that ranks.
        goal: ``"minimize"`` or ``"maximize"``.
        counts: trials in each state, every state named; trials that the sweep will still make are
            among WAITING.
        trials: those that have a record, by number.
        n_trials: how many there will be; None where unbounded.
        elapsed_s: seconds since it was started, or that it took.
        time_left_s: seconds until its end; None where unknown.
        ends_at: the same as a time, ISO 8601 UTC.
        placement: what it waits for, what growth found, and whether it fell back
            (`SweepRecord.placement`); {} for nothing.
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

    @property
    def is_over(self) -> bool:
        """True once nothing will change any more without a new `sweep run`."""
        return self.state != SweepState.RUNNING

    def to_dict(self) -> dict[str, Any]:
        """Return the status in JSON types; non-finite numbers become strings."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["trials"] = [
            {name: getattr(trial, name) for name in trial.__dataclass_fields__}
            for trial in self.trials
        ]
        return dict(plain(values))


def read_status(sweep: SweepDir, *, at: float | None = None) -> SweepStatus:
    """Return how `sweep` stands.

    Args:
        sweep: its folder.
        at: the present time, in seconds since 1970; the clock's by default.

    Raises:
        NotFoundError: the folder holds no sweep, or its record cannot be read.
    """
    present = datetime.now(UTC).timestamp() if at is None else at
    record = SweepRecord.load(sweep)
    if record is None:
        raise NotFoundError(
            f"{sweep.path}: must hold a sweep, but its state.json is missing or cannot be read. "
            "Start it with `sweep run FILE`."
        )
    state = state_now(sweep, record)
    lives = state is SweepState.RUNNING
    trials = tuple(
        _trial_status(sweep, trial, lives, record.metric, present) for trial in load_trials(sweep)
    )
    counts = {word.value: 0 for word in TrialState}
    for trial in trials:
        counts[trial.state] += 1
    if record.n_trials is not None and state in (SweepState.RUNNING, SweepState.INTERRUPTED):
        counts["WAITING"] += max(0, record.n_trials - len(trials))
    left = _time_left(trials, counts["WAITING"], record.n_trials) if lives else None
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
        elapsed_s=_elapsed(sweep, record, lives, present),
        time_left_s=left,
        ends_at=_iso(present + left) if left is not None else None,
        placement=_placement(record, lives),
    )


def _placement(record: SweepRecord, lives: bool) -> dict[str, Any]:
    """Return what placement has to say; nobody waits any more once the driver is gone."""
    said = record.placement if isinstance(record.placement, dict) else {}
    return said if lives or not said else said | {"waiting": None}


def _trial_status(
    sweep: SweepDir, record: TrialRecord, lives: bool, metric: str, present: float
) -> TrialStatus:
    run = sweep.run_dir(record.number, record.name)
    state, reason = record.state, record.reason
    if state is TrialState.RUNNING and not lives:
        state, reason = TrialState.WAITING, "interrupted"
    runs = state is TrialState.RUNNING
    started = parse_time(record.started_at)
    ended = parse_time(record.ended_at)
    reports = _read_tail(run.metrics_file, whole=runs) if record.attempt or started else []
    last = reports[-1] if reports else {}
    step = _step(last)
    said_at = parse_time(last.get("time"))
    # Until an attempt reports, the log still holds the one before.
    silent = step is None or (started is not None and (said_at or 0.0) < started - _SLACK_S)
    metadata: dict[str, Any] = {}
    if runs and (record.total_steps is None or silent):
        metadata = atomic.read_json(run.metadata_file) or {}
    total = record.total_steps
    if total is None and isinstance(metadata.get("total_steps"), int):
        total = metadata["total_steps"]
    metrics = _numbers(last.get("metrics"))
    if state.is_finished and metric and record.value is not None:
        metrics.update(_numbers({metric: record.value}))
    left = _trial_left(reports, started, total, present) if runs else None
    elapsed = None
    if started is not None:
        until = present if runs else ended if ended is not None else said_at
        elapsed = max(0.0, until - started) if until is not None else None
    progress = metadata.get("progress")
    return TrialStatus(
        number=record.number,
        name=record.name,
        state=state.value,
        reason=reason,
        step=step,
        total_steps=total,
        metrics=metrics,
        config=record.config,
        progress=progress if runs and silent and isinstance(progress, str) else None,
        elapsed_s=elapsed,
        time_left_s=left,
        ends_at=_iso(present + left) if left is not None else None,
        attempt=record.attempt,
        warnings=tuple(str(text) for text in record.warnings),
        need=record.need if isinstance(record.need, dict) else {},
    )


def _trial_left(
    reports: Sequence[Mapping[str, Any]], started: float | None, total: int | None, present: float
) -> float | None:
    """Return the seconds that are left at the pace of this attempt.

    The pace is taken between reports where there are two, since the first also waits for data and
    compilation. A resumed attempt begins at a later step, so only its own reports count.
    """
    if total is None:
        return None
    points = [(step, moment) for report in reports for step, moment in _point(report)]
    own = [point for point in points if started is None or point[1] >= started - _SLACK_S]
    if not own:
        return None
    step, moment = own[-1]
    first_step, first_moment = own[0]
    if step <= first_step:
        if started is None:
            return None
        before = [point for point in points if point not in own]
        first_step = before[-1][0] if before and before[-1][0] < step else 0
        first_moment = started
    if step <= first_step:
        return None
    pace = max(0.0, moment - first_moment) / (step - first_step)
    return max(0.0, pace * (total - step) - (present - moment))


def _time_left(trials: Sequence[TrialStatus], waiting: int, n_trials: int | None) -> float | None:
    """Return the seconds until the last trial ends, or None where that cannot be told yet.

    Waiting trials take as long as the mean of the complete ones, or else of those that run, and
    share as many places as are taken now.
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if n_trials is None or not running:
        return None
    lefts = [trial.time_left_s for trial in running if trial.time_left_s is not None]
    wholes = [
        trial.elapsed_s
        for trial in trials
        if trial.state == TrialState.COMPLETE and trial.elapsed_s is not None
    ] or [
        trial.elapsed_s + trial.time_left_s
        for trial in running
        if trial.elapsed_s is not None and trial.time_left_s is not None
    ]
    if not wholes:
        return None
    mean = sum(wholes) / len(wholes)
    lefts += [
        max(0.0, mean - (trial.elapsed_s or 0.0)) for trial in running if trial.time_left_s is None
    ]
    return max(*lefts, (sum(lefts) + waiting * mean) / len(running))


def _elapsed(sweep: SweepDir, record: SweepRecord, lives: bool, present: float) -> float | None:
    started = parse_time(record.started_at)
    if started is None:
        return None
    ended = present if lives else parse_time(record.ended_at)
    if ended is None:
        # A driver that was killed could not say when; what was written last can.
        files = [sweep.events_file, *(run.metrics_file for run in sweep.run_dirs()[-_LAST_RUNS:])]
        written = [path.stat().st_mtime for path in files if path.exists()]
        if not written:
            return None
        ended = max(written)
    return max(0.0, ended - started)


def _read_tail(path: Path, *, whole: bool) -> list[dict[str, Any]]:
    """Return the last report in `path`, or with `whole` all those in its last 16 KiB."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL_BYTES))
            lines = stream.read().split(b"\n")
    except OSError:
        return []
    records: list[dict[str, Any]] = []
    for line in reversed(lines):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
            if not whole:
                break
    return records[::-1]


def _point(report: Mapping[str, Any]) -> list[tuple[int, float]]:
    step, moment = _step(report), parse_time(report.get("time"))
    return [(step, moment)] if step is not None and moment is not None else []


def _step(report: Mapping[str, Any]) -> int | None:
    step = report.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def _numbers(value: Any) -> dict[str, float]:
    """Return the numbers in a report's metrics; "nan" stands for one in JSON."""
    found = {}
    for name, item in value.items() if isinstance(value, Mapping) else ():
        if isinstance(item, str) and item in ("nan", "inf", "-inf"):
            found[str(name)] = float(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            found[str(name)] = item
    return found


def parse_time(value: Any) -> float | None:
    """Return seconds since 1970 for such a number or an ISO 8601 text, None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        # Our times carry their zone; one without is UTC too.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
