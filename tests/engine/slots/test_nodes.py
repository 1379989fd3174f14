"""Room on several machines, without Ray or processes: the test plays their cards and the clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.runners.cluster.machines import ClusterMachine
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.errors import PlacementError
from orchestrator.files.units import GIB
from orchestrator.placement import Plan, Policy
from orchestrator.placement.cluster_plan import NodeView, decide_nodes, join_plans
from orchestrator.placement.model import Host
from orchestrator.runs.layout import SweepDir
from orchestrator.sweepfile.model.spec import Spec
from tests.engine.machines import FakeMachine
from tests.engine.slots.test_allocator import many


class Node(FakeMachine):
    """A scripted machine with a name."""

    def __init__(self, name: str, *cards: int, cores: int = 4) -> None:
        super().__init__(cards, cores=cores)
        self.name = name
        self.is_usable = True
        self.cards = [replace(card, node=name) for card in self.cards]

    def read(self) -> object:  # type: ignore[override]
        found = super().read()
        return replace(found, node=self.name) if isinstance(found, Host) else found

    def view(self) -> NodeView:
        host = Host(self.cores, 64 * GIB, 64 * GIB, node=self.name)
        return NodeView(self.name, tuple(self.cards), host)


class Nodes:
    """A sweep on scripted machines."""

    def __init__(self, folder: Path, spec: Spec, *nodes: Node, policy: Policy | None = None):
        sweep = SweepDir(folder / "results" / "sweep")
        sweep.trials_dir.mkdir(parents=True)
        policy = policy or Policy()
        self.nodes = {node.name: node for node in nodes}
        self.plans = decide_nodes(spec, [node.view() for node in nodes], policy)
        self.plan = join_plans(self.plans, policy)
        log = SweepLog(sweep, lambda event, record, details: None)
        machine = ClusterMachine(self.plan, self._parts)
        self.allocator = SlotAllocator(spec, self.plan, SlotOptions(policy), machine, log)
        self.conductor = Conductor(spec, log, self.allocator, records={})
        self.places: dict[str, tuple[str, str]] = {}

    def _parts(self) -> dict[str, tuple[Machine, Plan]]:
        return {name: (self.nodes[name], plan) for name, plan in self.plans.items()}

    def start_all(self) -> list[tuple[str, str]]:
        """Start all that have room; return the node and the device of each."""
        found = []
        while (attempt := self.conductor.next_attempt(str(len(self.places)))) is not None:
            place = attempt.slot["node"], attempt.slot["device"]
            self.places[str(len(self.places))] = place
            found.append(place)
        return found


def test_trials_fill_the_cards_of_all_nodes_evenly(tmp_path: Path) -> None:
    nodes = Nodes(
        tmp_path, many(tmp_path, 9, 8 * GIB), Node("a", 24 * GIB), Node("b", 16 * GIB, 16 * GIB)
    )
    assert nodes.plan.max_parallel == 7
    assert nodes.plan.mode == "sequential"
    assert sorted(nodes.start_all()) == [("a", "0"), ("b", "0"), ("b", "1")], "one on each card"
    assert {slot.node for slot in nodes.plan.slots} == {"a", "b"}


def test_all_start_at_once_if_the_nodes_hold_them_together(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, many(tmp_path, 5, 8 * GIB), Node("a", 24 * GIB), Node("b", 16 * GIB))
    assert nodes.plan.mode == "parallel"
    assert sorted(nodes.start_all()) == [("a", "0")] * 3 + [("b", "0")] * 2


def test_a_trial_gets_all_its_cards_on_one_node(tmp_path: Path) -> None:
    spec = many(tmp_path, 4)
    spec = replace(spec, resources=replace(spec.resources, gpus=2, gpu_memory_bytes=8 * GIB))
    policy = Policy(gpus_per_trial=2)
    nodes = Nodes(
        tmp_path, spec, Node("a", 8 * GIB), Node("b", 8 * GIB, 8 * GIB, 8 * GIB), policy=policy
    )
    assert nodes.start_all() == [("b", "0,1")]


def test_the_cores_of_all_nodes_are_used_and_max_parallel_counts_over_all(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, many(tmp_path, 9), Node("a", cores=2), Node("b", cores=4))
    assert sorted(node for node, _ in nodes.start_all()) == ["a"] * 2 + ["b"] * 4
    few = Nodes(
        tmp_path / "few",
        many(tmp_path, 9),
        Node("a", cores=2),
        Node("b", cores=4),
        policy=Policy(max_parallel=3),
    )
    assert few.plan.max_parallel == len(few.start_all()) == 3
    assert few.plan.slots[-1].index == 2


def test_a_node_that_is_lost_gets_nothing_and_one_that_joins_does(tmp_path: Path) -> None:
    spec = many(tmp_path, 9)
    a, b = Node("a", cores=2), Node("b", cores=4)
    nodes = Nodes(tmp_path, spec, a)
    a.is_usable = False
    assert nodes.start_all() == []
    nodes.nodes["b"] = b
    nodes.plans |= decide_nodes(spec, [b.view()])
    nodes.allocator.tick()
    assert len(nodes.start_all()) == 4
    nodes.conductor.on_gone("0", "node b was lost")
    assert nodes.conductor.records[0].reason == "node b was lost"
    assert nodes.start_all() == [("b", "cpu")]


def test_each_model_of_gpu_has_a_need_of_its_own(tmp_path: Path) -> None:
    a, b = Node("a", 80 * GIB), Node("b", 16 * GIB)
    nodes = Nodes(tmp_path, many(tmp_path, 20), a, b)
    assert sorted(nodes.start_all()) == [("a", "0"), ("b", "0")], "one on each, to be measured"
    for attempt_id, (name, _) in list(nodes.places.items()):
        node, size = nodes.nodes[name], 20 * GIB if name == "a" else 10 * GIB
        node.held[int(attempt_id) + 10, node.cards[0].key] = size
        nodes.allocator.holds(attempt_id, size - GIB, int(attempt_id) + 10)
        nodes.allocator.reported(attempt_id, 1)
        node.held.clear()
        nodes.conductor.on_gone(attempt_id, "the node was lost")
    assert ("b", "0") in nodes.start_all(), "20 GiB are needed on the other model alone"
    needs = {
        str((record.slot or {})["node"]): record.need["memory_mib"]
        for record in nodes.conductor.records.values()
        if record.state == "RUNNING"
    }
    assert needs == {"a": 21 * 1024, "b": 10 * 1024 * 1.05}


def test_nodes_without_a_card_are_left_out_if_others_have_one(tmp_path: Path) -> None:
    spec = many(tmp_path, 2, 8 * GIB)
    plans = decide_nodes(spec, [Node("a").view(), Node("b", 24 * GIB).view()])
    assert list(plans) == ["b"]
    with pytest.raises(PlacementError, match=r"GPU 0 .* of a has 4.0 GiB"):
        decide_nodes(spec, [Node("a", 4 * GIB).view()])
    with pytest.raises(PlacementError, match="no node"):
        decide_nodes(spec, [])


@given(
    cards=st.lists(st.lists(st.integers(1, 80), max_size=4), min_size=1, max_size=5),
    need=st.integers(1, 30),
    count=st.integers(1, 40),
    most=st.none() | st.integers(1, 10),
)
def test_a_joint_plan_never_exceeds_any_card(
    cards: list[list[int]], need: int, count: int, most: int | None
) -> None:
    spec = many(Path(), count, need * GIB)
    policy = Policy(max_parallel=most)
    views = [Node(str(n), *(size * GIB for size in sizes)).view() for n, sizes in enumerate(cards)]
    try:
        plans = decide_nodes(spec, views, policy)
    except PlacementError:
        return
    plan = join_plans(plans, policy)
    assert [slot.index for slot in plan.slots] == list(range(plan.max_parallel))
    assert plan.start_parallel <= plan.max_parallel <= min(count, most or count)
    if not plan.on_cpu:
        for view in views:
            for device in view.devices:
                there = [s for s in plan.slots if (s.node, s.device) == (view.name, device.id)]
                assert sum(slot.memory_bytes for slot in there) <= device.total_bytes
