"""Measure what the attempts of a sweep hold, and decide what is believed of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.engine.slots.occupancy import Occupancy, OccupiedSlot
from orchestrator.engine.slots.trial_needs import TrialNeeds
from orchestrator.files import to_mib
from orchestrator.placement import Device, Need
from orchestrator.placement.admission import Admission
from orchestrator.runs import TrialRecord

LOOK_EVERY_S = 2.0
"""How often it is looked up what scripts hold, which do not report it."""


class MemoryUsage:
    """Takes in what attempts hold, and believes it once they have come through their first steps.

    Args:
        occupancy: devices and attempts.
        admission: learns what is held, so that what is promised and not taken is known.
        needs: learns what a trial takes.
        is_script: True if trials do not report their memory.
    """

    def __init__(
        self, occupancy: Occupancy, admission: Admission, needs: TrialNeeds, *, is_script: bool
    ) -> None:
        self._occupancy = occupancy
        self._machine = occupancy.machine
        self._admission = admission
        self._needs = needs
        self._is_script = is_script
        self._looked_at = -math.inf

    def told(self, occupied: OccupiedSlot, memory_bytes: int, pid: int) -> bool:
        """Take in what an attempt reports of itself (`SlotAllocator.holds`).

        Returns:
            Whether that changed the need in its record, as in all calls.
        """
        occupied.pid = pid
        if memory_bytes <= 0:
            return False
        if not self._machine.on_cpu:
            self._occupancy.read()
            row = self._row(occupied)
            # A peak that is over shows in no row; what torch reserved lacks the context.
            if row is None or row < memory_bytes:
                row = memory_bytes + CONTEXT_BYTES
            memory_bytes = row
        return self._observe(occupied, memory_bytes)

    def look(self) -> list[TrialRecord]:
        """Look up what scripts hold, when it is time; return the records that this changed."""
        now = self._machine.monotonic()
        watched = [o for o in self._occupancy.slots.values() if o.pid is not None]
        if not self._is_script or not watched or now - self._looked_at < LOOK_EVERY_S:
            return []
        self._looked_at = now
        if not self._machine.on_cpu:
            self._occupancy.read()
        changed, is_unseen = [], False
        for occupied in watched:
            held = self._held_by_script(occupied)
            if not held:
                is_unseen = True
            elif self._observe(occupied, held):
                changed.append(occupied.record)
        if is_unseen and not self._machine.on_cpu:
            self._look_at_sums()
        return changed

    def reported(self, occupied: OccupiedSlot) -> bool:
        """Note that an attempt has come through a step."""
        occupied.reports = True
        return self._believe(occupied)

    def ended(self, occupied: OccupiedSlot, *, is_complete: bool) -> None:
        """Keep what an attempt was seen to take, for later trials and later sweeps."""
        if occupied.peak and (occupied.reports or is_complete):
            for device in occupied.devices:
                self._needs.measured(occupied.record.config, device, occupied.peak)
                self._needs.keep(occupied.record.config, device, occupied.peak)
        if self._is_script and not self._machine.on_cpu:
            # What the others hold was known from the sum, of which a part has gone.
            self._occupancy.read()
            self._look_at_sums()

    def _look_at_sums(self) -> None:
        """Pass to admission what scripts hold together, if nobody knows what each of them does."""
        if self._machine.comparable:
            return
        part: dict[int, float] = {}
        for device in self._occupancy.reading:
            there = self._occupancy.on(device.key)
            before = self._occupancy.before.get(device.key)
            held = _held_together(before, device, there) if before and there else None
            if held is None:
                continue
            taken = min(1.0, held / sum(occupied.slot.memory_bytes for occupied in there))
            for occupied in there:
                part[occupied.slot.index] = min(taken, part.get(occupied.slot.index, 1.0))
        for occupied in self._occupancy.slots.values():
            if occupied.slot.index in part:
                occupied.used = int(part[occupied.slot.index] * occupied.slot.memory_bytes)
                self._admission.observe(occupied.slot, occupied.used)

    def _observe(self, occupied: OccupiedSlot, held: int) -> bool:
        occupied.observe(held)
        self._admission.observe(occupied.slot, held)
        return self._believe(occupied)

    def _believe(self, occupied: OccupiedSlot) -> bool:
        """Believe the measurement of a trial that has come through its first steps, if it grew."""
        if not occupied.settle():
            return False
        for device in occupied.devices:
            self._needs.measured(occupied.record.config, device, occupied.peak)
        need = occupied.need
        promised = self._needs.with_headroom(occupied.peak)
        gives_way = self._needs.believes_less and need.source == "declared"
        if need.memory_bytes is None or (gives_way and promised < occupied.slot.memory_bytes):
            need = Need(promised, "measured")
            if promised < occupied.slot.memory_bytes:
                occupied.slot = self._admission.shrink(occupied.slot, promised)
        occupied.note_need(need)
        occupied.record.need["peak_mib"] = to_mib(occupied.peak)
        return True

    def _held_by_script(self, occupied: OccupiedSlot) -> int | None:
        """Return what a script holds on each device, seen from outside; None if it is unknown."""
        assert occupied.pid is not None
        if self._machine.on_cpu:
            return self._machine.tree_bytes(occupied.pid)
        row, now = self._row(occupied), self._occupancy.reading
        if row is not None or not occupied.undisturbed:
            return row
        # Before its first report it may not have touched the GPU, and what rises is another's.
        if not occupied.reports and any(device.processes is not None for device in now):
            return None
        # Nothing else of ours came or went there, so the change is taken to be this trial's.
        present = {device.key: device for device in now}
        pairs = [(b, present[b.key]) for b in occupied.devices if b.key in present]
        changes = [_change(before, after) for before, after in pairs]
        known = [change for change in changes if change is not None]
        return max([0, *known]) if len(known) == len(changes) else None

    def _row(self, occupied: OccupiedSlot) -> int | None:
        """Return what the driver reports that an attempt's processes hold; None if it does not."""
        if not self._machine.comparable or occupied.pid is None:
            return None
        pids = self._machine.family(occupied.pid)
        rows = [
            sum(each.memory_bytes or 0 for each in device.processes or () if each.pid in pids)
            for device in self._occupancy.reading
            if device.key in occupied.keys
        ]
        return max(rows, default=0) or None


