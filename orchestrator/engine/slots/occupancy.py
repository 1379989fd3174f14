"""The devices of a sweep as last read, the attempts on them, and what each attempt holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.files import to_mib
from orchestrator.placement import CPU, Device, Host, Need, Plan, Slot
from orchestrator.placement.admission import Admission, AdmissionLimits
from orchestrator.placement.hardware import Ours, who_computes
from orchestrator.placement.leases import Leases
from orchestrator.runs import TrialRecord

GREW = 1.02
"""The rise of a peak from which it is believed again."""

LOOK_EVERY_S = 2.0
"""How often the memory of scripts is read; they do not report it."""

_NO_LIMIT = 1 << 20


@dataclass
class OccupiedSlot:
    """A running attempt with its slot and its memory; only `Occupancy` changes it.

    Attributes:
        devices: as they were just before it started.
        need: what it asked for.
        oom_kills: count of the host's memory guard before it started.
        used: bytes that it holds on each of its devices; None if nobody has reported it.
        peak: the most that it was seen to hold; 0 if nobody has reported it.
        believed: the peak that was believed last.
        reports: True once it has reported.
    """

    record: TrialRecord
    slot: Slot
    devices: list[Device]
    need: Need
    oom_kills: int
    used: int | None = None
    peak: int = 0
    believed: int = 0
    pid: int | None = None
    reports: bool = False

    @property
    def keys(self) -> list[str]:
        """Keys of its devices."""
        return [device.key for device in self.devices]

    @property
    def total_bytes(self) -> int:
        """All memory of its smallest device; 0 if it cannot be read."""
        return min((device.total_bytes for device in self.devices), default=0)

    @property
    def retries(self) -> int:
        """How often its trial was tried again after an out-of-memory."""
        return int(self.record.need.get("retries", 0))

    @property
    def cap_bytes(self) -> int | None:
        """What it may hold on its GPU; None without a limit.

        A trial of unknown need has its GPU to itself until it was measured.
        """
        on_cpu = any(device.id == CPU for device in self.devices)
        return None if on_cpu or self.need.memory_bytes is None else self.slot.memory_bytes

    def note_need(self, need: Need) -> None:
        """Write a need into the trial's record; what its earlier attempts learned is kept."""
        memory = need.memory_bytes
        self.record.need = dict(self.record.need) | {
            "memory_mib": None if memory is None else to_mib(memory),
            "source": need.source,
        }


