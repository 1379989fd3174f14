"""How long the trials of a sweep take and how many are left; how long it waits for memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from orchestrator.engine.slots.machine import Machine
from orchestrator.placement.admission import Durations, Waiting
from orchestrator.placement.concurrency import Window
from orchestrator.runs import TrialRecord, TrialState

COSTS_AT_MOST = 0.05
"""Part of the rest of a sweep that a measurement may cost."""

FROM_SHARE = 0.05
"""Part of a trial after which its speed shows how long it takes."""

CALM_S = 3.0
"""How long nothing must be missing before the waiting is over, if nothing starts. While a trial
that has ended still has its slot, its memory seems to be there twice."""


@dataclass
class _Running:
    record: TrialRecord
    since: float
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None
    learned_at: int = 0  # the step at which its pace was last taken in

    def whole_s(self) -> float | None:
        """Return how long the trial takes if it continues as since its first report.

        None before it has done a twentieth of its steps: what comes before the first report, such
        as making data, shows nothing of the rest.
        """
        steps = self.record.total_steps
        if self.first is None or self.last is None or not steps:
            return None
        (low, start), (high, end) = self.first, self.last
        if high <= low or high - low < FROM_SHARE * steps:
            return None
        rest = max(0, steps - low) * (end - start) / (high - low)
        return start - self.since + rest


class SweepTiming:
    """Follows the trials of a sweep through their starts, reports and ends.

    All calls take `now` from one clock that never goes back, in seconds. An unbounded sweep has
    None trials.
    """

    def __init__(self, n_trials: int | None, window: Window | None = None) -> None:
        self._n_trials = n_trials
        self._window = window or Window()
        self._running: dict[str, _Running] = {}
        self._over: set[int] = set()
        self._durations = Durations()

    def restore(self, records: Iterable[TrialRecord]) -> None:
        """Learn from the trials of an interrupted sweep."""
        for record in records:
            if not record.state.is_finished:
                continue
            self._over.add(record.number)
            if record.state is TrialState.COMPLETE and is_whole(record):
                self._durations.learn(_known(record.config, record.stage), _seconds(record))

    def started(self, attempt_id: str, record: TrialRecord, now: float) -> None:
        """Note that an attempt starts."""
        self._over.discard(record.number)
        self._running[attempt_id] = _Running(record, now)

    def reported(self, attempt_id: str, step: int, now: float) -> None:
        """Note how far a trial is."""
        running = self._running.get(attempt_id)
        if running is not None:
            running.first = running.first or (step, now)
            running.last = (step, now)
            # At a twentieth of its steps, and again whenever they have doubled.
            whole_s = running.whole_s() if step >= 2 * running.learned_at else None
            if whole_s is not None and is_whole(running.record):
                running.learned_at = step
                self._learn(attempt_id, running, whole_s)

    def ended(self, attempt_id: str, now: float, *, is_typical: bool) -> None:
        """Note that an attempt is over; `is_typical` if it ran from its start to a good end."""
        running = self._running.pop(attempt_id, None)
        if running is None:
            return
        self._over.add(running.record.number)
        if is_typical:
            self._learn(attempt_id, running, now - running.since)

    def _learn(self, attempt_id: str, running: _Running, took_s: float) -> None:
        record = running.record
        self._durations.learn(_known(record.config, record.stage), took_s, attempt_id)

    def expect(self, config: Mapping[str, Any], stage: str | None = None) -> float | None:
        """Return how many seconds a trial is expected to take; None while nobody knows."""
        return self._durations.expect(_known(config, stage))

    def remaining_s(self, now: float, at_once: int) -> float | None:
        """Return how long the sweep still runs with so many at once; None if nobody knows."""
        each = self._durations.mean_s
        if each is None:
            known = [whole for one in self._running.values() if (whole := one.whole_s())]
            each = min(known, default=None)
        if each is None:
            return None
        rest = sum(max(0.0, each - (now - one.since)) for one in self._running.values())
        return (self._waiting() * each + rest) / at_once

    def pays(self, now: float, at_once: int, fewer: int) -> Literal["yes", "free", "no"]:
        """Return whether it pays to measure `fewer` at once while `at_once` run.

        Leaving slots empty costs at most as much as they would get done if trials did not slow each
        other down. If nothing waits any more they are empty anyway.
        """
        if self._waiting() == 0:
            return "free"
        remaining = self.remaining_s(now, at_once)
        cost_s = self._window.noisy_s * (1 - fewer / at_once)
        return "yes" if remaining and cost_s <= COSTS_AT_MOST * remaining else "no"

    def _waiting(self) -> float:
        """Return how many trials have yet to start."""
        if self._n_trials is None:
            return math.inf
        return max(0, self._n_trials - len(self._over) - len(self._running))


def is_whole(record: TrialRecord) -> bool:
    """Return whether the present attempt runs a trial from its start."""
    return record.attempt == 1 and not record.from_checkpoint


def _known(config: Mapping[str, Any], stage: str | None) -> dict[str, Any]:
    """Return what may show how long a trial takes; no parameter is named like the stage here."""
    return {**config, "(stage)": stage}


def _seconds(record: TrialRecord) -> float:
    try:
        started = datetime.fromisoformat(record.started_at or "")
        return (datetime.fromisoformat(record.ended_at or "") - started).total_seconds()
    except ValueError:
        return 0.0


class WaitingLog:
    """Follows why nothing starts (`now`; None for nothing), from one decision to the next.

    It may wait for `timeout_s`; None waits for ever.
    """

    def __init__(self, machine: Machine, timeout_s: float | None = None) -> None:
        self.now: Waiting | None = None
        self._machine = machine
        self._timeout_s = timeout_s
        self._calm_from: float | None = None

    def close(self) -> None:
        """Note that nothing is waited for any more."""
        self.now = None

    def note(
        self, found: Waiting | None, *, starts: bool
    ) -> tuple[Literal["waiting", "waited"], dict[str, Any]] | None:
        """Note why the next trial has to wait, and return the event to log with its facts."""
        before = self.now
        if before is not None and not starts:
            if found is None and not self._is_calm():
                return None
            found = None if found is None else replace(found, since=before.since)
        self._calm_from = None
        self.now = found
        if found is not None and before is None:
            return "waiting", {**found.to_dict(), "words": str(found)}
        if found is None and before is not None:
            return "waited", {"seconds": round(before.waited_s(self._machine.clock()), 1)}
        return None

    @property
    def timeout_message(self) -> str:
        """The message that ends the waiting; "" while it may continue."""
        if self.now is None or self._timeout_s is None:
            return ""
        is_over = self.now.is_over(self._machine.clock(), self._timeout_s)
        return self.now.timeout_message(self._timeout_s) if is_over else ""

    def _is_calm(self) -> bool:
        """Return whether nothing has been missing for long enough."""
        now = self._machine.monotonic()
        if self._calm_from is None:
            self._calm_from = now
        return now - self._calm_from >= CALM_S
