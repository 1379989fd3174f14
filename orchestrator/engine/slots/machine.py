"""What a sweep runs on, read anew as often as asked: its GPUs, or the host's memory.

How a sweep uses the machine, as its user asked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.engine.child.memory import tree_bytes
from orchestrator.placement import CPU, Device, Host, Plan, Policy
from orchestrator.placement.concurrency import Window
from orchestrator.placement.hardware import HostReader, Reader, choose, family, pids_comparable


class Machine(Protocol):
    """What `SlotAllocator` asks of the machine.

    Attributes:
        on_cpu: True where trials run on CPUs.
        cores: that all trials together may use.
        comparable: whether the driver counts processes as we do.
    """

    on_cpu: bool
    cores: int
    comparable: bool

    def read(self) -> Sequence[Device] | Host:
        """Return the devices, or the host for trials on CPUs, as they are now."""

    def oom_kills(self) -> int:
        """Return how many processes the host's memory guard has killed here so far."""

    def ours(self) -> frozenset[int]:
        """Return this process and all that descends from it."""

    def below(self, pid: int) -> frozenset[int]:
        """Return a process and all that descends from it."""

    def tree_bytes(self, pid: int) -> int:
        """Return the RAM of a process and all that descends from it."""


class ThisMachine:
    """The devices of this machine that a sweep may use; a `Machine`.

    Args:
        plan: tells whether trials run on GPUs.
        gpus: the GPUs to use (``--gpus``); None for all.
    """

    def __init__(self, plan: Plan, gpus: str | None = None) -> None:
        self.on_cpu = all(slot.device == CPU for slot in plan.slots)
        self._host = HostReader()
        self.cores = self._host.read().cores
        self.comparable = pids_comparable()
        self._reader = None if self.on_cpu else Reader()
        self._allowed: frozenset[str] | None = None
        if self._reader is not None and gpus is not None:
            self._allowed = frozenset(device.key for device in choose(self._reader.read(), gpus))

    def read(self) -> Sequence[Device] | Host:
        """Return the devices, or the host for trials on CPUs, as they are now."""
        if self._reader is None:
            return self._host.read()
        devices = self._reader.read()
        if self._allowed is None:
            return devices
        return [device for device in devices if device.key in self._allowed]

    def oom_kills(self) -> int:
        """Return how many processes the host's memory guard has killed here so far."""
        return self._host.oom_kills()

    def ours(self) -> frozenset[int]:
        """Return this process and all that descends from it."""
        return family([os.getpid()])

    def below(self, pid: int) -> frozenset[int]:
        """Return a process and all that descends from it."""
        return family([pid])

    def tree_bytes(self, pid: int) -> int:
        """Return the RAM of a process and all that descends from it."""
        return tree_bytes(pid)

    def close(self) -> None:
        """Let go of the driver's library."""
        if self._reader is not None:
            self._reader.close()


@dataclass(frozen=True)
class SlotOptions:
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
