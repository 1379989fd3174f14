"""The nodes of a cluster as machines for the allocator of slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from orchestrator.engine.runners.cluster.agent import Snapshot
from orchestrator.engine.slots.machine import Machine
from orchestrator.placement import Device, Host, Plan


class NodeMachine(Machine):
    """A node as its agent read it last.

    Args:
        snapshot: returns what was read last.
        is_ready: whether the node's agent answers.
    """

    def __init__(
        self, plan: Plan, snapshot: Callable[[], Snapshot], is_ready: Callable[[], bool]
    ) -> None:
        self.on_cpu = plan.on_cpu
        self._snapshot = snapshot
        self._is_ready = is_ready

    @property
    def cores(self) -> int:  # type: ignore[override]
        """Cores for all trials together."""
        return self._snapshot().host.cores

    @property
    def comparable(self) -> bool:  # type: ignore[override]
        """Whether the driver's process ids are those of its agent."""
        return self._snapshot().comparable

    @property
    def is_usable(self) -> bool:  # type: ignore[override]
        """Whether trials may start there now."""
        return self._is_ready()

    def read(self) -> Sequence[Device] | Host:
        """Return the devices, or the host for trials on CPUs, as they were read last."""
        return self._snapshot().host if self.on_cpu else self._snapshot().devices

    def oom_kills(self) -> int:
        """Return how many processes the host's memory guard has killed there so far."""
        return self._snapshot().oom_kills

    def family(self, pid: int | None = None) -> frozenset[int]:
        """Return a process of that node with its descendants; None for all of this sweep."""
        known = self._snapshot()
        return known.ours if pid is None else known.families.get(pid, frozenset([pid]))

    def tree_bytes(self, pid: int) -> int:
        """Return the RAM of a process of that node and all its descendants."""
        return self._snapshot().ram.get(pid, 0)

    def close(self) -> None:
        """Do nothing: the agent closes the driver's library."""


class ClusterMachine(Machine):
    """All nodes of a cluster.

    Args:
        parts: returns the machines of the nodes with their plans, by name.
        lacking: returns what nothing can start without, as `Machine.lacking`.
    """

    def __init__(
        self,
        plan: Plan,
        parts: Callable[[], Mapping[str, tuple[Machine, Plan]]],
        lacking: Callable[[], str] = lambda: "",
    ) -> None:
        self.on_cpu = plan.on_cpu
        self.comparable = False
        self._parts = parts
        self._lacking = lacking

    @property
    def lacking(self) -> str:  # type: ignore[override]
        """What nothing can start without, for people; "" if trials may start."""
        return self._lacking()

    def parts(self, plan: Plan) -> Mapping[str, tuple[Machine, Plan]]:
        """Return the machines of the nodes, each with its part of the plan."""
        return self._parts()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def close(self) -> None:
        """Do nothing: the agents close what they opened."""
