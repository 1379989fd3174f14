"""Which trial gets which room, from the first look at free memory to what was learned at the end.

::

    placing = Placing(spec, plan, terms, machine, tell=tell, save=save)
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.engine.growing import Growing, Tell
from orchestrator.engine.levels import Levels
from orchestrator.engine.live import Live, held_by_script, with_context
from orchestrator.engine.machine import Machine
from orchestrator.engine.needs import Needs
from orchestrator.engine.queue import Candidate
from orchestrator.engine.recovery import Recovery, recovery
from orchestrator.files.units import to_mib
from orchestrator.placement.admission import Admission
from orchestrator.placement.history import History
from orchestrator.placement.leases import Leases
from orchestrator.placement.lookahead import Want, overtaken
from orchestrator.placement.model import Device, Host, Need, Plan, Policy, Slot
from orchestrator.placement.neighbours import Ours, who_computes
from orchestrator.placement.oom import Kind
from orchestrator.placement.rates import Window
from orchestrator.placement.waiting import Waiting
from orchestrator.runs.records import TrialRecord
from orchestrator.spec.model import Spec

LOOK_EVERY_S = 2.0
"""How often it is looked up what scripts hold, which do not tell."""

GREW = 1.02
_NO_LIMIT = 1 << 20


@dataclass(frozen=True)
class Terms:
    """How a sweep uses the machine.

    Attributes:
        policy: what limits beside memory.
        gpus: the GPUs to use (``--gpus``); None for all.
        wait_timeout_s: how long it waits for memory of others; None for ever.
        window: how much growth measures before it believes it.
    """

    policy: Policy = field(default_factory=Policy)
    gpus: str | None = None
    wait_timeout_s: float | None = None
    window: Window | None = None


class Placing:
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
        terms: Terms,
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
        self._machine = machine
        self._clock = clock
        self._monotonic = monotonic
        self._is_script = spec.program is not None
        self._reading: list[Device] = []
        self._admission = Admission(
            plan,
            terms.policy,
            read=self._read,
            cores=machine.cores,
            clock=clock,
            leases=leases,
            busy=self._is_busy,
            limit=plan.max_parallel if machine.on_cpu else _NO_LIMIT,
        )
        self._read()
        self._needs = Needs(spec, self._reading, history)
        grows = plan.mode == "sequential" and terms.policy.max_parallel != 1
        wanted = ("grow",) if machine.on_cpu else ("grow", "auto")
        growing = None
        if grows and terms.policy.placement in wanted:
            growing = Growing(history, self._say, terms.window)
        self._levels = Levels(plan, terms.policy, growing)
        self._growing = growing
        self._live: dict[str, Live] = {}
        self._wants: dict[int, Want] = {}
        self._asked: dict[int, Need] = {}
        self._limits: dict[str, int | None] = {}
        self._waiting: Waiting | None = None
        self._looked = -LOOK_EVERY_S

    def restore(self, records: Iterable[TrialRecord]) -> None:
        """Take over what trials of an interrupted sweep asked for after an out-of-memory."""
        for record in records:
            memory, retries = record.need.get("memory_mib"), record.need.get("retries")
            if not record.state.is_finished and retries and isinstance(memory, int):
                need = Need(memory << 20, "measured")
                self._needs.raised(record.number, record.config, need)
                self._wants[record.number] = Want(need, alone=bool(record.need.get("alone")))

    @property
    def waiting(self) -> Waiting | None:
        """Why nothing starts, where others hold the memory; None where it need not wait."""
        return self._waiting

    @property
    def is_over_waiting(self) -> bool:
        """True once it has waited for as long as it may, while nothing of ours runs."""
        timeout_s = self._terms.wait_timeout_s
        waits = self._waiting is not None and not self._live
        return waits and self._waiting.is_over(self._clock(), timeout_s)  # type: ignore[union-attr]

    def timeout_words(self) -> str:
        """Return the message with which the waiting ends."""
        assert self._waiting is not None
        assert self._terms.wait_timeout_s is not None
        return self._waiting.timeout_words(self._terms.wait_timeout_s)

    def words(self) -> dict[str, Any]:
        """Return how placement stands, in JSON types, for the sweep's record; {} for no news."""
        growth = dict(self._growing.words()) if self._growing is not None else {}
        said: dict[str, Any] = {
            "waiting": None if self._waiting is None else self._waiting.to_dict(),
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
        place = None
        if self._machine.on_cpu and len({want.need for want in wants}) > 1:
            # RAM is rarely short, so what differs by a little there does not alter the order.
            place = self._admission.choose(wants[:1])
        if place is None:
            place = self._admission.choose(wants)
        slot = None
        if place is not None:
            slot = self._admission.take(wants[place].need, alone=wants[place].alone)
        self._note_waiting()
        if place is None or slot is None:
            return None
        for passed in overtaken(wants, place):
            number = candidates[passed].number
            if number is not None:
                self._wants[number] = replace(wants[passed], passed=wants[passed].passed + 1)
        self._asked[slot.index] = wants[place].need
        return place, slot

    def started(self, attempt_id: str, record: TrialRecord, slot: Slot) -> None:
        """Note that an attempt was handed out; writes its need into the record."""
        # What was asked for before its config was known may not be what such a trial takes.
        need = self._asked.pop(slot.index)
        ids = slot.device.split(",")
        devices = [device for device in self._reading if device.id in ids]
        live = Live(record, slot, devices, need, self._machine.oom_kills())
        for other in self._live.values():
            if other.shares(live):
                other.undisturbed = live.undisturbed = False
        self._live[attempt_id] = live
        self._wants.pop(record.number, None)
        record.need = _need_words(need, record.need)
        if self._growing is not None:
            for device in devices:
                kept_as = self._needs.growth_key(record.config, device, self._machine.cores)
                now = self._monotonic()
                self._growing.started(attempt_id, device.key, device.id, kept_as, now)

    def cap_bytes(self, attempt_id: str) -> int | None:
        """Return what an attempt may hold on its GPU; None where it is not held to anything.

        A trial of unknown need has its GPU to itself until it was measured.
        """
        live = self._live[attempt_id]
        known = live.need.memory_bytes is not None and not self._machine.on_cpu
        return live.slot.memory_bytes if known else None

    def reported(self, attempt_id: str, step: int) -> None:
        """Note a report."""
        live = self._live.get(attempt_id)
        if live is None:
            return
        live.reports = True
        if live.peak:
            self._settle(live)
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
        live = self._live.get(attempt_id)
        if live is None:
            return
        live.pid = pid
        if memory_bytes <= 0:
            return
        if not self._machine.on_cpu:
            self._read()
            memory_bytes = with_context(live, memory_bytes, self._machine, self._reading)
        self._observe(live, memory_bytes)

    def tick(self) -> None:
        """Look up what scripts hold, when it is time."""
        now = self._monotonic()
        watched = [live for live in self._live.values() if self._is_script and live.pid is not None]
        if not watched or now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        if not self._machine.on_cpu:
            self._read()
        for live in watched:
            held = held_by_script(live, self._machine, self._reading)
            if held:
                self._observe(live, held)

    def ended(self, attempt_id: str, *, is_complete: bool = False) -> None:
        """Give back the room of an attempt whose process is gone, and keep what was learned."""
        live = self._live.pop(attempt_id, None)
        if live is None:
            return
        if live.peak and (live.reports or is_complete):
            for device in live.devices:
                self._needs.measured(live.record.config, device, live.peak)
                self._needs.keep(live.record.config, device, live.peak)
        self._admission.give_back(live.slot)
        for other in self._live.values():
            if other.shares(live):
                other.undisturbed = False
        if self._growing is not None:
            self._growing.ended(attempt_id, live.keys, self._monotonic())

    def oom_kills_since_start(self, attempt_id: str) -> int:
        """Return how many processes the host's memory guard killed while an attempt ran."""
        return self._machine.oom_kills() - self._live[attempt_id].kills

    def recover(self, attempt_id: str, kind: Kind, text: str) -> Recovery:
        """Give back the room of an attempt that ran out of memory, and decide how it goes on.

        Args:
            attempt_id: the attempt; its process is gone.
            kind: of what memory it ran out.
            text: the failure's message and the end of the log.
        """
        live = self._live[attempt_id]
        ours_alone = self._admission.was_alone(live.slot)
        at_once = {key: sum(key in o.keys for o in self._live.values()) for key in live.keys}
        capped = self.cap_bytes(attempt_id) is not None and not self._is_script
        counts_here = (kind == "host") == self._machine.on_cpu
        self.ended(attempt_id)
        self._read()
        mine = [device for device in self._reading if device.key in live.keys]
        found = recovery(
            kind,
            text,
            place=", ".join(map(str, mine or live.devices)),
            given_bytes=live.slot.memory_bytes,
            is_capped=capped,
            peak_bytes=live.peak,
            greatest_bytes=self._admission.greatest(),
            total_bytes=min((device.total_bytes for device in mine), default=0),
            was_alone=ours_alone and not any(map(self._is_busy, mine)),
            counts_here=counts_here,
            others=len(self._live),
            retries=int(live.record.need.get("retries", 0)),
        )
        several = live.slot.device if len(self._reading) > 1 else ""
        place = f"GPU {several}" if several else ""
        before = self._levels.fallback
        self._levels.ran_out(at_once, live.record.number, place)
        retry = found.retry
        if retry is not None:
            live.record.need["retries"] = int(live.record.need.get("retries", 0)) + 1
        if retry is not None and counts_here:
            self._wants[live.record.number] = Want(retry.need, alone=retry.alone)
            self._needs.raised(live.record.number, live.record.config, retry.need)
            live.record.need = _need_words(retry.need, live.record.need) | {"alone": retry.alone}
        self.tell(
            "out_of_memory",
            number=live.record.number,
            name=live.record.name,
            kind=kind,
            given_mib=to_mib(live.slot.memory_bytes),
            peak_mib=to_mib(found.peak_bytes) if found.peak_bytes else None,
            again_with_mib=live.record.need["memory_mib"] if retry else None,
            words=found.words,
        )
        if self._levels.fallback != before:
            self.tell("fallback", words=self._levels.fallback)
        return found

    def close(self) -> None:
        """Note that nothing will start any more."""
        self._waiting = None

    def _want(self, candidate: Candidate) -> Want:
        number = candidate.number
        known = self._wants.get(number) if number is not None else None
        need = self._needs.of(number, candidate.config)
        return Want(need) if known is None else replace(known, need=need)

    def _set_limits(self, wants: Sequence[Want]) -> None:
        needs = [want.need.memory_bytes for want in wants]
        known = [need for need in needs if need is not None]
        least = min(known) if known else None
        for device in self._reading:
            limit = self._levels.limit(device, self._on(device), least, len(wants))
            # Each change makes admission look again, so none is made without need.
            if self._limits.get(device.key) != limit:
                self._limits[device.key] = limit
                self._admission.limit_device(device.key, limit)

    def _on(self, device: Device) -> list[Live]:
        return [live for live in self._live.values() if device.key in live.keys]

    def _read(self) -> Sequence[Device] | Host:
        read = self._machine.read()
        self._reading = [read.device()] if isinstance(read, Host) else list(read)
        return read

    def _is_busy(self, device: Device) -> bool:
        there = self._on(device)
        ours = Ours(
            pids=self._machine.ours(),
            memory_bytes=sum(live.held for live in there),
            trials=len(there),
        )
        return bool(who_computes(device, ours, comparable=self._machine.comparable))

    def _observe(self, live: Live, held: int) -> None:
        live.used, live.peak = held, max(live.peak, held)
        self._admission.observe(live.slot, held)
        if live.reports:
            self._settle(live)

    def _settle(self, live: Live) -> None:
        """Believe the measurement of a trial that has come through its first steps."""
        if live.peak <= live.settled * GREW:
            return
        live.settled = live.peak
        for device in live.devices:
            self._needs.measured(live.record.config, device, live.peak)
        promised = self._needs.with_headroom(live.peak)
        if live.need.memory_bytes is None and promised < live.slot.memory_bytes:
            live.slot = self._admission.resize(live.slot, memory_bytes=promised)
        known = live.need if live.need.memory_bytes else Need(promised, "measured")
        live.record.need = _need_words(known, live.record.need) | {"peak_mib": to_mib(live.peak)}
        self.save(live.record)

    def _say(self, event: str, **details: Any) -> None:
        self.tell(event, **details)

    def _note_waiting(self) -> None:
        if self._leases is not None and self._leases.problem and not self._is_unshared_told:
            self._is_unshared_told = True
            self.tell("leases", words=self._leases.problem)
        before, self._waiting = self._waiting, self._admission.waiting
        if self._waiting is not None and before is None:
            self.tell("waiting", **self._waiting.to_dict(), words=str(self._waiting))
        elif before is not None and self._waiting is None:
            self.tell("waited", seconds=round(before.waited_s(self._clock()), 1))


def _need_words(need: Need, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a need for a trial's record; what its earlier attempts learned is kept."""
    memory = need.memory_bytes
    return dict(before) | {
        "memory_mib": None if memory is None else to_mib(memory),
        "source": need.source,
    }
