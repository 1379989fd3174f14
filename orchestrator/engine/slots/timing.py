"""How fast a sweep goes: how long its trials take, how many are left, and for how long.

The waiting of a sweep for memory that others hold: when it began, and when it is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from orchestrator.engine.slots.device_state import Tell
from orchestrator.placement.admission import Durations, Waiting
from orchestrator.placement.concurrency import Window
from orchestrator.runs import TrialRecord, TrialState

COSTS_AT_MOST = 0.05
"""Part of what is left of a sweep that a measurement may cost."""

FROM_SHARE = 0.05
"""Part of a trial after which its pace tells how long it takes."""


@dataclass
class _Running:
    number: int
    config: Mapping[str, Any]
    since: float
    total_steps: int | None = None
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None

    def whole_s(self) -> float | None:
        """Return how long the trial takes if it goes on as since its first report.

        None before it has done a twentieth of its steps: what comes before the first report, such
        as making data, says nothing of the rest.
        """
        if self.first is None or self.last is None or not self.total_steps:
            return None
        (low, start), (high, end) = self.first, self.last
        if high <= low or high - low < FROM_SHARE * self.total_steps:
            return None
        rest = max(0, self.total_steps - low) * (end - start) / (high - low)
        return start - self.since + rest


class SweepTiming:
    """Follows the trials of a sweep through their starts, reports and ends.

    Args:
        n_trials: of the sweep; None where it is unbounded.
        window: how much a measurement takes.
    """

    def __init__(self, n_trials: int | None, window: Window | None = None) -> None:
        self._n_trials = n_trials
        self._window = window or Window()
        self._running: dict[str, _Running] = {}
        self._over: set[int] = set()
        self._durations = Durations()
        self._expected: dict[int, float | None] = {}

    def restore(self, records: Iterable[TrialRecord]) -> None:
        """Take over what trials of an interrupted sweep took."""
        for record in records:
            if not record.state.is_finished:
                continue
            self._over.add(record.number)
            if record.state is TrialState.COMPLETE and is_whole(record):
                self._durations.learn(_known(record.config, record.stage), _seconds(record))

    def started(self, attempt_id: str, record: TrialRecord, now: float) -> None:
        """Note that an attempt starts; `now` is of any clock that never goes back, as below."""
        self._over.discard(record.number)
        known = _known(record.config, record.stage)
        self._running[attempt_id] = _Running(record.number, known, now)

    def reported(self, attempt_id: str, step: int, total_steps: int | None, now: float) -> None:
        """Note how far a trial is."""
        running = self._running.get(attempt_id)
        if running is not None:
            running.total_steps = total_steps
            running.first = running.first or (step, now)
            running.last = (step, now)

    def ended(self, attempt_id: str, now: float, *, tells: bool) -> None:
        """Note that an attempt is over.

        Args:
            attempt_id: the attempt.
            now: when.
            tells: True where it ran its trial from the start to a good end.
        """
        running = self._running.pop(attempt_id, None)
        if running is None:
            return
        self._over.add(running.number)
        if tells:
            self._durations.learn(running.config, now - running.since)
            self._expected.clear()

    def expect(
        self, number: int | None, config: Mapping[str, Any], stage: str | None = None
    ) -> float | None:
        """Return how many seconds a trial is expected to take; None while nobody knows."""
        if number is None:
            return self._durations.expect(_known(config, stage))
        if number not in self._expected:
            self._expected[number] = self._durations.expect(_known(config, stage))
        return self._expected[number]

    def remaining_s(self, now: float, at_once: int) -> float | None:
        """Return for how long a sweep still runs with so many at once; None where nobody knows."""
        each = self._durations.mean_s
        if each is None:
            told = [whole for one in self._running.values() if (whole := one.whole_s())]
            each = min(told, default=None)
        if each is None:
            return None
        left = self._waiting()
        rest = sum(max(0.0, each - (now - one.since)) for one in self._running.values())
        return (left * each + rest) / at_once

    def pays(self, now: float, at_once: int, fewer: int) -> Literal["yes", "free", "no"]:
        """Tell whether it pays to find out how fast `fewer` at once are while `at_once` run.

        Leaving slots empty costs at most as much as they would get done if trials did not slow each
        other down. Where nothing waits any more they are empty by themselves.
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
    """Tell whether the present attempt runs a trial from its start."""
    return record.attempt == 1 and not record.from_checkpoint


def _known(config: Mapping[str, Any], stage: str | None) -> dict[str, Any]:
    """Return what may tell how long a trial takes; no parameter is called as the stage is here."""
    return {**config, "(stage)": stage}


def _seconds(record: TrialRecord) -> float:
    try:
        started = datetime.fromisoformat(record.started_at or "")
        return (datetime.fromisoformat(record.ended_at or "") - started).total_seconds()
    except ValueError:
        return 0.0


CALM_S = 3.0
"""For how long nothing is missing before the waiting is over, where nothing starts. While a trial
that has ended still has its room, its memory seems to be there twice."""


class WaitingLog:
    """Follows what admission says from one look to the next.

    Args:
        tell: told of ``waiting`` and ``waited``.
        clock: seconds since 1970.
        monotonic: seconds that never go back.

    Attributes:
        now: why nothing starts; None where it need not wait.
    """

    def __init__(
        self, tell: Tell, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.now: Waiting | None = None
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        self._calm_from: float | None = None

    def note(self, found: Waiting | None, *, starts: bool) -> None:
        """Take in what admission says.

        Args:
            found: why the next trial has to wait; None where it need not.
            starts: whether a trial starts now.
        """
        before = self.now
        if before is not None and not starts:
            if found is None and not self._is_calm():
                return
            found = None if found is None else replace(found, since=before.since)
        self._calm_from = None
        self.now = found
        if found is not None and before is None:
            self._tell("waiting", **found.to_dict(), words=str(found))
        elif found is None and before is not None:
            self._tell("waited", seconds=round(before.waited_s(self._clock()), 1))

    def is_over(self, timeout_s: float | None) -> bool:
        """Tell whether it has waited for so long; None waits for ever."""
        return self.now is not None and self.now.is_over(self._clock(), timeout_s)

    def _is_calm(self) -> bool:
        """Tell whether nothing has been missing for long enough."""
        now = self._monotonic()
        if self._calm_from is None:
            self._calm_from = now
        return now - self._calm_from >= CALM_S
