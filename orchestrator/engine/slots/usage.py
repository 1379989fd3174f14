"""What the attempts of a sweep hold, and what is believed of it."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.engine.slots.device_state import Occupancy, note_need
from orchestrator.engine.slots.needs import TrialNeeds
from orchestrator.engine.slots.running_slot import (
    OccupiedSlot,
    held_by_script,
    held_together,
    with_context,
)
from orchestrator.files import to_mib
from orchestrator.placement import Need
from orchestrator.placement.admission import Admission
from orchestrator.runs import TrialRecord

LOOK_EVERY_S = 2.0
"""How often it is looked up what scripts hold, which do not tell."""

GREW = 1.02


class MemoryUsage:
    """Takes in what attempts hold; once one has come through its first steps, it is believed.

    Args:
        ground: devices and attempts.
        admission: told what is held, so that what is promised and not taken is known.
        needs: told what a trial takes.
        is_script: True where trials do not tell themselves.
        save: writes a trial's record down.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        ground: Occupancy,
        admission: Admission,
        needs: TrialNeeds,
        *,
        is_script: bool,
        save: Callable[[TrialRecord], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._ground = ground
        self._admission = admission
        self._needs = needs
        self._is_script = is_script
        self._save = save
        self._monotonic = monotonic
        self._looked = -LOOK_EVERY_S

    def told(self, live: OccupiedSlot, memory_bytes: int, pid: int) -> None:
        """Take in what an attempt says of itself; see `SlotAllocator.holds`."""
        live.pid = pid
        if memory_bytes <= 0:
            return
        machine = self._ground.machine
        if not machine.on_cpu:
            self._ground.read()
            memory_bytes = with_context(live, memory_bytes, machine, self._ground.reading)
        self._observe(live, memory_bytes)

    def look(self) -> None:
        """Look up what scripts hold, when it is time."""
        now = self._monotonic()
        if not self._is_script or now - self._looked < LOOK_EVERY_S:
            return
        watched = [live for live in self._ground.live.values() if live.pid is not None]
        if not watched:
            return
        self._looked = now
        machine = self._ground.machine
        if not machine.on_cpu:
            self._ground.read()
        unseen = False
        for live in watched:
            held = held_by_script(live, machine, self._ground.reading)
            if held:
                self._observe(live, held)
            else:
                unseen = True
        if unseen and not machine.on_cpu:
            self._look_at_all()

    def _look_at_all(self) -> None:
        """Tell admission what scripts hold together, where nobody tells what each of them does."""
        if self._ground.machine.comparable:
            return
        part: dict[int, float] = {}
        for device in self._ground.reading:
            there = self._ground.on(device)
            before = self._ground.before.get(device.key)
            held = held_together(before, device, there) if before and there else None
            promised = sum(live.slot.memory_bytes for live in there)
            for live in there if held is not None else []:
                taken = min(1.0, (held or 0) / promised)
                part[live.slot.index] = min(taken, part.get(live.slot.index, 1.0))
        for live in self._ground.live.values():
            if live.slot.index in part:
                live.used = int(part[live.slot.index] * live.slot.memory_bytes)
                self._admission.observe(live.slot, live.used)

    def reported(self, live: OccupiedSlot) -> None:
        """Note that an attempt has come through a step."""
        live.reports = True
        if live.peak:
            self._settle(live)

    def over(self, live: OccupiedSlot, *, is_complete: bool) -> None:
        """Keep what an attempt was seen to take, for later trials and later sweeps."""
        if live.peak and (live.reports or is_complete):
            for device in live.devices:
                self._needs.measured(live.record.config, device, live.peak)
                self._needs.keep(live.record.config, device, live.peak)
        if self._is_script and not self._ground.machine.on_cpu:
            # What the others hold was told by the sum, of which a part has gone.
            self._ground.read()
            self._look_at_all()

    def _observe(self, live: OccupiedSlot, held: int) -> None:
        live.used, live.peak = held, max(live.peak, held)
        self._admission.observe(live.slot, held)
        if live.reports:
            self._settle(live)

    def _settle(self, live: OccupiedSlot) -> None:
        """Believe the measurement of a trial that has come through its first steps."""
        if live.peak <= live.settled * GREW:
            return
        live.settled = live.peak
        for device in live.devices:
            self._needs.measured(live.record.config, device, live.peak)
        promised = self._needs.with_headroom(live.peak)
        gives_way = live.need.memory_bytes is None or (
            self._needs.believes_less and live.need.source == "declared"
        )
        if gives_way and promised < live.slot.memory_bytes:
            live.slot = self._admission.shrink(live.slot, promised)
            note_need(live, Need(promised, "measured"))
        elif live.need.memory_bytes is None:
            note_need(live, Need(promised, "measured"))
        else:
            note_need(live, live.need)
        live.record.need["peak_mib"] = to_mib(live.peak)
        self._save(live.record)
