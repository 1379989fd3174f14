"""What bounds a whole sweep: its budget, and the target of its metric."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.files import format_duration
from orchestrator.runs import TrialRecord, TrialState
from orchestrator.sweepfile.model import Spec

KEPT_EVERY_S = 30.0
"""How often the time spent is written down; a killed driver loses no more than this."""


class TimeSpent:
    """Hours on the clock and hours of GPUs, of all drivers of a sweep together."""

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
        """Count the time since the last call.

        Args:
            gpus: how many GPUs trials held meanwhile; one that two share counts for each.
            is_last: True writes the sum down at once.
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

    Args:
        spent: by all drivers.
        last_stage: the stage at which the target of the metric counts; None if there is none.
    """
    budget, target = spec.budget, spec.metric.target if spec.metric else None
    limits = (budget.trials, budget.hours, budget.gpu_hours, budget.failures, target)
    if all(limit is None for limit in limits):
        return None
    finished = [record for record in records if record.state.is_finished]
    if budget.trials is not None and len(finished) >= budget.trials:
        return Ending(f"budget: {_trials(len(finished))} have ended, of {budget.trials} allowed")
    if budget.hours is not None and spent.hours >= budget.hours:
        return Ending(f"budget: {_hours(budget.hours)} have passed", stops=True)
    if budget.gpu_hours is not None and spent.gpu_hours >= budget.gpu_hours:
        return Ending(f"budget: {_hours(budget.gpu_hours)} of GPUs are used up", stops=True)
    row = failures_in_a_row(finished)
    if budget.failures is not None and len(row) >= budget.failures:
        names = ", ".join(record.name for record in row[-3:])
        return Ending(
            f"budget: {_trials(len(row))} failed in a row, the last of them {names}. Fix the "
            "cause and run again with --retry-failed"
        )
    return _target_reached(spec, finished, last_stage)


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


def failures_in_a_row(finished: Collection[TrialRecord]) -> list[TrialRecord]:
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
