"""Which trial gets which room, from the first look at free memory to what was learned at the end.

::

    placing = SlotAllocator(spec, plan, terms, machine, tell=tell, save=save)
    chosen = placing.choose(queue.candidates())     # (place, Slot), or None while there is no room
    placing.started(attempt_id, record, slot)
    placing.holds(attempt_id, memory_bytes, pid)    # as often as the trial tells
    placing.reported(attempt_id, step)
    placing.tick()                                  # many times a second
    placing.ended(attempt_id, is_complete=True)     # or recover(...) after an out-of-memory

It couples the parts of `orchestrator.placement` that each know one thing: admission (is there
room), growth (is more faster), history (what trials took before) and out-of-memory (what next).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from orchestrator.engine.queue.candidates import Candidate
from orchestrator.engine.slots.concurrency import Growing, Levels
from orchestrator.engine.slots.device_state import Occupancy, Tell, cap_of, note_need
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.engine.slots.needs import TrialNeeds
from orchestrator.engine.slots.oom_retry import OomRetry, Recovery
from orchestrator.engine.slots.running_slot import OccupiedSlot
from orchestrator.engine.slots.timing import SweepTiming, WaitingLog, is_whole
from orchestrator.engine.slots.usage import MemoryUsage
from orchestrator.placement import Need, Plan, Slot
from orchestrator.placement.admission import Admission, AdmissionLimits, Waiting, Want, overtaken
from orchestrator.placement.leases import Leases
from orchestrator.placement.memory_needs import History, Kind
from orchestrator.runs import TrialRecord
from orchestrator.sweepfile.model import Spec

_NO_LIMIT = 1 << 20


class SlotAllocator:
    """Gives the trials of one sweep their room.

    Args:
        spec: what was asked.
        plan: what was decided at the start.
        terms: how the machine is used.
        machine: what there is.
        tell: told of every event, as ``tell("waiting", reason=...)``.
        save: writes a trial's record down after its need became known.
        history: what earlier sweeps learned; None for nothing.
        leases: what other sweeps on this machine promised; None heeds none.
        clock: seconds since 1970.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        spec: Spec,
        plan: Plan,
        terms: SlotOptions,
        machine: Machine,
        *,
        tell: Tell = lambda event, **details: None,
        save: Callable[[TrialRecord], None] = lambda record: None,
        history: History | None = None,
        leases: Leases | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tell = tell
        self.save = save
        self._terms = terms
        self._leases = leases
        self._is_unshared_told = False
        self._monotonic = monotonic
        self._on_cpu = machine.on_cpu
        self._ground = Occupancy(machine)
        self._admission = Admission(
            plan,
            terms.policy,
            AdmissionLimits(
                cores=_cores(plan, terms, machine),
                at_once=plan.max_parallel if machine.on_cpu else _NO_LIMIT,
            ),
            read=self._ground.read,
            busy=self._ground.is_busy,
            leases=leases,
            clock=clock,
        )
        self._ground.read()
        self._needs = TrialNeeds(spec, self._ground.reading, history)
        self._pace = SweepTiming(plan.n_trials, terms.window)
        self._growing = self._to_grow(plan, history)
        self._needs.believes_less = self._growing is not None
        self._levels = Levels(plan, terms.policy, self._growing)
        self._spec_stage = spec.stage
        is_script = spec.program is not None
        self._measuring = MemoryUsage(
            self._ground,
            self._admission,
            self._needs,
            is_script=is_script,
            save=self._save,
            monotonic=monotonic,
        )
        self._retrying = OomRetry(
            self._ground,
            self._admission,
            self._needs,
            self._levels,
            is_script=is_script,
            tell=self._say,
        )
        self._wants: dict[int, Want] = {}
        self._asked: dict[int, Need] = {}
        self._limits: dict[str, int | None] = {}
        self._waits = WaitingLog(self._say, clock, monotonic)

    def restore(self, records: Iterable[TrialRecord]) -> None:
        """Take over what trials of an interrupted sweep asked for after an out-of-memory."""
        kept = list(records)
        self._wants.update(self._retrying.restore(kept))
        self._pace.restore(kept)

    @property
    def waiting(self) -> Waiting | None:
        """Why nothing starts, where others hold the memory; None where it need not wait."""
        return self._waits.now

    @property
    def is_over_waiting(self) -> bool:
        """True once it has waited for as long as it may, while nothing of ours runs."""
        return not self._ground.live and self._waits.is_over(self._terms.wait_timeout_s)

    def timeout_message(self) -> str:
        """Return the message with which the waiting ends."""
        assert self._waits.now is not None
        assert self._terms.wait_timeout_s is not None
        return self._waits.now.timeout_message(self._terms.wait_timeout_s)

    def words(self) -> dict[str, Any]:
        """Return how placement stands, in JSON types, for the sweep's record; {} for no news."""
        growth = dict(self._growing.words()) if self._growing is not None else {}
        said: dict[str, Any] = {
            "waiting": None if self._waits.now is None else self._waits.now.to_dict(),
            "growth": growth,
            "fallback": self._levels.fallback or None,
        }
        return said if any(said.values()) else {}

    def choose(self, candidates: Sequence[Candidate]) -> tuple[int, Slot] | None:
        """Return which of the candidates starts now, and its room; None where none can."""
        if not candidates:
            return None
        wants = [self._want(candidate) for candidate in candidates]
        self._set_limits(wants)
        turn = candidates[0].turn
        due = [place for place, candidate in enumerate(candidates) if candidate.turn == turn]
        place = self._choose(wants, due)
        refused = {(wants[place].need, wants[place].alone) for place in due}
        if place is None and any((want.need, want.alone) not in refused for want in wants):
            # A seed that is not due yet may still fill what all that are leave free.
            place = self._choose(wants, range(len(wants)))
        slot = None
        if place is not None:
            slot = self._admission.take(wants[place].need, alone=wants[place].alone)
        self._note_waiting(starts=slot is not None)
        if place is None or slot is None:
            return None
        for passed in overtaken(wants, place):
            number = candidates[passed].number
            if number is not None:
                self._wants[number] = replace(wants[passed], passed=wants[passed].passed + 1)
        self._asked[slot.index] = wants[place].need
        return place, slot

    def _choose(self, wants: Sequence[Want], places: Sequence[int]) -> int | None:
        """Return which of some places starts now, or None."""
        asked = [wants[place] for place in places]
        if self._on_cpu and len({want.need for want in asked}) > 1:
            # RAM is rarely short, so what differs by a little there does not alter the order.
            longest = max(asked, key=lambda want: want.duration_s or 0.0)
            if self._admission.choose([longest]) is not None:
                return places[asked.index(longest)]
        found = self._admission.choose(asked)
        return None if found is None else places[found]

    def started(self, attempt_id: str, record: TrialRecord, slot: Slot) -> None:
        """Note that an attempt was handed out; writes its need into the record."""
        # What was asked for before its config was known may not be what such a trial takes.
        need = self._asked.pop(slot.index)
        ids = slot.device.split(",")
        devices = [device for device in self._ground.reading if device.id in ids]
        machine = self._ground.machine
        live = OccupiedSlot(record, slot, devices, need, machine.oom_kills())
        self._ground.enter(attempt_id, live)
        self._wants.pop(record.number, None)
        note_need(live, need)
        now = self._monotonic()
        self._pace.started(attempt_id, record, now)
        if self._growing is not None:
            for device in devices:
                kept_as = self._needs.growth_key(record.config, device, machine.cores)
                self._growing.started(attempt_id, device.key, device.id, kept_as, now)

    def cap_bytes(self, attempt_id: str) -> int | None:
        """Return what an attempt may hold on its GPU; None where it is not held to anything.

        A trial of unknown need has its GPU to itself until it was measured.
        """
        return cap_of(self._ground.live[attempt_id], on_cpu=self._on_cpu)

    def gpu_bytes(self, attempt_id: str) -> int | None:
        """Return all the memory of an attempt's smallest GPU; None on a CPU."""
        devices = self._ground.live[attempt_id].devices
        return None if self._on_cpu else min((each.total_bytes for each in devices), default=None)

    def reported(self, attempt_id: str, step: int) -> None:
        """Note a report."""
        live = self._ground.live.get(attempt_id)
        if live is None:
            return
        self._measuring.reported(live)
        self._pace.reported(attempt_id, step, live.record.total_steps, self._monotonic())
        if self._growing is not None:
            self._growing.reported(attempt_id, live.keys, step, self._monotonic())

    def holds(self, attempt_id: str, memory_bytes: int, pid: int) -> None:
        """Note what an attempt says of itself.

        Args:
            attempt_id: the attempt.
            memory_bytes: on a GPU the peak of what torch reserved, without the context, else the
                RAM of all its processes; 0 where it only says its `pid`.
            pid: its process.
        """
        live = self._ground.live.get(attempt_id)
        if live is not None:
            self._measuring.told(live, memory_bytes, pid)

    def tick(self) -> None:
        """Look up what scripts hold, when it is time."""
        self._measuring.look()

    def ended(self, attempt_id: str, *, is_complete: bool = False) -> None:
        """Give back the room of an attempt whose process is gone, and keep what was learned."""
        live = self._ground.live.pop(attempt_id, None)
        if live is None:
            return
        self._measuring.over(live, is_complete=is_complete)
        self._admission.give_back(live.slot)
        self._ground.disturbed_by(live)
        now = self._monotonic()
        self._pace.ended(attempt_id, now, tells=is_complete and is_whole(live.record))
        if self._growing is not None:
            self._growing.ended(attempt_id, live.keys, now)

    def oom_kills_since_start(self, attempt_id: str) -> int:
        """Return how many processes the host's memory guard killed while an attempt ran."""
        return self._ground.machine.oom_kills() - self._ground.live[attempt_id].kills

    def recover(self, attempt_id: str, kind: Kind, text: str) -> Recovery:
        """Give back the room of an attempt that ran out of memory, and decide how it goes on.

        Args:
            attempt_id: the attempt; its process is gone.
            kind: of what memory it ran out.
            text: the failure's message and the end of the log.
        """
        live = self._ground.live[attempt_id]
        found = self._retrying.recover(live, kind, text, end=lambda: self.ended(attempt_id))
        again = self._retrying.wants_again(found, kind)
        if again is not None:
            self._wants[live.record.number] = again
        return found

    def close(self) -> None:
        """Note that nothing will start any more."""
        self._waits.now = None

    def _to_grow(self, plan: Plan, history: History | None) -> Growing | None:
        """Return what tries out how many at once are best; None where that is said."""
        policy, window = self._terms.policy, self._terms.window
        grows = plan.mode == "sequential" and policy.max_parallel != 1
        if grows and policy.placement in (("grow",) if self._on_cpu else ("grow", "auto")):
            return Growing(history, self._say, window, is_shared=self._ground.is_shared)
        # Who says how many cores a trial takes has said how many run at once.
        thins = plan.max_parallel > 1 and policy.cpus_per_trial is None
        if self._on_cpu and policy.placement == "auto" and thins:
            return Growing(history, self._say, window, from_all=plan.max_parallel, pays=self._pays)
        return None

    def _pays(self, at_once: int, fewer: int) -> Literal["yes", "free", "no"]:
        return self._pace.pays(self._monotonic(), at_once, fewer)

    def _want(self, candidate: Candidate) -> Want:
        number = candidate.number
        known = self._wants.get(number) if number is not None else None
        need = self._needs.of(number, candidate.config)
        stage = self._spec_stage if candidate.record is None else candidate.record.stage
        took_s = self._pace.expect(number, candidate.config, stage)
        return replace(known or Want(need), need=need, duration_s=took_s)

    def _set_limits(self, wants: Sequence[Want]) -> None:
        needs = [want.need.memory_bytes for want in wants]
        known = [need for need in needs if need is not None]
        least = min(known) if known else None
        for device in self._ground.reading:
            there = self._ground.on(device)
            limit = self._levels.limit(device, there, least, len(wants))
            # Each change makes admission look again, so none is made without need.
            if self._limits.get(device.key) != limit:
                self._limits[device.key] = limit
                self._admission.limit_device(device.key, limit)

    def _save(self, record: TrialRecord) -> None:
        self.save(record)  # which is set later than this is made

    def _say(self, event: str, **details: Any) -> None:
        self.tell(event, **details)

    def _note_waiting(self, *, starts: bool) -> None:
        if self._leases is not None and self._leases.problem and not self._is_unshared_told:
            self._is_unshared_told = True
            self.tell("leases", words=self._leases.problem)
        self._waits.note(self._admission.waiting, starts=starts)


def _cores(plan: Plan, terms: SlotOptions, machine: Machine) -> int:
    """Return the cores of all trials: on CPUs the plan's, which leaves busy ones to others."""
    if not machine.on_cpu:
        return machine.cores
    planned = sum(slot.threads + terms.policy.workers_per_trial for slot in plan.slots)
    return min(machine.cores, planned)
