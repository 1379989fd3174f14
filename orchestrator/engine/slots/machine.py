"""The machine that a sweep runs on, and how its user wants it to be used."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.engine.child.memory import tree_bytes
from orchestrator.placement import Device, Host, Plan, Policy
from orchestrator.placement.concurrency import Window
from orchestrator.placement.hardware import (
    HostReader,
    Reader,
    choose,
    family,
    members,
    pids_comparable,
)


class Machine:
    """The devices that a sweep may use (``--gpus``), read at each call, and the clock.

    Attributes:
        on_cpu: True if trials run on CPUs.
        cores: for all trials together.
        comparable: whether the driver's process ids are those of this process.
        is_usable: whether trials may start there now.
        lacking: what nothing can start without, for people; "" if trials may start.
    """

    is_usable = True
    lacking = ""

    def __init__(self, plan: Plan, gpus: str | None = None) -> None:
        self.on_cpu = plan.on_cpu
        self._host = HostReader()
        self.cores = self._host.read().cores
        self.comparable = pids_comparable()
        self._reader = None if self.on_cpu else Reader()
        self._allowed: frozenset[str] | None = None
        if self._reader is not None and gpus is not None:
            self._allowed = frozenset(device.key for device in choose(self._reader.read(), gpus))

    def parts(self, plan: Plan) -> Mapping[str, tuple[Machine, Plan]]:
        """Return the machines of this one by name, each with its part of the plan."""
        return {"": (self, plan)}

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

    def family(self, pid: int | None = None) -> frozenset[int]:
        """Return a process (None for this one) and all its descendants."""
        return family([os.getpid()]) if pid is None else members(pid)

    def tree_bytes(self, pid: int) -> int:
        """Return the RAM of a process and all its descendants."""
        return tree_bytes(pid)

    def clock(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def close(self) -> None:
        """Close the driver's library."""
        if self._reader is not None:
            self._reader.close()


@dataclass(frozen=True)
class SlotOptions:
    """How a sweep uses the machine.

    Attributes:
        policy: limits other than memory.
        gpus: the GPUs to use (``--gpus``); None for all.
        wait_timeout_s: how long it waits for memory that others hold; None for ever.
        window: how much is measured before a number of trials at once is judged.
    """

    policy: Policy = field(default_factory=Policy)
    gpus: str | None = None
    wait_timeout_s: float | None = None
    window: Window | None = None