def _held_together(before: Device, now: Device, there: Sequence[OccupiedSlot]) -> int | None:
    """Return what scripts hold together on a device whose rows name nobody; None for no idea.

    That is enough for admission to know how much of what they were promised is taken. It does not
    show what each of them takes, so nothing is learned from it. `before` is the device when the
    first of them came to it and none of ours was there.
    """
    # Before its first report one may not have touched the GPU, and what rises is another's.
    if not all(occupied.reports for occupied in there):
        return None
    theirs = {process.pid for process in before.processes or ()}
    new = [process for process in now.processes or () if process.pid not in theirs]
    if new or theirs:
        rows = [process.memory_bytes for process in new if process.computes]
        known = [row for row in rows if row is not None]
        return sum(known) if len(known) == len(rows) == len(there) else None
    # In many containers no process is listed at all.
    return max(0, now.used_bytes - before.used_bytes)


def _change(before: Device, now: Device) -> int | None:
    """Return by how much a device's used memory rose that is not known to be another user's.

    In a container the driver may list processes under ids that mean nothing here; still, those that
    were there before are others'. Of several that are new nobody knows which is the trial's: None.
    """
    change = now.used_bytes - before.used_bytes
    if before.processes is None or now.processes is None:
        return change
    theirs = {process.pid: process.memory_bytes or 0 for process in before.processes}
    new = [process for process in now.processes if process.pid not in theirs]
    if sum(process.computes for process in new) > 1:
        return None
    held = sum(process.memory_bytes or 0 for process in now.processes if process.pid in theirs)
    return change - (held - sum(theirs.values()))