class Occupancy:
    """Devices and attempts, for all that places trials.

    Attributes:
        slots: the running attempts, by id.
        reading: the devices as last read; the host's memory for trials on CPUs.
        admission: decides which trial has room; learns what attempts hold.
    """

    def __init__(
        self,
        plan: Plan,
        options: SlotOptions,
        machine: Machine,
        leases: Leases | None,
        *,
        is_script: bool,
    ) -> None:
        self.slots: dict[str, OccupiedSlot] = {}
        self.reading: list[Device] = []
        self._machine = machine
        self._is_script = is_script
        self._looked_at = -math.inf
        # By key of a device: the device just before the first attempt of ours came to it.
        self._before: dict[str, Device] = {}
        self.read()
        cores, at_once = machine.cores, _NO_LIMIT
        if machine.on_cpu:
            # The plan leaves busy cores to other users.
            workers = options.policy.workers_per_trial
            cores = min(cores, sum(slot.threads + workers for slot in plan.slots))
            at_once = plan.max_parallel
        self.admission = Admission(
            plan,
            options.policy,
            AdmissionLimits(cores, at_once),
            read=self.read,
            busy=self.is_busy,
            leases=leases,
            clock=machine.clock,
        )

    def read(self) -> Sequence[Device] | Host:
        """Read the machine again."""
        read = self._machine.read()
        self.reading = [read.device()] if isinstance(read, Host) else list(read)
        return read

    def by_device(self) -> dict[str, list[OccupiedSlot]]:
        """Return the attempts that run on each device, by its key."""
        found: dict[str, list[OccupiedSlot]] = {}
        for occupied in self.slots.values():
            for key in occupied.keys:
                found.setdefault(key, []).append(occupied)
        return found

    def on(self, key: str) -> list[OccupiedSlot]:
        """Return the attempts that run on a device."""
        return [occupied for occupied in self.slots.values() if key in occupied.keys]

    def enter(self, attempt_id: str, record: TrialRecord, slot: Slot, need: Need) -> OccupiedSlot:
        """Add an attempt that starts, and write its need into its record."""
        ids = slot.device.split(",")
        devices = [device for device in self.reading if device.id in ids]
        occupied = OccupiedSlot(record, slot, devices, need, self._machine.oom_kills())
        for device in devices:
            if not self.on(device.key):
                self._before[device.key] = device
        occupied.note_need(need)
        self.slots[attempt_id] = occupied
        return occupied

    def leave(self, attempt_id: str) -> OccupiedSlot | None:
        """Remove an attempt that has ended and free its slot; None if it is unknown."""
        occupied = self.slots.pop(attempt_id, None)
        if occupied is None:
            return None
        if self._is_script and not self._machine.on_cpu:
            # What the others hold was known from the sum, of which a part has gone.
            self.read()
            self._look_at_sums()
        self.admission.give_back(occupied.slot)
        return occupied

    def is_busy(self, device: Device) -> bool:
        """Return whether another user computes on a device."""
        there = self.on(device.key)
        # An attempt that nobody measured may hold all that it was promised.
        held = sum(each.slot.memory_bytes if each.used is None else each.used for each in there)
        ours = Ours(pids=self._machine.family(), memory_bytes=held, trials=len(there))
        return bool(who_computes(device, ours, comparable=self._machine.comparable))

    def is_shared(self, key: str) -> bool:
        """Return whether another user computed on the device of that key when it was last read."""
        return any(self.is_busy(device) for device in self.reading if device.key == key)

    def note_step(self, occupied: OccupiedSlot) -> None:
        """Note that an attempt has reported a step."""
        occupied.reports = True

    def note_memory(self, occupied: OccupiedSlot, memory_bytes: int, pid: int) -> None:
        """Note what an attempt reports of itself (`SlotAllocator.holds`)."""
        occupied.pid = pid
        if memory_bytes <= 0:
            return
        if not self._machine.on_cpu:
            self.read()
            row = self._row(occupied)
            # A peak that is over shows in no row; what torch reserved lacks the context.
            if row is None or row < memory_bytes:
                row = memory_bytes + CONTEXT_BYTES
            memory_bytes = row
        self._observe(occupied, memory_bytes)

    def look(self) -> list[OccupiedSlot]:
        """Read what scripts hold, if it is time; return those of which it is known."""
        now = self._machine.monotonic()
        if not self._is_script or now - self._looked_at < LOOK_EVERY_S:
            return []
        watched = [occupied for occupied in self.slots.values() if occupied.pid is not None]
        if not watched:
            return []
        self._looked_at = now
        if not self._machine.on_cpu:
            self.read()
        seen = []
        for occupied in watched:
            held = self._held_by_script(occupied)
            if held:
                self._observe(occupied, held)
                seen.append(occupied)
        if len(seen) < len(watched) and not self._machine.on_cpu:
            self._look_at_sums()
        return seen

    def new_peak(self, occupied: OccupiedSlot) -> int | None:
        """Return a peak to believe: the attempt has reported, and the peak grew; else None."""
        if not occupied.reports or occupied.peak <= occupied.believed * GREW:
            return None
        occupied.believed = occupied.peak
        return occupied.peak

    def shrink(self, occupied: OccupiedSlot, memory_bytes: int) -> None:
        """Lower what an attempt may take."""
        occupied.slot = self.admission.shrink(occupied.slot, memory_bytes)

    def _observe(self, occupied: OccupiedSlot, held: int) -> None:
        occupied.used, occupied.peak = held, max(occupied.peak, held)
        self.admission.observe(occupied.slot, held)

    def _look_at_sums(self) -> None:
        """Pass to admission what scripts hold together, if the share of each is unknown."""
        if self._machine.comparable:
            return
        part: dict[int, float] = {}
        for device in self.reading:
            there = self.on(device.key)
            before = self._before.get(device.key)
            held = _held_together(before, device, there) if before and there else None
            if held is None:
                continue
            taken = min(1.0, held / sum(occupied.slot.memory_bytes for occupied in there))
            for occupied in there:
                part[occupied.slot.index] = min(taken, part.get(occupied.slot.index, 1.0))
        for occupied in self.slots.values():
            if occupied.slot.index in part:
                occupied.used = int(part[occupied.slot.index] * occupied.slot.memory_bytes)
                self.admission.observe(occupied.slot, occupied.used)

    def _held_by_script(self, occupied: OccupiedSlot) -> int | None:
        """Return what a script holds on each device, seen from outside; None if unknown."""
        assert occupied.pid is not None
        if self._machine.on_cpu:
            return self._machine.tree_bytes(occupied.pid)
        row = self._row(occupied)
        if row is not None or not self.admission.was_alone(occupied.slot):
            return row
        # Before its first report it may not have touched the GPU, and what rises is another's.
        if not occupied.reports and any(each.processes is not None for each in self.reading):
            return None
        # Nothing else of ours came or went there, so the change is taken to be this trial's.
        now = {device.key: device for device in self.reading}
        changes = [_change(old, now[old.key]) for old in occupied.devices if old.key in now]
        known = [change for change in changes if change is not None]
        return max([0, *known]) if len(known) == len(changes) else None

    def _row(self, occupied: OccupiedSlot) -> int | None:
        """Return what the driver reports for an attempt's processes; None if it does not."""
        if not self._machine.comparable or occupied.pid is None:
            return None
        pids = self._machine.family(occupied.pid)
        rows = [
            sum(each.memory_bytes or 0 for each in device.processes or () if each.pid in pids)
            for device in self.reading
            if device.key in occupied.keys
        ]
        return max(rows, default=0) or None


def _held_together(before: Device, now: Device, there: Sequence[OccupiedSlot]) -> int | None:
    """Return what scripts hold together on a device whose rows name nobody; None if unknown.

    That is enough for admission to know how much of what they were promised is taken. It does not
    show what each of them takes, so nothing is learned from it. `before` is the device when the
    first of them came to it.
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
    """Return by how much a device's used memory rose, without the rise of other users' processes.

    In a container the driver may list processes under ids that mean nothing here; still, those that
    were there before are others'. None if several are new: nobody knows which is the trial's.
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
