"""The devices of a sweep as they were last read, and the attempts that occupy them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.engine.slots.machine import Machine
from orchestrator.files import to_mib
from orchestrator.placement import CPU, Device, Host, Need, Slot
from orchestrator.placement.hardware import Ours, who_computes
from orchestrator.runs import TrialRecord

GREW = 1.02
"""From which rise on a peak is believed again."""


@dataclass
class OccupiedSlot:
    """An attempt that runs, with its room and what it was seen to hold.

    Attributes:
        devices: as they were just before it started.
        need: what it asked for.
        oom_kills: of the host's memory guard before it started.
        used: bytes that it holds on each of its devices; None if nobody has reported it.
        peak: most that it was seen to hold; 0 if nobody has reported it.
        settled: the peak that was last believed.
        reports: True once it has reported.
        undisturbed: True while no other trial of ours has come or gone on its devices.
    """

    record: TrialRecord
    slot: Slot
    devices: list[Device]
    need: Need
    oom_kills: int
    used: int | None = None
    peak: int = 0
    settled: int = 0
    pid: int | None = None
    reports: bool = False
    undisturbed: bool = True

    def observe(self, held: int) -> None:
        """Note the bytes that it holds on each of its devices."""
        self.used, self.peak = held, max(self.peak, held)

    def settle(self) -> bool:
        """Return whether to believe its peak now: it has come through a step, and the peak grew."""
        if not self.reports or self.peak <= self.settled * GREW:
            return False
        self.settled = self.peak
        return True

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
    def held(self) -> int:
        """Bytes that count as its own on each device: all it was promised if nobody reported."""
        return self.slot.memory_bytes if self.used is None else self.used

    @property
    def cap_bytes(self) -> int | None:
        """What it may hold on its GPU; None if it is not held to anything.

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
        machine: what there is.
        slots: the attempts that run, by id.
        reading: the devices as they were last read; the host's memory for trials on CPUs.
        before: by key of a device, it as it was just before an attempt came to it when none of
            ours was there.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.slots: dict[str, OccupiedSlot] = {}
        self.reading: list[Device] = []
        self.before: dict[str, Device] = {}
        self.read()

    def read(self) -> Sequence[Device] | Host:
        """Read the machine again."""
        read = self.machine.read()
        self.reading = [read.device()] if isinstance(read, Host) else list(read)
        return read

    def on(self, key: str) -> list[OccupiedSlot]:
        """Return the attempts that run on a device."""
        return [occupied for occupied in self.slots.values() if key in occupied.keys]

    def enter(self, attempt_id: str, occupied: OccupiedSlot) -> None:
        """Take in an attempt that starts."""
        for device in occupied.devices:
            if not self.on(device.key):
                self.before[device.key] = device
        occupied.undisturbed = not self._disturb(occupied)
        self.slots[attempt_id] = occupied

    def leave(self, attempt_id: str) -> OccupiedSlot | None:
        """Forget an attempt that has ended, and return it; None if it is not known."""
        occupied = self.slots.pop(attempt_id, None)
        if occupied is not None:
            self._disturb(occupied)
        return occupied

    def is_busy(self, device: Device) -> bool:
        """Return whether another user computes on a device."""
        there = self.on(device.key)
        ours = Ours(
            pids=self.machine.family(),
            memory_bytes=sum(occupied.held for occupied in there),
            trials=len(there),
        )
        return bool(who_computes(device, ours, comparable=self.machine.comparable))

    def is_shared(self, key: str) -> bool:
        """Return whether another user computes on the device of that key, as it was last read."""
        return any(self.is_busy(device) for device in self.reading if device.key == key)

    def _disturb(self, occupied: OccupiedSlot) -> bool:
        """Note that an attempt comes or goes; return whether it shares a device with another."""
        others = [other for key in occupied.keys for other in self.on(key) if other is not occupied]
        for other in others:
            other.undisturbed = False
        return bool(others)
