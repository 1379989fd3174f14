"""Decide which trial gets which slot, and keep what its run shows.

::

    allocator = SlotAllocator(spec, plan, options, machine, log)
    chosen = allocator.choose(queue.candidates())     # (place, Slot); None while there is no room
    allocator.started(attempt_id, record, slot)
    allocator.holds(attempt_id, memory_bytes, pid)    # as often as the trial reports it
    allocator.reported(attempt_id, step)
    allocator.tick()                                  # many times a second
    allocator.ended(attempt_id, is_complete=True)     # or recover(...) after an out-of-memory

It couples occupancy (what runs where), admission (is there room), needs (what does a trial take),
limits (are more at once faster), timing (how long does it take) and out-of-memory (what next).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.engine.queue.queue import Candidate
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots.device_limits import DeviceLimits, Found
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.engine.slots.occupancy import Occupancy, OccupiedSlot
from orchestrator.engine.slots.oom_retry import Recovery, recover_counted, recover_uncounted
from orchestrator.engine.slots.sites import RECHECK_S, Site, WantsByKind, summary_of, waiting_of
from orchestrator.engine.slots.timing import SweepTiming, WaitingLog, is_whole
from orchestrator.engine.slots.trial_needs import TrialNeeds
from orchestrator.files import MIB, to_mib
from orchestrator.placement import Device, Need, Plan, Slot
from orchestrator.placement.admission import Waiting, Want, overtaken
from orchestrator.placement.leases import Leases
from orchestrator.placement.memory_needs import History, Kind
from orchestrator.runs import TrialRecord
from orchestrator.sweepfile.model import Spec


class SlotAllocator:
    """Gives the trials of one sweep their slots.

    `plan` was made at the start, and `log` receives trial records whose need became known.
    """

    def __init__(
        self,
        spec: Spec,
        plan: Plan,
        options: SlotOptions,
        machine: Machine,
        log: SweepLog,
        *,
        history: History | None = None,
        leases: Leases | None = None,
    ) -> None:
        self._spec = spec
        self._plan = plan
        self._machine = machine
        self._log = log
        self._leases = leases
        self._leases_problem = ""
        self._options = options
        self._history = history
        self._timing = SweepTiming(plan.n_trials, options.window)
        self._sites: dict[str, Site] = {}
        self._site_of: dict[str, Site] = {}  # by attempt that runs there
        self._add_sites(machine.parts(plan))
        sites = self._sites.values()
        self._needs = TrialNeeds(
            spec,
            history,
            on_cpu=plan.on_cpu,
            believes_less=any(site.limits.searches for site in sites),
        )
        self._wants: dict[int, Want] = {}
        self._asked: dict[tuple[str, int], Need] = {}
        self._waiting = WaitingLog(machine, options.wait_timeout_s)
        self._refused_at = -math.inf

    def restore(self, records: Iterable[TrialRecord]) -> None:
        """Restore what trials of an interrupted sweep took and asked for after out-of-memory."""
        kept = list(records)
        devices = [device for site in self._sites.values() for device in site.occupancy.reading]
        for record in kept:
            memory, retries = record.need.get("memory_mib"), record.need.get("retries")
            if not record.state.is_finished and retries and isinstance(memory, int):
                need = Need(memory * MIB, "measured")
                self._needs.raised(record.number, record.config, need, devices)
                self._wants[record.number] = Want(need, alone=bool(record.need.get("alone")))
        self._timing.restore(kept)

    @property
    def timeout_message(self) -> str:
        """Why the sweep ends: it waited long enough while nothing ran; "" if it need not end."""
        return "" if self._site_of else self._waiting.timeout_message

    @property
    def is_full(self) -> bool:
        """Whether nothing had room a moment ago, and nothing has changed since."""
        return self._machine.monotonic() - self._refused_at < RECHECK_S

    def summary(self) -> dict[str, Any]:
        """Return the state of placement in JSON types, for the sweep's record; {} for no news."""
        return summary_of(self._sites.values(), self._waiting.now)

    def choose(self, candidates: Sequence[Candidate]) -> tuple[int, Slot] | None:
        """Return which of the candidates starts now, and its slot; None if none can."""
        if not candidates:
            return None
        all_wants = WantsByKind(lambda devices: [self._want(each, devices) for each in candidates])
        turn = candidates[0].turn
        due = [place for place, candidate in enumerate(candidates) if candidate.turn == turn]
        found = self._choose(all_wants, due)
        if found is None and all_wants.has_others_than(due):
            # A seed that is not due yet may still fill what all that are leave free.
            found = self._choose(all_wants, range(len(candidates)))
        slot = None
        if found is not None:
            site, place = found
            wants = all_wants.on(site)
            slot = site.admission.take(wants[place].need, alone=wants[place].alone)
        self._note_waiting(starts=slot is not None)
        if found is None or slot is None:
            self._refused_at = self._machine.monotonic()
            return None
        for passed in overtaken(wants, place):
            number = candidates[passed].number
            if number is not None:
                self._wants[number] = replace(wants[passed], passed=wants[passed].passed + 1)
        self._asked[slot.node, slot.index] = wants[place].need
        return place, slot

    def started(self, attempt_id: str, record: TrialRecord, slot: Slot) -> None:
        """Note that an attempt was handed out; writes its need into the record."""
        # What was requested before its config was known may not be what such a trial takes.
        site = self._site_of[attempt_id] = self._sites[slot.node]
        need = self._asked.pop((slot.node, slot.index))
        occupied = site.occupancy.enter(attempt_id, record, slot, need)
        self._wants.pop(record.number, None)
        self._timing.started(attempt_id, record, self._machine.monotonic())
        for device in occupied.devices:
            kept_as = self._needs.growth_key(record.config, device, site.machine.cores)
            self._emit_growth(site, site.limits.started(attempt_id, device, kept_as))

    def gpu_limits(self, attempt_id: str) -> tuple[int | None, int | None]:
        """Return what an attempt may hold on its GPU, and all the memory of its smallest GPU.

        None stands for no limit, as on a CPU.
        """
        site = self._site_of[attempt_id]
        occupied = site.occupancy.slots[attempt_id]
        return occupied.cap_bytes, None if site.machine.on_cpu else occupied.total_bytes or None

    def reported(self, attempt_id: str, step: int) -> None:
        """Note a report."""
        site = self._site_of.get(attempt_id)
        if site is None:
            return
        occupied = site.occupancy.slots[attempt_id]
        site.occupancy.note_step(occupied)
        self._believe(site, occupied)
        now = self._machine.monotonic()
        self._timing.reported(attempt_id, step, now)
        self._emit_growth(site, site.limits.reported(attempt_id, occupied.keys, step, now))

    def holds(self, attempt_id: str, memory_bytes: int, pid: int) -> None:
        """Note what an attempt reports of itself; 0 bytes if it only reports its process `pid`.

        On a GPU these are the peak of what torch reserved, without the context, else the RAM of all
        its processes.
        """
        site = self._site_of.get(attempt_id)
        if site is not None:
            occupied = site.occupancy.slots[attempt_id]
            site.occupancy.note_memory(occupied, memory_bytes, pid)
            self._believe(site, occupied)

    def tick(self) -> None:
        """Read what scripts hold, if it is time; add machines that have joined."""
        self._add_sites(self._machine.parts(self._plan))
        for site in self._sites.values():
            for occupied in site.occupancy.look():
                self._believe(site, occupied)

    def ended(self, attempt_id: str, *, is_complete: bool = False) -> None:
        """Free the slot of an attempt whose process is gone, and keep what was learned."""
        self._refused_at = -math.inf
        site = self._site_of.pop(attempt_id, None)
        occupied = None if site is None else site.occupancy.leave(attempt_id)
        if site is None or occupied is None:
            return
        if occupied.peak and (occupied.reports or is_complete):
            for device in occupied.devices:
                self._needs.measured(occupied.record.config, device, occupied.peak)
                self._needs.keep(occupied.record.config, device, occupied.peak)
        is_typical = is_complete and is_whole(occupied.record)
        self._timing.ended(attempt_id, self._machine.monotonic(), is_typical=is_typical)
        self._emit_growth(site, site.limits.ended(attempt_id, occupied.keys))

    def oom_kills_since_start(self, attempt_id: str) -> int:
        """Return how many processes the host's memory guard killed while an attempt ran."""
        site = self._site_of[attempt_id]
        return site.machine.oom_kills() - site.occupancy.slots[attempt_id].oom_kills

    def recover(self, attempt_id: str, kind: Kind, text: str) -> Recovery:
        """Free the slot of an attempt that ran out of memory, and decide how it continues.

        Its process is gone; `text` is the failure's message and the end of the log.
        """
        site = self._site_of[attempt_id]
        occupied = site.occupancy.slots[attempt_id]
        record, retries = occupied.record, occupied.retries
        was_alone = site.admission.was_alone(occupied.slot)
        at_once = {key: len(site.occupancy.on(key)) for key in occupied.keys}
        self.ended(attempt_id)
        site.occupancy.read()
        is_counted = (kind == "host") == site.machine.on_cpu
        if is_counted:
            found = self._recover_counted(site, occupied, text, was_alone=was_alone)
        else:
            running = len(site.occupancy.slots)
            found = recover_uncounted(kind, text, others=running, retries=retries)
        falls_back = site.limits.ran_out(at_once, record.number, site.place_of(occupied))
        if found.again is not None:
            record.need["retries"] = retries + 1
            if is_counted:
                self._wants[record.number] = found.again
                need = found.again.need
                self._needs.raised(record.number, record.config, need, occupied.devices)
                occupied.note_need(need)
                record.need["alone"] = found.again.alone
        self._log.emit(
            "out_of_memory",
            number=record.number,
            name=record.name,
            kind=kind,
            given_mib=to_mib(occupied.slot.memory_bytes),
            peak_mib=to_mib(found.peak_bytes) if found.peak_bytes else None,
            again_with_mib=record.need["memory_mib"] if found.again else None,
            words=found.reason,
        )
        if falls_back:
            self._log.emit("fallback", words=site.limits.fallback)
        return found

    def close(self) -> None:
        """Note that nothing will start any more."""
        self._waiting.close()

    def _believe(self, site: Site, occupied: OccupiedSlot) -> None:
        """Believe the peak of a trial that has come through its first steps, if it grew."""
        peak = site.occupancy.new_peak(occupied)
        if peak is None:
            return
        for device in occupied.devices:
            self._needs.measured(occupied.record.config, device, peak)
        need, given = occupied.need, occupied.slot.memory_bytes
        measured = self._needs.with_headroom(peak, occupied.devices)
        gives_way = self._needs.believes_less and need.source == "declared"
        if need.memory_bytes is None or (gives_way and measured < given):
            need = Need(measured, "measured")
            if measured < given:
                site.occupancy.shrink(occupied, measured)
                self._refused_at = -math.inf
        occupied.note_need(need)
        occupied.record.need["peak_mib"] = to_mib(peak)
        self._log.save(occupied.record)

    def _recover_counted(
        self, site: Site, occupied: OccupiedSlot, text: str, *, was_alone: bool
    ) -> Recovery:
        """Return how a trial continues whose slot is free again; the devices were just read."""
        mine = [device for device in site.occupancy.reading if device.key in occupied.keys]
        # A card that is lost for the moment is taken to come back whole.
        is_lost = len(mine) < len(occupied.devices)
        is_shared = any(map(site.occupancy.is_busy, mine))
        greatest = max((each.admission.greatest() for each in self._usable()), default=0)
        return recover_counted(
            occupied,
            text,
            place=", ".join(map(str, mine or occupied.devices)),
            is_capped=occupied.cap_bytes is not None and self._spec.program is None,
            was_alone=was_alone and not is_lost and not is_shared,
            greatest_bytes=occupied.total_bytes if is_lost else greatest,
            declared_bytes=self._needs.declared_bytes,
        )

    def _choose(self, wants: WantsByKind, places: Sequence[int]) -> tuple[Site, int] | None:
        """Return which of some places starts now and on which machine, or None."""
        policy, sites = self._options.policy, self._usable()
        bound = 1 if policy.placement == "sequential" else policy.max_parallel
        if len(sites) > 1 and bound is not None and len(self._site_of) >= bound:
            return None
        best: tuple[Site, int] | None = None
        # The first that fits anywhere starts, on the machine of which the least is in use.
        for site in sorted(sites, key=lambda site: site.load):
            place = site.choose(wants.on(site), places)
            if place is not None and (best is None or place < best[1]):
                best = site, place
            if best is not None and best[1] == places[0]:
                break
        return best

    def _usable(self) -> list[Site]:
        return [site for site in self._sites.values() if site.machine.is_usable]

    def _add_sites(self, parts: Mapping[str, tuple[Machine, Plan]]) -> None:
        for name in parts.keys() - self._sites.keys():
            self._refused_at = -math.inf
            machine, plan = parts[name]
            occupancy = Occupancy(
                plan, self._options, machine, self._leases, is_script=self._spec.program is not None
            )
            limits = DeviceLimits(
                plan,
                self._options,
                history=self._history,
                pays=lambda *at_once: self._timing.pays(self._machine.monotonic(), *at_once),
                is_shared=occupancy.is_shared,
            )
            self._sites[name] = Site(machine, occupancy, limits, plan.max_parallel)

    def _want(self, candidate: Candidate, devices: Sequence[Device]) -> Want:
        number, config = candidate.number, candidate.config
        known = self._wants.get(number) if number is not None else None
        need = self._needs.of(number, config, devices)
        stage = self._spec.stage if candidate.record is None else candidate.record.stage
        duration_s = self._timing.expect(config, stage)
        return replace(known or Want(need), need=need, duration_s=duration_s)

    def _emit_growth(self, site: Site, found: Found) -> None:
        for facts in found:
            self._refused_at = -math.inf  # more may run at once
            site.admission.look_again()
            self._log.emit("growth", **facts)

    def _note_waiting(self, *, starts: bool) -> None:
        if self._leases is not None and self._leases.problem and not self._leases_problem:
            self._leases_problem = self._leases.problem
            self._log.emit("leases", words=self._leases_problem)
        found = waiting_of(self._usable())
        if self._machine.lacking:
            found = Waiting(self._machine.lacking, 0, self._machine.clock())
        event = self._waiting.note(found, starts=starts)
        if event is not None:
            self._log.emit(event[0], **event[1])
