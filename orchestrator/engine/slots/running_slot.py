"""An attempt that runs, with its room and what it was seen to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.engine.slots.machine import Machine
from orchestrator.placement import Device, Need, Slot
from orchestrator.runs import TrialRecord


@dataclass
class OccupiedSlot:
    """An attempt that runs.

    Attributes:
        record: of its trial.
        slot: its room.
        devices: as they were just before it started.
        need: what it asked for.
        kills: of the host's memory guard before it started.
        used: bytes that it holds on each of its devices; None where nobody has told.
        peak: most that it was seen to hold; 0 where nobody has told.
        settled: the peak that was last believed.
        pid: its process; None until it says so.
        reports: True once it has reported.
        undisturbed: True while no other trial of ours has come or gone on its devices.
    """

    record: TrialRecord
    slot: Slot
    devices: list[Device]
    need: Need
    kills: int
    used: int | None = None
    peak: int = 0
    settled: int = 0
    pid: int | None = None
    reports: bool = False
    undisturbed: bool = True

    @property
    def keys(self) -> list[str]:
        """Keys of its devices."""
        return [device.key for device in self.devices]

    def shares(self, other: OccupiedSlot) -> bool:
        """Tell whether both have a device in common."""
        return not set(self.keys).isdisjoint(other.keys)

    @property
    def held(self) -> int:
        """Bytes that count as its own on each device: all it was promised where nobody told."""
        return self.slot.memory_bytes if self.used is None else self.used


def with_context(
    live: OccupiedSlot, reserved_bytes: int, machine: Machine, now: Sequence[Device]
) -> int:
    """Return what a trainer holds on its GPU.

    Args:
        live: the attempt.
        reserved_bytes: the peak of what torch reserved, as it says itself.
        machine: knows its processes.
        now: the devices as they are.
    """
    row = _row(live, machine, now)
    # A peak that is over shows in no row.
    return reserved_bytes + CONTEXT_BYTES if row is None or row < reserved_bytes else row


def held_by_script(live: OccupiedSlot, machine: Machine, now: Sequence[Device]) -> int | None:
    """Return what a script holds on each device, seen from outside; None where that is unknown.

    Args:
        live: the attempt; its process is known.
        machine: knows its processes.
        now: the devices as they are.
    """
    assert live.pid is not None
    if machine.on_cpu:
        return machine.tree_bytes(live.pid)
    row = _row(live, machine, now)
    if row is not None or not live.undisturbed:
        return row
    # Before its first report it may not have touched the GPU, and what rises is another's.
    if not live.reports and any(device.processes is not None for device in now):
        return None
    # Nothing else of ours came or went there, so the change is taken to be this trial's.
    present = {device.key: device for device in now}
    changes = [
        _change(before, present[before.key]) for before in live.devices if before.key in present
    ]
    known = [change for change in changes if change is not None]
    return max([0, *known]) if len(known) == len(changes) else None


def held_together(before: Device, now: Device, there: Sequence[OccupiedSlot]) -> int | None:
    """Return what scripts hold together on a device whose rows name nobody; None for no idea.

    It tells admission how much of what they were promised is taken. What each of them takes it does
    not tell, so that nothing is learned from it.

    Args:
        before: the device when the first of them came to it and none of ours was there.
        now: the device as it is.
        there: the attempts on it.
    """
    # Before its first report one may not have touched the GPU, and what rises is another's.
    if not all(live.reports for live in there):
        return None
    theirs = {process.pid for process in before.processes or ()}
    new = [process for process in now.processes or () if process.pid not in theirs]
    if new or theirs:
        rows = [process.memory_bytes for process in new if process.computes]
        told = [row for row in rows if row is not None]
        return sum(told) if len(told) == len(rows) == len(there) else None
    # In many containers no process is listed at all.
    return max(0, now.used_bytes - before.used_bytes)


def _change(before: Device, now: Device) -> int | None:
    """Return by how much a device's used memory rose that is not known to be somebody else's.

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


def _row(live: OccupiedSlot, machine: Machine, now: Sequence[Device]) -> int | None:
    """Return what the driver says that an attempt's processes hold; None where it does not."""
    if not machine.comparable or live.pid is None:
        return None
    pids = machine.below(live.pid)
    most = 0
    for device in now:
        if device.key in live.keys:
            rows = [p.memory_bytes for p in device.processes or () if p.pid in pids]
            most = max(most, sum(row for row in rows if row is not None))
    return most or None
