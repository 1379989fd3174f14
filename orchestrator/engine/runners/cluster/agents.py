"""A sweep's part of a Ray cluster: its agents, where trials may run, and running them there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ray

from orchestrator.engine.child.process import Message, is_last
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.runners.cluster.agent import LOST
from orchestrator.engine.runners.cluster.fence import LEASE_S
from orchestrator.engine.runners.cluster.link import Link, SweepNeeds
from orchestrator.engine.runners.cluster.machines import ClusterMachine, NodeMachine
from orchestrator.engine.slots.machine import Machine
from orchestrator.errors import SweepError
from orchestrator.placement import (
    Device,
    Need,
    Plan,
    Policy,
    cluster_plan,
)
from orchestrator.sweepfile.model import Spec

NodeView = cluster_plan.NodeView

LOOK_EVERY_S = 2.0
"""How often the driver looks which nodes there are."""

JOIN_WITHIN_S = 60.0
"""How long agents have to start before a sweep is planned; later ones join while it runs."""

_WAIT_S = 0.1


class Cluster:
    """The nodes of a cluster that was joined, each with an agent; `close` ends them.

    Args:
        needs: what the trials need on each node.
        lease_s: how long trials continue without the driver.

    Attributes:
        is_abandoned: True once the cluster's head was lost, so that no call to Ray returns.
    """

    def __init__(self, needs: SweepNeeds, lease_s: float = LEASE_S) -> None:
        self._needs = needs
        self._lease_s = lease_s
        self._links: dict[str, Link] = {}
        self._lost: list[Link] = []
        self._plans: dict[str, Plan] = {}
        self._machines: dict[str, NodeMachine] = {}
        self._decide: Callable[[list[NodeView]], dict[str, Plan]] = lambda nodes: {}
        self._names: dict[str, str] = {}  # by Ray's id of the node
        self._looked_at = 0.0
        self._sent = 0
        self.is_abandoned = False
        self._error: Exception | None = None

    def wait_for_agents(self) -> None:
        """Wait until each node's agent has answered; `SweepError` if none does."""
        deadline = time.monotonic() + JOIN_WITHIN_S
        self._look()
        while time.monotonic() < deadline:
            self._serve(lambda link, attempt_id, messages: None, lambda attempt_id: False)
            if all(link.snapshot is not None or link.is_dead for link in self._links.values()):
                break
        if not any(link.is_ready for link in self._links.values()):
            failures = {link.failure for link in self._links.values() if link.failure}
            raise SweepError(
                "--address: no node of the cluster can run trials"
                + (f" ({failures.pop()})" if failures else "")
            )

    def views(self) -> list[NodeView]:
        """Return what trials may use of each node now."""
        found = []
        for name, link in self._links.items():
            if link.is_ready and link.snapshot is not None:
                found.append(NodeView(name, link.snapshot.devices, link.snapshot.host))
        return found

    def decide(self, spec: Spec, policy: Policy, known: Callable[[Sequence[Device]], Need]) -> Plan:
        """Decide where the trials of a sweep run; nodes that join later are planned alike."""
        self._decide = lambda nodes: cluster_plan.decide_nodes(spec, nodes, policy, known=known)
        self._plans = self._decide(self.views())
        return cluster_plan.join_plans(self._plans, policy)

    def machine(self, plan: Plan) -> Machine:
        """Return the nodes as machines for the allocator."""
        return ClusterMachine(plan, self._parts)

    def run(self, conductor: Conductor, tick: Callable[[], None]) -> None:
        """Run what `conductor` hands out, until nothing is left; errors are kept."""

        def on_messages(link: Link, attempt_id: str, messages: list[Message]) -> None:
            conductor.on_messages(attempt_id, [one for one in messages if one[0] != LOST])
            if is_last(messages) or messages[-1][0] == LOST:
                del link.attempts[attempt_id]
                lost = messages[-1][1] if messages[-1][0] == LOST else ""
                conductor.on_gone(attempt_id, f"node {link.node}: {lost}" if lost else "")

        try:
            while not conductor.is_over:
                if self.is_abandoned:
                    return
                tick()
                while self._hand_out(conductor):
                    pass
                self._serve(on_messages, conductor.is_ending)
                for link in [each for each in self._lost if each.is_over]:
                    self._lost.remove(link)
                    for attempt_id in sorted(link.attempts):
                        conductor.on_gone(attempt_id, f"node {link.node} was lost")
        except Exception as error:  # of any kind: it is raised in the driver's own thread
            self._error = error

    def abandon(self, conductor: Conductor, reason: str) -> None:
        """End the sweep from another thread, without a call to Ray."""
        self.is_abandoned = True
        conductor.stop(reason)

    def raise_error(self) -> None:
        """Raise what `run` ended with, if it did."""
        if self._error is not None:
            raise self._error from None

    def close(self) -> None:
        """End all agents."""
        for link in self._links.values():
            link.close()

    def _hand_out(self, conductor: Conductor) -> bool:
        """Send the next attempt to its node; return whether there is one."""
        attempt_id = f"{self._sent:05d}"
        attempt = conductor.next_attempt(attempt_id)
        if attempt is None:
            return False
        self._sent += 1
        self._links[attempt.slot["node"]].start(attempt_id, attempt)
        return True

    def _serve(
        self,
        on_messages: Callable[[Link, str, list[Message]], None],
        is_ending: Callable[[str], bool],
    ) -> None:
        """Exchange messages with all agents for a moment."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._look()
        for link in self._links.values():
            link.exchange([each for each in link.attempts if is_ending(each)])
        calls = [call for link in self._links.values() if (call := link.pending()) is not None]
        if not calls:
            time.sleep(_WAIT_S)
            return
        ray.wait(calls, num_returns=1, timeout=_WAIT_S)
        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        for link in list(self._links.values()):
            link.receive(set(ready), partial(on_messages, link))
            if link.is_lost:
                self._lost.append(self._links.pop(link.node))
                link.close()

    def _look(self) -> None:
        """Start agents on nodes that have none."""
        self._looked_at = time.monotonic()
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        for link in self._lost:
            if link.is_dead and link.node_id in alive:
                link.ended_alone()
        for node_id, node in alive.items():
            name = self._name(node_id, node["NodeManagerHostname"])
            if name not in self._links:
                self._links[name] = Link(name, node_id, self._needs, self._lease_s)

    def _name(self, node_id: str, host: str) -> str:
        """Return a node's name: its host's, with a part of its id if another has the same."""
        if node_id not in self._names:
            taken = host in self._names.values()
            self._names[node_id] = f"{host}-{node_id[:4]}" if taken else host
        return self._names[node_id]

    def _parts(self) -> Mapping[str, tuple[Machine, Plan]]:
        for name, link in self._links.items():
            if name in self._machines or link.snapshot is None:
                continue
            if name not in self._plans:
                view = NodeView(name, link.snapshot.devices, link.snapshot.host)
                self._plans |= self._decide([view])
            self._machines[name] = self._machine_of(name)
        return {name: (machine, self._plans[name]) for name, machine in self._machines.items()}

    def _machine_of(self, name: str) -> NodeMachine:
        last = self._links[name].snapshot

        def snapshot() -> Any:
            nonlocal last
            link = self._links.get(name)
            last = (link.snapshot if link is not None else None) or last
            return last

        def is_ready() -> bool:
            link = self._links.get(name)
            return link is not None and link.is_ready

        return NodeMachine(self._plans[name], snapshot, is_ready)
