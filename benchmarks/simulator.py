"""Sweeps without trials: the planner and the admission on a clock that jumps from event to event.

::

    trials = [SimTrial(memory_bytes=8 * GIB, duration_s=3600) for _ in range(20)]
    outcome = simulate(trials, [Device("0", "Card", 24 * GIB, 24 * GIB)])
    outcome.makespan_s, outcome.failed

Trials take as long as they are said to, whatever runs beside them. The rest is as in a sweep:
memory is taken some time after the start, others take memory and give it back, a trial that was
declared too small runs out of memory and is tried again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from orchestrator.engine.slots.timing import FROM_SHARE
from orchestrator.errors import PlacementError
from orchestrator.placement.admission.admission import Admission, AdmissionLimits
from orchestrator.placement.admission.duration_estimate import Durations
from orchestrator.placement.admission.ordering import Want, overtaken
from orchestrator.placement.memory_needs.oom import retry
from orchestrator.placement.model import Device, Host, Need, Policy, Slot
from orchestrator.placement.planner import plan

Pick = Callable[[Admission, Sequence[Want]], int | None]


@dataclass(frozen=True)
class SimTrial:
    """A trial as it really is, and what is known of it beforehand.

    Attributes:
        memory_bytes: what it takes on each of its devices.
        duration_s: how long it runs.
        need: what is known of its memory; None for the truth.
        told_s: what is known of its duration; None for nothing.
        loads_s: after how long it takes its memory, or fails to.
        config: its parameter values, from which durations are learned; None where nothing is.
        reports: whether its pace is known after a twentieth of its duration.
    """

    memory_bytes: int
    duration_s: float
    need: Need | None = None
    told_s: float | None = None
    loads_s: float = 0.0
    config: Mapping[str, Any] | None = None
    reports: bool = False

    def want(self) -> Want:
        """Return what it asks for at first."""
        return Want(self.need or Need(self.memory_bytes, "measured"), duration_s=self.told_s)


@dataclass(frozen=True)
class Others:
    """From a time on, others hold so much on a device; they get no more than is free.

    Attributes:
        at_s: from when on.
        device: its key.
        memory_bytes: what they hold.
    """

    at_s: float
    device: str
    memory_bytes: int


@dataclass(frozen=True)
class SimRun:
    """One attempt.

    Attributes:
        trial: its place among the trials.
        slot: what it was given.
        started_s: when it started.
        ended_s: when it ended.
        is_complete: False where it ran out of memory.
    """

    trial: int
    slot: Slot
    started_s: float
    ended_s: float
    is_complete: bool


@dataclass
class Outcome:
    """What came of a sweep.

    Attributes:
        makespan_s: when the last attempt had ended.
        runs: all attempts, in the order of their ends.
        failed: trials that ran out of memory and were given up.
        unplaced: trials that never found room.
        overcommitted: starts after which more was promised than there was.
        waits: how often a trial had to wait for memory of others.
    """

    makespan_s: float = 0.0
    runs: list[SimRun] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    unplaced: list[int] = field(default_factory=list)
    overcommitted: int = 0
    waits: int = 0

    @property
    def completed(self) -> list[int]:
        """Trials that ended well."""
        return [run.trial for run in self.runs if run.is_complete]

    @property
    def ooms(self) -> int:
        """Number of attempts that ran out of memory."""
        return sum(not run.is_complete for run in self.runs)


def simulate(
    trials: Sequence[SimTrial],
    machine: Sequence[Device] | Host,
    *,
    others: Sequence[Others] = (),
    policy: Policy | None = None,
    tells_used: bool = True,
    pick: Pick = Admission.choose,
) -> Outcome:
    """Run `trials` and return what came of it.

    Args:
        trials: in the order of the queue.
        machine: GPUs, or the host for trials on CPUs; others hold what is not free there.
        others: what they do later, in any order.
        policy: what limits beside memory.
        tells_used: whether trials tell what they hold, as ours do and scripts do not.
        pick: which of the waiting trials starts; by default admission looks ahead in the queue.
    """
    return _Simulation(trials, machine, policy or Policy(), tells_used, pick).run(others)


@dataclass
class _Running:
    trial: int
    slot: Slot
    started_s: float
    keys: list[str]
    held: int = 0


class _Simulation:
    def __init__(
        self,
        trials: Sequence[SimTrial],
        machine: Sequence[Device] | Host,
        policy: Policy,
        tells_used: bool,
        pick: Pick,
    ) -> None:
        self._trials = trials
        self._host = machine if isinstance(machine, Host) else None
        devices = [machine.device()] if isinstance(machine, Host) else list(machine)
        self._devices = {device.key: device for device in devices}
        self._theirs = {device.key: device.used_bytes for device in devices}
        self._tells_used = tells_used
        self._pick = pick
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._live: list[_Running] = []
        self._queue = list(range(len(trials)))
        self._wants = [trial.want() for trial in trials]
        self._retries = [0] * len(trials)
        self._durations = Durations()
        self._outcome = Outcome()
        self._admission = self._admit(policy)

    def _admit(self, policy: Policy) -> Admission | None:
        # How many of the smallest an empty machine holds is how many there may ever be.
        needs = [want.need for want in self._wants]
        known = [need.memory_bytes for need in needs if need.memory_bytes is not None]
        least = Need(min(known), "declared") if known and len(known) == len(needs) else Need()
        empty = [replace(card, free_bytes=card.total_bytes) for card in self._devices.values()]
        host = self._host or Host(len(self._trials) + 1, free_bytes=1 << 60, total_bytes=1 << 60)
        policy = replace(policy, gpus_per_trial=0) if self._host else policy
        try:
            decided = plan([] if self._host else empty, host, least, len(self._trials), policy)
        except PlacementError:
            return None
        return Admission(
            decided,
            policy,
            AdmissionLimits(
                host.cores,
                at_once=max(decided.max_parallel, len(self._devices)),
                unknown_bytes=1,
                recheck_s=0.0,
            ),
            read=self._read,
            clock=lambda: self._now,
        )

    def run(self, others: Sequence[Others]) -> Outcome:
        """Let one event after the other happen until there is none."""
        for other in others:
            self._at(other.at_s, partial(self._take_over, other))
        self._dispatch()
        while self._events:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
            if not self._events or self._events[0][0] > self._now:
                self._dispatch()
        self._outcome.unplaced = sorted(self._queue)
        return self._outcome

    def _at(self, time_s: float, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (time_s, self._count, happen))

    def _ours(self, key: str) -> int:
        return sum(live.held for live in self._live if key in live.keys)

    def _free(self, key: str) -> int:
        return self._devices[key].total_bytes - self._theirs[key] - self._ours(key)

    def _read(self) -> Sequence[Device] | Host:
        if self._host is not None:
            (key,) = self._devices
            return replace(self._host, free_bytes=self._free(key))
        return [replace(card, free_bytes=self._free(key)) for key, card in self._devices.items()]

    def _dispatch(self) -> None:
        """Start all that may start now."""
        admission = self._admission
        while admission is not None and self._queue:
            wants = [self._wants[trial] for trial in self._queue]
            place = self._pick(admission, wants)
            slot = None
            if place is not None:
                slot = admission.take(wants[place].need, alone=wants[place].alone)
            if place is None or slot is None:
                self._outcome.waits += admission.waiting is not None
                return
            for passed in overtaken(wants, place):
                trial = self._queue[passed]
                self._wants[trial] = replace(wants[passed], passed=wants[passed].passed + 1)
            self._start(self._queue.pop(place), slot)

    def _start(self, trial: int, slot: Slot) -> None:
        ids = slot.device.split(",")
        keys = [key for key, device in self._devices.items() if device.id in ids]
        live = _Running(trial, slot, self._now, keys)
        self._live.append(live)
        for key in keys:
            there = [one for one in self._live if key in one.keys]
            promised = sum(max(one.slot.memory_bytes, one.held) for one in there)
            room = self._devices[key].total_bytes - self._theirs[key]
            self._outcome.overcommitted += promised > room
        self._at(self._now + self._trials[trial].loads_s, partial(self._load, live))

    def _load(self, live: _Running) -> None:
        """Let a trial take its memory, or run out of it."""
        trial = self._trials[live.trial]
        room = min(live.slot.memory_bytes, *(self._free(key) for key in live.keys))
        if trial.memory_bytes > room:
            self._run_out(live, max(0, room))
            return
        live.held = trial.memory_bytes
        if self._tells_used and self._admission is not None:
            self._admission.observe(live.slot, live.held)
        if trial.reports:
            first_s = live.started_s + FROM_SHARE * trial.duration_s
            self._at(max(first_s, self._now), partial(self._learn, live.trial, trial.duration_s))
        self._at(
            live.started_s + max(trial.duration_s, trial.loads_s),
            partial(self._leave, live, is_complete=True),
        )

    def _run_out(self, live: _Running, peak_bytes: int) -> None:
        admission = self._admission
        assert admission is not None, "it admitted this trial"
        alone = admission.was_alone(live.slot) and not any(self._theirs[key] for key in live.keys)
        self._leave(live, is_complete=False)
        again = retry(
            live.slot.memory_bytes,
            peak_bytes,
            greatest_bytes=admission.greatest(),
            was_alone=alone,
            retries=self._retries[live.trial],
        )
        if again is None:
            self._outcome.failed.append(live.trial)
            return
        self._retries[live.trial] += 1
        want = self._wants[live.trial]
        self._wants[live.trial] = replace(want, need=again.need, alone=again.alone)
        self._queue.insert(0, live.trial)

    def _leave(self, live: _Running, *, is_complete: bool) -> None:
        assert self._admission is not None, "it admitted this trial"
        self._live.remove(live)
        self._admission.give_back(live.slot)
        out = self._outcome
        if is_complete:
            self._learn(live.trial, self._now - live.started_s)
        out.runs.append(SimRun(live.trial, live.slot, live.started_s, self._now, is_complete))
        out.makespan_s = self._now

    def _learn(self, trial: int, took_s: float) -> None:
        """Take in how long a trial takes, as a sweep does (`orchestrator.engine.slots.timing`)."""
        config = self._trials[trial].config
        if config is None:
            return
        self._durations.learn(config, took_s, trial)
        for other in self._queue:
            told = self._durations.expect(self._trials[other].config or {})
            self._wants[other] = replace(self._wants[other], duration_s=told)

    def _take_over(self, other: Others) -> None:
        free = self._devices[other.device].total_bytes - self._ours(other.device)
        self._theirs[other.device] = min(other.memory_bytes, free)
