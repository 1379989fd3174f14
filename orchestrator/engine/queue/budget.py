"""What bounds a whole sweep: its budget, and the target of its metric."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from orchestrator.engine.queue.decisions import Ending
from orchestrator.files import format_duration
from orchestrator.runs import TrialRecord, TrialState
from orchestrator.sweepfile.model import Budget, Spec

KEPT_EVERY_S = 30.0
"""How often it is written down what was spent; a killed driver loses no more."""


class Spent:
    """Hours on the clock and hours of GPUs, of all drivers of a sweep together.

    Args:
        course: where it is kept, under ``spent``; changed in place.
        save: writes it down.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self,
        course: dict[str, Any],
        save: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        known = course.get("spent", {})
        self.hours = float(known.get("hours", 0.0))
        self.gpu_hours = float(known.get("gpu_hours", 0.0))
        self._course = course
        self._save = save
        self._monotonic = monotonic
        self._last = self._kept = monotonic()

    def tick(self, gpus: int, *, is_last: bool = False) -> None:
        """Count the time since the last call.

        Args:
            gpus: how many GPUs trials held meanwhile; one that two share counts for each.
            is_last: True writes it down at once.
        """
        now = self._monotonic()
        hours, self._last = (now - self._last) / 3600, now
        self.hours += hours
        self.gpu_hours += hours * gpus
        if is_last or now - self._kept >= KEPT_EVERY_S:
            self._kept = now
            spent = {"hours": round(self.hours, 5), "gpu_hours": round(self.gpu_hours, 5)}
            self._course["spent"] = spent
            self._save()


class Limits:
    """Tells when a sweep has had enough. A function of the records, and of what was spent.

    Args:
        spec: what was asked.
        spent: by all drivers.
        last_stage: the stage on which the target of the metric counts; None where there is none.
    """

    def __init__(self, spec: Spec, spent: Spent, *, last_stage: str | None = None) -> None:
        self._spec = spec
        self._spent = spent
        self._last_stage = last_stage

    @property
    def is_timed(self) -> bool:
        """True where the sweep may end without any trial's doing."""
        budget = self._spec.budget
        return budget.hours is not None or budget.gpu_hours is not None

    def ending(self, records: Collection[TrialRecord]) -> Ending | None:
        """Return why the sweep ends by what its trials came to, or None where it goes on."""
        budget, metric = self._spec.budget, self._spec.metric
        if budget == Budget() and (metric is None or metric.target is None):
            return None
        finished = [record for record in records if record.state.is_finished]
        if budget.trials is not None and len(finished) >= budget.trials:
            return Ending(
                f"budget: {_trials(len(finished))} have ended, of {budget.trials} allowed"
            )
        if budget.hours is not None and self._spent.hours >= budget.hours:
            return Ending(f"budget: {_hours(budget.hours)} have passed", stops=True)
        if budget.gpu_hours is not None and self._spent.gpu_hours >= budget.gpu_hours:
            words = f"budget: {_hours(budget.gpu_hours)} of GPUs are used up"
            return Ending(words, stops=True)
        row = failures_in_a_row(finished)
        if budget.failures is not None and len(row) >= budget.failures:
            names = ", ".join(record.name for record in row[-3:])
            return Ending(
                f"budget: {_trials(len(row))} failed in a row, the last of them {names}. Mend the "
                "cause and run again with --retry-failed"
            )
        return self._reached(finished)

    def has_room(self, records: Collection[TrialRecord], live: int) -> bool:
        """Tell whether one more trial may run: those that run will end, and count then.

        Args:
            records: all trials.
            live: how many run now.
        """
        most = self._spec.budget.trials
        if most is None:
            return True
        finished = sum(record.state.is_finished for record in records)
        return finished + live < most

    def _reached(self, finished: Collection[TrialRecord]) -> Ending | None:
        metric = self._spec.metric
        if metric is None or metric.target is None:
            return None
        for record in finished:
            counts = self._last_stage is None or record.stage == self._last_stage
            if record.state is not TrialState.COMPLETE or record.value is None or not counts:
                continue
            is_less = metric.goal == "minimize"
            if record.value <= metric.target if is_less else record.value >= metric.target:
                word = f"{metric.name} {record.value:.4g}"
                return Ending(
                    f"target: trial {record.number} ({record.name}) reached {word}, and "
                    f"{metric.target:g} was wanted"
                )
        return None


def failures_in_a_row(finished: Collection[TrialRecord]) -> list[TrialRecord]:
    """Return the failed trials since the last one that did not fail, by the time of their end."""
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
