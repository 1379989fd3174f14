"""The agents of a cluster: one on each node, started again when it has ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import ray

from orchestrator.engine.child.process import Message
from orchestrator.engine.runners.cluster.link import Link, SweepNeeds

LOOK_EVERY_S = 2.0
"""How often the driver looks which nodes there are."""

MOST_FAILED = 3
"""How many agents may end on a node without an answer, until it is left out."""

_WAIT_S = 0.1


class Agents:
    """Keeps an agent on each node of the cluster, and exchanges messages with all of them.

    Args:
        needs: what the trials need on each node.
        lease_s: how long trials continue without the driver.

    Attributes:
        links: to the agents that were not lost, by name of the node.
        nodes: the nodes that are alive, as Ray describes them, by name.
    """

    def __init__(self, needs: SweepNeeds, lease_s: float) -> None:
        self.links: dict[str, Link] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self._needs = needs
        self._lease_s = lease_s
        self._lost: list[Link] = []
        self._failed: Counter[str] = Counter()  # agents that never answered, by id of the node
        self._names: dict[str, str] = {}  # by Ray's id of the node
        self._looked_at = -LOOK_EVERY_S

    @property
    def failures(self) -> list[str]:
        """Why agents have ended, a line each."""
        return sorted({link.failure.strip().rpartition("\n")[2] for link in self._lost})

    def serve(
        self,
        on_messages: Callable[[Link, str, list[Message]], None],
        is_ending: Callable[[str], bool],
    ) -> None:
        """Exchange messages with all agents for a moment."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            self._look()
        for link in self.links.values():
            link.exchange([each for each in link.attempts if is_ending(each)])
        calls = [call for link in self.links.values() if (call := link.pending()) is not None]
        if not calls:
            time.sleep(_WAIT_S)
            return
        ray.wait(calls, num_returns=1, timeout=_WAIT_S)
        ready = set(ray.wait(calls, num_returns=len(calls), timeout=0)[0])
        for link in list(self.links.values()):
            link.receive(ready, partial(on_messages, link))
            if link.is_lost:
                self._lost.append(self.links.pop(link.node))
                self._failed[link.node_id] += not link.description
                link.close()

    def given_up(self) -> list[Link]:
        """Return lost agents whose trials have ended for certain, each once."""
        found = [link for link in self._lost if link.is_over]
        self._lost = [link for link in self._lost if link not in found]
        return found

    def is_alive(self, node_id: str) -> bool:
        """Return whether a node was alive when Ray was asked last."""
        return any(node["NodeID"] == node_id for node in self.nodes.values())

    def close(self) -> None:
        """End all agents."""
        for link in self.links.values():
            link.close()

    def _look(self) -> None:
        """Start agents on nodes that have none."""
        alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
        draining = _draining()
        for link in self._lost:
            if link.is_dead and link.node_id in alive:
                link.ended_alone()
        self.nodes = {name: node for name, node in self.nodes.items() if node["NodeID"] in alive}
        for node_id, node in alive.items():
            self.nodes[self._name(node_id, node["NodeManagerHostname"])] = node
        for name, node in self.nodes.items():
            if self._failed[node["NodeID"]] >= MOST_FAILED:
                continue
            if name not in self.links:
                self.links[name] = Link(name, node["NodeID"], self._needs, self._lease_s)
            self.links[name].note_draining(node["NodeID"] in draining)

    def _name(self, node_id: str, host: str) -> str:
        """Return a node's name: its host's, with a part of its id if another has the same."""
        if node_id not in self._names:
            taken = host in self.nodes
            self._names[node_id] = f"{host}-{node_id[:4]}" if taken else host
        return self._names[node_id]


def _draining() -> set[str]:
    """Return the ids of the nodes that are about to leave the cluster."""
    try:
        from ray._private.state import state

        return set(state.get_draining_nodes())
    except (ImportError, AttributeError):  # of another version of Ray
        return set()
