"""The course of a sweep: what was decided about it, the time it took, and what ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.files import format_duration
from orchestrator.runs import SweepRecord, TrialRecord, TrialState
from orchestrator.sweepfile.model import Spec

EVENTS = {"stages": "promotion", "gates": "gate", "kept": "improvement"}
"""The kinds of decisions, each with the name of its event."""

KEPT_EVERY_S = 30.0
"""How often the time spent is written down; a killed driver loses no more than this."""


@dataclass(frozen=True)
class Ending:
    """Why a sweep ends before everything in its file has run.

    Attributes:
        reason: for people.
        stops: True if running trials are asked to save and wait, too.
        exit_code: of the command; None leaves it to the trials.
    """

    reason: str
    stops: bool = False
    exit_code: int | None = None


class Decisions:
    """The decisions of a sweep, kept in the ``course`` of its ``state.json``.

    A killed driver may have written a decision down without acting on it, so whoever acts on one
    looks at the records for what has been done. ::

        {"stages": {"quick": {"words": ..., "trials": 12, "promoted": [3, 5]}},
         "gates": {"baseline": {"words": ..., "held": true}},
         "kept": {"more_dropout": {"words": ..., "kept": false}}}
    """

    def __init__(self, state: SweepRecord, log: SweepLog) -> None:
        self._state = state
        self._log = log

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the decision about `name`, or None."""
        found = self._state.course.get(kind, {}).get(name)
        return found if isinstance(found, dict) else None

    def note(self, kind: str, name: str, text: str, **facts: Any) -> dict[str, Any]:
        """Write down a decision of a kind (`EVENTS`) with its facts in JSON types; return it."""
        decided: dict[str, Any] = {"words": text, **facts}
        self._state.course.setdefault(kind, {})[name] = decided
        self._state.save(self._log.folder)
        self._log.emit(EVENTS[kind], **decided)
        return decided

    def value(self, name: str, default: Any) -> Any:
        """Return another entry of the course: ``spent``, ``shifts`` or ``ended``."""
        return self._state.course.get(name, default)

    def keep(self, name: str, value: Any) -> None:
        """Write such an entry down."""
        self._state.course[name] = value
        self._state.save(self._log.folder)


class TimeSpent:
    """Hours on the clock and GPU hours, of all drivers of a sweep together."""

    def __init__(
        self, decisions: Decisions, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        known = decisions.value("spent", {})
        self.hours = float(known.get("hours", 0.0))
        self.gpu_hours = float(known.get("gpu_hours", 0.0))
        self._decisions = decisions
        self._monotonic = monotonic
        self._last = self._kept = monotonic()

    def tick(self, gpus: int, *, is_last: bool = False) -> None:
        """Count the time since the last call, and write the sum down, at once if `is_last`.

        Trials held `gpus` GPUs meanwhile; one that two share counts for each.
        """
        now = self._monotonic()
        hours, self._last = (now - self._last) / 3600, now
        self.hours += hours
        self.gpu_hours += hours * gpus
        if is_last or now - self._kept >= KEPT_EVERY_S:
            self._kept = now
            self._decisions.keep(
                "spent", {"hours": round(self.hours, 5), "gpu_hours": round(self.gpu_hours, 5)}
            )


def is_timed(spec: Spec) -> bool:
    """Return whether a sweep may end by its budget while no trial ends."""
    return spec.budget.hours is not None or spec.budget.gpu_hours is not None


def limit_reached(
    spec: Spec, records: Collection[TrialRecord], spent: TimeSpent, *, last_stage: str | None = None
) -> Ending | None:
    """Return why a sweep ends by its budget or its target, or None if it continues.

    The target of the metric counts at `last_stage` only, if there is one.
    """
    budget, target = spec.budget, spec.metric.target if spec.metric else None
    limits = (budget.trials, budget.hours, budget.gpu_hours, budget.failures, target)
    if all(limit is None for limit in limits):
        return None
    finished = [record for record in records if record.state.is_finished]
    if budget.trials is not None and len(finished) >= budget.trials:
        return _used_up(f"{len(finished)} of {budget.trials} allowed trials ended", "trials")
    if budget.hours is not None and spent.hours >= budget.hours:
        return _used_up(f"{_hours(budget.hours)} have passed", "hours", stops=True)
    if budget.gpu_hours is not None and spent.gpu_hours >= budget.gpu_hours:
        used = f"{_hours(budget.gpu_hours)} of GPUs are used up"
        return _used_up(used, "gpu_hours", stops=True)
    row = _failures_in_a_row(finished)
    if budget.failures is not None and len(row) >= budget.failures:
        names = ", ".join(record.name for record in row[-3:])
        return Ending(
            f"budget: {_trials(len(row))} failed in a row, the last of them {names}. Fix the "
            "cause and run again with --retry-failed"
        )
    return _target_reached(spec, finished, last_stage)


def _used_up(what: str, key: str, *, stops: bool = False) -> Ending:
    return Ending(f"budget: {what}. To run more, raise budget.{key} and run it again", stops=stops)


def has_room(spec: Spec, records: Collection[TrialRecord], running: int) -> bool:
    """Return whether the budget allows one more trial, since the running ones will count too."""
    most = spec.budget.trials
    return most is None or sum(record.state.is_finished for record in records) + running < most


def _target_reached(
    spec: Spec, finished: Collection[TrialRecord], last_stage: str | None
) -> Ending | None:
    metric = spec.metric
    if metric is None or metric.target is None:
        return None
    for record in finished:
        counts = last_stage is None or record.stage == last_stage
        if record.state is not TrialState.COMPLETE or record.value is None or not counts:
            continue
        is_less = metric.goal == "minimize"
        if record.value <= metric.target if is_less else record.value >= metric.target:
            return Ending(
                f"target: trial {record.number} ({record.name}) reached {metric.name} "
                f"{record.value:.4g}, and {metric.target:g} was wanted"
            )
    return None


def _failures_in_a_row(finished: Collection[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that failed since the last one that did not, in the order of their end."""
    row: list[TrialRecord] = []
    for record in sorted(finished, key=lambda record: (record.ended_at or "", record.number)):
        if record.state is TrialState.FAIL:
            row.append(record)
        else:
            row.clear()
    return row


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _hours(hours: float) -> str:
    return f"{hours:g} h" if hours >= 1 else format_duration(hours * 3600)
