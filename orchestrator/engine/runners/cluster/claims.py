"""Reserve in Ray what trials use, so that other Ray jobs and ours do not take the same.

Which trial gets which GPU is our admission's decision, which knows memory. So Ray reserves whole
GPUs: an actor for each, which names the one that it was given. One that is still waiting shows
Ray's autoscaler that there is demand. For trials on CPUs an actor on each node takes the cores that
Ray has left there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.placement import Device


class Holder:
    """An actor that does nothing but hold resources."""

    def held(self) -> tuple[str, list[str]]:
        """Return the id of its node, and its GPUs as Ray names them: by index or UUID."""
        context = ray.get_runtime_context()
        return context.get_node_id(), [str(gpu) for gpu in context.get_accelerator_ids()["GPU"]]


@dataclass
class _Claim:
    actor: Any
    answer: Any
    cores: int
    of: str = ""  # id of the node of which it is asked; "" for any
    node_id: str = ""
    gpus: tuple[str, ...] = ()


class Claims:
    """What this sweep holds in Ray; all of it ends with the driver."""

    def __init__(self) -> None:
        self._claims: list[_Claim] = []

    @property
    def has_any(self) -> bool:
        """Whether Ray has granted anything that is still there."""
        return any(claim.node_id for claim in self._claims)

    @property
    def waiting(self) -> int:
        """How many claims Ray has not granted yet."""
        return sum(not claim.node_id for claim in self._claims)

    def ask_gpu(self) -> None:
        """Claim one GPU of any node."""
        self._add(ray.remote(Holder).options(num_gpus=1, num_cpus=0), cores=0)

    def ask_core(self) -> None:
        """Claim one core of any node; only that shows an autoscaler that there is demand."""
        self._add(ray.remote(Holder).options(num_cpus=1), cores=1)

    def ask_cores(self, node_id: str, cores: int) -> None:
        """Claim cores of a node."""
        strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
        options = {"num_cpus": cores, "scheduling_strategy": strategy}
        self._add(ray.remote(Holder).options(**options), cores=cores, of=node_id)

    def update(self) -> None:
        """Learn what was granted, and forget what was lost with its node."""
        waiting = {claim.answer: claim for claim in self._claims if not claim.node_id}
        ready, _ = (
            ray.wait(list(waiting), num_returns=len(waiting), timeout=0) if waiting else ([], [])
        )
        for answer in ready:
            claim = waiting[answer]
            try:
                claim.node_id, gpus = ray.get(answer)
                claim.gpus = tuple(gpus)
            except RayError:
                self._claims.remove(claim)

    def forget(self, node_id: str) -> None:
        """Note that a node was lost."""
        self._claims = [claim for claim in self._claims if claim.node_id != node_id]

    def withdraw(self) -> None:
        """Give up the claims on any node that Ray has not granted."""
        for claim in [each for each in self._claims if not each.node_id and not each.of]:
            ray.kill(claim.actor)
            self._claims.remove(claim)

    def is_asked(self, node_id: str) -> bool:
        """Return whether Ray has yet to grant cores of a node."""
        return any(claim.of == node_id and not claim.node_id for claim in self._claims)

    def cores(self, node_id: str) -> int:
        """Return how many cores of a node are held."""
        return sum(claim.cores for claim in self._claims if claim.node_id == node_id)

    def among(self, node_id: str, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """Return those of a node's GPUs that are held; a GPU counts with all its MIG instances."""
        held = {gpu for claim in self._claims if claim.node_id == node_id for gpu in claim.gpus}
        return tuple(
            device
            for device in devices
            if device.id in held or device.id.partition(":")[0] in held or device.uuid in held
        )

    def _add(self, holder: Any, cores: int, of: str = "") -> None:
        actor = holder.remote()
        self._claims.append(_Claim(actor, actor.held.remote(), cores, of))


def cores_left(node: dict[str, Any]) -> int:
    """Return the cores that Ray has left on a node of `ray.nodes`."""
    from ray._private.state import available_resources_per_node

    found = available_resources_per_node().get(node["NodeID"], node["Resources"])
    return int(found.get("CPU", 0))
