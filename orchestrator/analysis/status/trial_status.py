"""The status of one trial, read from its record and the end of its log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.files import atomic
from orchestrator.placement import CPU
from orchestrator.runs import SweepDir, TrialRecord, TrialState
from orchestrator.runs.read import StoredRun, open_run

_LARGEST = 1 << 53  # of a step; beyond it a float is not exact
_LATEST = 2.5e11  # seconds since 1970: no calendar goes further than the year 9999
# Driver and child read the clock one after the other.
_SLACK_S = 1.0
# More durations would change their mean by little and take long to read.
_MOST_DURATIONS = 200
_COPIED = ("number", "name", "config", "attempt", "stage", "origin", "link", "symptom", "node")


@dataclass(frozen=True)
class TrialStatus:
    """The status of one trial; attributes not described here are those of `TrialRecord`.

    Attributes:
        state: one of `TrialState`, as it is now.
        step: step of the last report; None before the first.
        total_steps: how many steps it will report; None if unknown.
        metrics: those of the last report, and the sweep's metric as it was recorded at the end.
        progress: what it does before the first report of this attempt, or None.
        elapsed_s: seconds that the present or last attempt took so far; None before the first.
        time_left_s: seconds until its end at the pace of this attempt, or as long as such trials
            took before it has a pace; None if unknown.
        ends_at: the same as a time, ISO 8601 UTC.
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
    node: str = ""


def read_trial(
    sweep: SweepDir, record: TrialRecord, *, lives: bool, metric: str, present: float
) -> TrialStatus:
    """Return the status of one trial.

    Args:
        sweep: its sweep.
        record: what the driver wrote about it.
        lives: whether the driver lives; without it nothing runs.
        metric: the sweep's; "" if there is none.
        present: seconds since 1970.
    """
    stored = open_run(sweep.run_dir(record.number, record.name).path, record)
    state, reason = record.state_now(lives)
    runs = state is TrialState.RUNNING
    started, ended = parse_time(record.started_at), parse_time(record.ended_at)
    reports = stored.last_reports(all_in_tail=runs) if record.attempt or started else []
    last = reports[-1] if reports else {}
    step, reported = _step(last), parse_time(last.get("time"))
    # Until an attempt reports, the log still holds the one before.
    silent = step is None or (started is not None and (reported or 0.0) < started - _SLACK_S)
    total = record.total_steps
    metadata = stored.metadata if runs and (total is None or silent) else {}
    if total is None and isinstance(metadata.get("total_steps"), int):
        total = metadata["total_steps"]
    progress = metadata.get("progress")
    metrics = numeric(last.get("metrics"))
    if state.is_finished and metric and record.value is not None:
        metrics |= numeric({metric: record.value})
    left = _time_left(reports, started, total, present) if runs else None
    until = present if runs else ended if ended is not None else reported
    return TrialStatus(
        **{name: getattr(record, name) for name in _COPIED},
        state=state.value,
        reason=reason,
        step=step,
        total_steps=total,
        metrics=metrics,
        progress=progress if runs and silent and isinstance(progress, str) else None,
        elapsed_s=None if started is None or until is None else max(0.0, until - started),
        time_left_s=left,
        ends_at=iso(present + left) if left is not None else None,
        warnings=tuple(record.warnings_now(runs=runs)),
        need=_need(record, stored),
    )


def _need(record: TrialRecord, stored: StoredRun) -> Mapping[str, Any]:
    """Return the memory need of a trial; once it ended, what it took if nobody knew before."""
    need = record.need
    if not need or need.get("memory_mib") is not None or not record.state.is_finished:
        return need
    on_gpu = (record.slot or {}).get("device", CPU) != CPU
    peak = stored.metadata.get("peak_gpu_memory_mib" if on_gpu else "peak_memory_mib")
    if not isinstance(peak, int | float) or not math.isfinite(peak):
        return need
    return {**need, "memory_mib": round(peak), "source": "measured", "peak_mib": peak}


def _time_left(
    reports: Sequence[Mapping[str, Any]], started: float | None, total: int | None, present: float
) -> float | None:
    """Return the seconds that are left at the pace of this attempt; None before it is known.

    The pace is taken between its own reports: the first one also waits for data and compilation,
    and a resumed attempt begins at a later step.
    """
    points = [
        (step, moment)
        for report in reports
        if (step := _step(report)) is not None
        and (moment := parse_time(report.get("time"))) is not None
    ]
    earliest = -math.inf if started is None else started - _SLACK_S
    own = [point for point in points if point[1] >= earliest]
    if total is None or not own:
        return None
    (first_step, began), (step, moment) = own[0], own[-1]
    if step <= first_step:
        return None
    pace = max(0.0, moment - began) / (step - first_step)
    return max(0.0, pace * (total - step) - (present - moment))


def _step(report: Mapping[str, Any]) -> int | None:
    step = report.get("step")
    if not isinstance(step, int) or isinstance(step, bool):
        return None
    return step if 0 <= step < _LARGEST else None


def numeric(value: Any) -> dict[str, float]:
    """Return the numbers in a report's metrics; JSON has strings for non-finite ones."""
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
        return float(value) if 0 <= value < _LATEST else None
    try:
        moment = datetime.fromisoformat(value)
        # Our times carry their zone; one without is UTC too.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def iso(moment: float) -> str:
    """Return seconds since 1970 as a time, ISO 8601 UTC."""
    return datetime.fromtimestamp(min(moment, _LATEST), UTC).isoformat(timespec="seconds")


def complete_durations(sweep: SweepDir, stage: str | None, *, on_cpu: bool) -> list[float]:
    """Return the seconds that complete trials took at a stage on a CPU or GPU, the last first.

    Trials that continued from a checkpoint are left out: their last attempt is not all.
    """
    found: list[float] = []
    for run in reversed(sweep.run_dirs()):
        record = TrialRecord.load(run)
        if record is None or record.state is not TrialState.COMPLETE:
            continue
        if record.attempt > 1 or record.stage != stage:
            continue
        if ((record.slot or {}).get("device") == "cpu") is not on_cpu:
            continue
        took = (atomic.read_json(run.metadata_file) or {}).get("duration_s")
        if isinstance(took, int | float) and not isinstance(took, bool) and 0 < took < math.inf:
            found.append(float(took))
        if len(found) == _MOST_DURATIONS:
            break
    return found


def expected_durations(trials: Iterable[TrialRecord]) -> dict[str | None, float]:
    """Return by stage how many seconds trials took per step, or in all if they count no steps.

    Only complete trials count that ran in one attempt.
    """
    found: dict[str | None, list[float]] = {}
    for record in trials:
        started, ended = parse_time(record.started_at), parse_time(record.ended_at)
        if record.state is not TrialState.COMPLETE or record.attempt != 1 or record.from_checkpoint:
            continue
        if started is not None and ended is not None and ended > started:
            found.setdefault(record.stage, []).append((ended - started) / (record.total_steps or 1))
    return {stage: sum(each) / len(each) for stage, each in found.items()}
