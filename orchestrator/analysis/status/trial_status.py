"""The status of one trial, read from its record and the end of its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.runs import SweepDir, TrialRecord, TrialState
from orchestrator.runs.read import open_run

# Driver and child read the clock one after the other.
_SLACK_S = 1.0


@dataclass(frozen=True)
class TrialStatus:
    """The status of one trial.

    Attributes:
        number: place in the sweep, from 0.
        state: one of `TrialState`, as it is now.
        step: step of the last report; None before the first.
        total_steps: how many steps it will report; None if unknown.
        metrics: those of the last report, and the sweep's metric as it was recorded at the end.
        progress: what it does before the first report of this attempt, or None.
        elapsed_s: seconds that the present or last attempt took so far; None before the first.
        time_left_s: seconds until its end at the pace of this attempt; None if unknown.
        ends_at: the same as a time, ISO 8601 UTC.
        attempt: which try this is, from 1; 0 before the first.
        warnings: what the user should know.
        need: the memory that it takes, and where that number comes from (`TrialRecord.need`).
        stage, origin, link, symptom: see `TrialRecord`.
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
    stage: str | None = None
    origin: int | None = None
    link: str | None = None
    symptom: str | None = None


def read_trial(
    sweep: SweepDir, record: TrialRecord, *, lives: bool, metric: str, present: float
) -> TrialStatus:
    """Return the status of one trial.

    Args:
        sweep: the folder of its sweep.
        record: what the driver wrote of it.
        lives: whether the driver lives; without it nothing runs.
        metric: the metric that ranks the sweep; "" if there is none.
        present: the moment that counts as now, in seconds since 1970.
    """
    run = sweep.run_dir(record.number, record.name)
    stored = open_run(run.path, record)
    state, reason = record.state_now(lives)
    runs = state is TrialState.RUNNING
    started = parse_time(record.started_at)
    ended = parse_time(record.ended_at)
    reports = stored.last_reports(all_in_tail=runs) if record.attempt or started else []
    last = reports[-1] if reports else {}
    step = _step(last)
    said_at = parse_time(last.get("time"))
    # Until an attempt reports, the log still holds the one before.
    silent = step is None or (started is not None and (said_at or 0.0) < started - _SLACK_S)
    metadata: dict[str, Any] = {}
    if runs and (record.total_steps is None or silent):
        metadata = stored.metadata
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
        ends_at=iso(present + left) if left is not None else None,
        attempt=record.attempt,
        warnings=tuple(str(text) for text in record.warnings),
        need=record.need if isinstance(record.need, dict) else {},
        stage=record.stage,
        origin=record.origin,
        link=record.link,
        symptom=record.symptom,
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


def iso(moment: float) -> str:
    """Return seconds since 1970 as a time, ISO 8601 UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
