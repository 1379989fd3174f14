"""A sweep's part of a Ray cluster: where its trials may run, and running them there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from orchestrator.engine.child.process import Message, is_last
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.runners.cluster.agent import LOST, Snapshot
from orchestrator.engine.runners.cluster.agents import Agents
from orchestrator.engine.runners.cluster.claims import Claims, cores_left
from orchestrator.engine.runners.cluster.fence import LEASE_S
from orchestrator.engine.runners.cluster.link import Link, SweepNeeds
from orchestrator.engine.runners.cluster.machines import ClusterMachine, NodeMachine
from orchestrator.engine.slots.machine import Machine
from orchestrator.errors import PlacementError, SweepError
from orchestrator.placement import Device, Need, Plan, Policy, cluster_plan
from orchestrator.sweepfile.model import Spec

NodeView = cluster_plan.NodeView

JOIN_WITHIN_S = 60.0
"""How long agents have to start before a sweep is planned; later ones join while it runs."""

CLAIM_WITHIN_S = 10.0
"""How long a plan waits for what Ray grants at once."""

SETTLE_S = 1.0
"""How soon a job that ends has given back all its cores, after the first."""


class Cluster:
    """The nodes of a cluster that was joined, each with an agent; `close` ends them.

    Args:
        needs: what the trials need on each node.
        lease_s: how long trials continue without the driver.

    Attributes:
        warnings: about nodes, for people.
        is_abandoned: True once the cluster's head was lost, so that no call to Ray returns.
    """

    def __init__(self, needs: SweepNeeds, lease_s: float = LEASE_S) -> None:
        self.warnings: list[str] = []
        self.is_abandoned = False
        self._agents = Agents(needs, lease_s)
        self._claims = Claims()
        self._on_gpus = False
        self._claimed: set[str] = set()  # ids of nodes of which cores were asked for
        # By id of a node that had no core left: when the first was granted, None before.
        self._short: dict[str, float | None] = {}
        self._plans: dict[str, Plan] = {}
        self._machines: dict[str, NodeMachine] = {}
        self._decide: Callable[[Sequence[NodeView]], dict[str, Plan]] = lambda nodes: {}
        self._sent = 0
        self._error: Exception | None = None

    def wait_for_agents(self) -> None:
        """Wait until each node's agent has answered.

        Raises:
            SweepError: no node can run trials, or one lacks files of the sweep.
        """
        deadline = time.monotonic() + JOIN_WITHIN_S
        links = self._agents.links
        while time.monotonic() < deadline:
            self._serve_idle()
            if links and all(link.snapshot is not None for link in links.values()):
                break
        unfit = [f"{link.node} ({link.unfit})" for link in links.values() if link.unfit]
        lacks = any(link.description.get("missing") for link in links.values())
        if lacks or not any(link.is_ready for link in links.values()):
            raise SweepError(
                f"--address: no trial can run on {', '.join([*unfit, *self._agents.failures])}. "
                "Give all nodes the same environment, and the sweep's files at the same path."
            )
        unfit += [f"a node ({text})" for text in self._agents.failures]
        if unfit:
            self.warnings.append(f"--address: no trial runs on {', '.join(unfit)}.")
        if not all(link.description.get("token") for link in links.values()):
            self.warnings.append(
                "--address: this Ray cluster asks for no token, so whoever reaches its ports can "
                "run programs as you. Start it with RAY_AUTH_MODE=token."
            )

    def views(self) -> list[NodeView]:
        """Return what trials may use of each node now."""
        return [
            NodeView(name, link.snapshot.devices if self._gpus_of(name) else (), link.snapshot.host)
            for name, link in self._agents.links.items()
            if link.is_ready and link.snapshot is not None
        ]

    def decide(self, spec: Spec, policy: Policy, known: Callable[[Sequence[Device]], Need]) -> Plan:
        """Reserve in Ray what trials may use, and decide where they run.

        Nodes that join later are planned alike, and so are all while other jobs hold everything.
        """
        self._decide = lambda nodes: cluster_plan.decide_nodes(spec, nodes, policy, known=known)
        self._on_gpus = policy.gpus_per_trial > 0 and any(view.devices for view in self.views())
        if self._on_gpus:
            for name in self._agents.links:
                for _ in range(self._gpus_of(name)):
                    self._claims.ask_gpu()
        self._ask_cores()
        begun = time.monotonic()
        nodes: list[NodeView] = []
        while not nodes and time.monotonic() - begun < JOIN_WITHIN_S:
            self._serve_idle()  # who is not asked counts as silent
            self._claims.update()
            self._ask_cores()
            if not self._claims.waiting or time.monotonic() - begun > CLAIM_WITHIN_S:
                nodes = self._plannable()  # none yet on a machine that is very busy
                if self._claims.waiting and self._claimed and self._claimed <= self._short.keys():
                    break
        if not nodes and self._claims.waiting:
            self._claims.ask_core()
            nodes = [replace(view, devices=()) for view in self.views()]
            return cluster_plan.join_plans(self._decide(nodes), policy)
        self._plans = self._decide(nodes)
        return cluster_plan.join_plans(self._plans, policy)

    def machine(self, plan: Plan) -> Machine:
        """Return the nodes as machines for the allocator."""
        return ClusterMachine(plan, self._parts, self._lacking)

    def run(self, conductor: Conductor, tick: Callable[[], None]) -> None:
        """Run what `conductor` hands out, until nothing is left; an error is kept."""

        def on_messages(link: Link, attempt_id: str, messages: list[Message]) -> None:
            conductor.on_messages(attempt_id, [one for one in messages if one[0] != LOST])
            if is_last(messages) or messages[-1][0] == LOST:
                del link.attempts[attempt_id]
                lost = messages[-1][1] if messages[-1][0] == LOST else ""
                conductor.on_gone(attempt_id, f"node {link.node}: {lost}" if lost else "")

        try:
            while not conductor.is_over and not self.is_abandoned:
                tick()
                self._claims.update()
                self._ask_cores()
                while self._hand_out(conductor):
                    pass
                self._show_demand(conductor)
                for link in self._agents.links.values():
                    if link.is_draining:
                        for attempt_id in link.attempts:
                            conductor.vacate(attempt_id, f"node {link.node} leaves the cluster")
                self._agents.serve(on_messages, conductor.is_ending)
                for link in self._agents.given_up():
                    if not self._agents.is_alive(link.node_id):
                        self._claims.forget(link.node_id)
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
        """End all agents; what was reserved is free once the driver leaves Ray."""
        self._agents.close()

    def _serve_idle(self) -> None:
        """Exchange messages with all agents for a moment, before anything runs."""
        self._agents.serve(lambda link, attempt_id, messages: None, lambda attempt_id: False)

    def _hand_out(self, conductor: Conductor) -> bool:
        """Send the next attempt to its node; return whether there is one."""
        attempt_id = f"{self._sent:05d}"
        attempt = conductor.next_attempt(attempt_id)
        if attempt is None:
            return False
        self._sent += 1
        self._agents.links[attempt.slot["node"]].start(attempt_id, attempt)
        return True

    def _show_demand(self, conductor: Conductor) -> None:
        """Keep one claim waiting while trials do, so that Ray's autoscaler may add a node."""
        if not self._on_gpus:
            if self._machines:
                self._claims.withdraw()
        elif conductor.stopping or not conductor.trials.queue:
            self._claims.withdraw()
        elif not self._claims.waiting:
            self._claims.ask_gpu()

    def _lacking(self) -> str:
        """Return what nothing can start without, for people; "" if something was granted."""
        if self._claims.has_any or not self._claims.waiting:
            return ""
        what = "a GPU" if self._on_gpus else "a core"
        return f"waits for {what}: other jobs hold all of this Ray cluster"

    def _ask_cores(self) -> None:
        """Claim the cores that Ray has left on nodes that are new, for trials on CPUs."""
        for name, link in self._agents.links.items():
            node, node_id = self._agents.nodes.get(name), link.node_id
            if self._on_gpus or node is None or link.snapshot is None:
                continue
            most = link.snapshot.host.cores
            if node_id not in self._claimed and node["Resources"].get("CPU", 0) >= 1:
                self._claimed.add(node_id)
                left = cores_left(node)
                if left < 1:
                    self._short[node_id] = None
                self._claims.ask_cores(node_id, min(most, max(1, left)))
            elif node_id in self._short and self._claims.cores(node_id):
                now = time.monotonic()
                since = self._short[node_id] = self._short[node_id] or now
                if now - since >= 2 * SETTLE_S:
                    del self._short[node_id]
                elif now - since >= SETTLE_S and not self._claims.is_asked(node_id):
                    left = min(most - self._claims.cores(node_id), cores_left(node))
                    if left >= 1:
                        self._claims.ask_cores(node_id, left)

    def _gpus_of(self, name: str) -> int:
        """Return how many GPUs Ray counts on a node; the owner keeps the others from it."""
        return int(self._agents.nodes.get(name, {"Resources": {}})["Resources"].get("GPU", 0))

    def _plannable(self) -> list[NodeView]:
        """Return the nodes to plan for: with all GPUs, as other jobs may give theirs back."""
        if self._on_gpus:
            return [view for view in self.views() if view.devices]
        found = []
        for view in self.views():
            node_id = self._agents.links[view.name].node_id
            cores = self._claims.cores(node_id)
            if cores and node_id not in self._short:
                found.append(replace(view, devices=(), host=replace(view.host, cores=cores)))
        return found

    def _parts(self) -> Mapping[str, tuple[Machine, Plan]]:
        for view in self._plannable():
            if view.name in self._machines:
                continue
            if view.name not in self._plans:
                with suppress(PlacementError):  # no trial fits there
                    self._plans |= self._decide([view])
            if view.name in self._plans:
                self._machines[view.name] = self._machine_of(view.name)
        return {name: (machine, self._plans[name]) for name, machine in self._machines.items()}

    def _machine_of(self, name: str) -> NodeMachine:
        snapshot = self._agents.links[name].snapshot
        assert snapshot is not None
        last = snapshot

        def read() -> Snapshot:
            """Return what was read last, without what Ray has given to others."""
            nonlocal last
            link = self._agents.links.get(name)
            if link is None or link.snapshot is None:
                return last
            devices, host = link.snapshot.devices, link.snapshot.host
            if self._on_gpus:
                devices = self._claims.among(link.node_id, devices)
            else:
                host = replace(host, cores=self._claims.cores(link.node_id))
            last = replace(link.snapshot, devices=devices, host=host)
            return last

        def is_ready() -> bool:
            link = self._agents.links.get(name)
            return link is not None and link.is_ready and not link.is_draining

        return NodeMachine(self._plans[name], read, is_ready)
