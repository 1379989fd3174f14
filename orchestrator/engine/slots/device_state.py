"""Where a sweep's trials run: the devices as they were last read, and the attempts on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.engine.slots.machine import Machine
from orchestrator.engine.slots.running_slot import OccupiedSlot
from orchestrator.files import to_mib
from orchestrator.placement import Device, Host, Need
from orchestrator.placement.hardware import Ours, who_computes

Tell = Callable[..., None]


class Occupancy:
    """Devices and attempts, for all that places trials.

    Args:
        machine: what there is.

    Attributes:
        machine: the same.
        live: the attempts that run, by id.
        reading: the devices as they were last read; the host's memory for trials on CPUs.
        before: by key of a device, it as it was just before an attempt came to it when none of
            ours was there.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.live: dict[str, OccupiedSlot] = {}
        self.reading: list[Device] = []
        self.before: dict[str, Device] = {}

    def read(self) -> Sequence[Device] | Host:
        """Read the machine anew."""
        read = self.machine.read()
        self.reading = [read.device()] if isinstance(read, Host) else list(read)
        return read

    def on(self, device: Device) -> list[OccupiedSlot]:
        """Return the attempts that run on a device."""
        return [live for live in self.live.values() if device.key in live.keys]

    def enter(self, attempt_id: str, live: OccupiedSlot) -> None:
        """Take in an attempt that starts."""
        for device in live.devices:
            if not self.on(device):
                self.before[device.key] = device
        live.undisturbed = not self.disturbed_by(live)
        self.live[attempt_id] = live

    def is_busy(self, device: Device) -> bool:
        """Tell whether somebody else computes on a device."""
        there = self.on(device)
        ours = Ours(
            pids=self.machine.ours(),
            memory_bytes=sum(live.held for live in there),
            trials=len(there),
        )
        return bool(who_computes(device, ours, comparable=self.machine.comparable))

    def is_shared(self, key: str) -> bool:
        """Tell of a device's key whether somebody else computes there, as it was last read."""
        return any(self.is_busy(device) for device in self.reading if device.key == key)

    def disturbed_by(self, live: OccupiedSlot) -> bool:
        """Note that an attempt comes or goes; tell whether it shares a device with another."""
        others = [other for other in self.live.values() if other is not live and other.shares(live)]
        for other in others:
            other.undisturbed = False
        return bool(others)


def note_need(live: OccupiedSlot, need: Need) -> None:
    """Write a need into a trial's record; what its earlier attempts learned is kept."""
    memory = need.memory_bytes
    live.record.need = dict(live.record.need) | {
        "memory_mib": None if memory is None else to_mib(memory),
        "source": need.source,
    }


def cap_of(live: OccupiedSlot, *, on_cpu: bool) -> int | None:
    """Return what an attempt may hold on its GPU; None where it is not held to anything.

    A trial of unknown need has its GPU to itself until it was measured.
    """
    known = live.need.memory_bytes is not None and not on_cpu
    return live.slot.memory_bytes if known else None
