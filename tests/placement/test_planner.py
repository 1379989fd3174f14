from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import assume, example, given, strategies as st

from orchestrator.errors import PlacementError
from orchestrator.placement.model import Device, Host, Need, Plan, Policy
from orchestrator.placement.planner import plan

GIB = 1 << 30
HOST = Host(cores=8, free_bytes=32 * GIB, total_bytes=64 * GIB)
NEED = Need(8 * GIB, "declared")


def card(index: int, free_gib: float, total_gib: float | None = None, uuid: str = "") -> Device:
    total = free_gib if total_gib is None else total_gib
    return Device(str(index), "Card", int(total * GIB), int(free_gib * GIB), uuid=uuid)


def shape(found: Plan) -> tuple[str, int, int]:
    return found.mode, found.start_parallel, found.max_parallel


@pytest.mark.parametrize(
    ("free_gib", "expected", "words"),
    [
        (24, ("parallel", 3, 3), "all run at once"),
        (16, ("sequential", 1, 2), "starting with one"),
        (8, ("sequential", 1, 1), "one after another"),
    ],
)
def test_three_trials_of_8_gb(free_gib: int, expected: tuple[str, int, int], words: str) -> None:
    found = plan([card(0, free_gib)], HOST, NEED, 3, Policy())
    assert shape(found) == expected
    assert [slot.device for slot in found.slots] == ["0"] * expected[2]
    assert {slot.memory_bytes for slot in found.slots} == {8 * GIB}
    assert found.reason.startswith("3 trials of 8.0 GiB each: GPU 0 (Card)")
    assert found.reason.endswith(words)


def test_json_of_a_plan() -> None:
    found = plan([card(0, 16, uuid="GPU-a")], HOST, NEED, 3, Policy())
    raw = json.loads(json.dumps(found.to_dict()))
    slot = {"node": "", "device": "0", "memory_mib": 8192, "threads": 4, "visible": "GPU-a"}
    assert raw == {
        "mode": "sequential",
        "start_parallel": 1,
        "max_parallel": 2,
        "slots": [{"index": 0, **slot}, {"index": 1, **slot}],
        "n_trials": 3,
        "need": {"memory_mib": 8192, "source": "declared"},
        "reason": found.reason,
    }


def test_a_card_that_is_too_small_names_what_is_missing() -> None:
    with pytest.raises(PlacementError) as caught:
        plan([card(0, 4)], HOST, NEED, 3, Policy())
    assert "4.0 GiB in all: 4.0 GiB (4096 MiB) short" in str(caught.value)
    assert "GPU 0 (Card)" in str(caught.value)
    assert caught.value.exit_code == 2


def test_too_little_free_names_who_could_free_it() -> None:
    with pytest.raises(PlacementError, match=r"5\.5 GiB of its 24\.0 GiB free: 2\.5 GiB") as caught:
        plan([card(0, 4), card(1, 5.5, 24)], HOST, NEED, 3, Policy())
    assert "GPU 1" in str(caught.value)
    assert "nvidia-smi" in str(caught.value)


def test_a_missing_byte_is_reported_as_one_mib() -> None:
    device = Device("0", "", 8 * GIB - 1, 8 * GIB - 1)
    with pytest.raises(PlacementError, match="all: 1 MiB short"):
        plan([device], HOST, NEED, 1, Policy())


def test_unequal_cards_count_together_and_trials_spread() -> None:
    found = plan([card(0, 8), card(1, 24)], HOST, NEED, 4, Policy())
    assert shape(found) == ("parallel", 4, 4)
    assert sorted(slot.device for slot in found.slots) == ["0", "1", "1", "1"]
    assert {slot.device for slot in found.slots[:2]} == {"0", "1"}
    assert [slot.index for slot in found.slots] == [0, 1, 2, 3]


def test_one_fraction_for_all_cards_would_waste_the_larger() -> None:
    found = plan([card(0, 10), card(1, 80)], HOST, NEED, None, Policy())
    assert shape(found) == ("sequential", 2, 11)
    assert found.reason.endswith("hold 11 at once, starting with one on each of 2 GPUs")
    only = plan([card(0, 6), card(1, 80)], HOST, NEED, None, Policy())
    assert shape(only) == ("sequential", 1, 10)


def test_an_unbounded_sweep_never_fits_at_once() -> None:
    found = plan([card(0, 24)], HOST, NEED, None, Policy())
    assert shape(found) == ("sequential", 1, 3)
    assert found.to_dict()["n_trials"] is None
    limited = plan([card(0, 24)], HOST, NEED, None, Policy(max_parallel=2))
    assert shape(limited) == ("parallel", 2, 2)


@pytest.mark.parametrize(
    ("limit", "expected", "words"),
    [
        (1, ("sequential", 1, 1), "one after another (limited by --max-parallel 1)"),
        (2, ("parallel", 2, 2), "2 run at once (limited by --max-parallel 2)"),
        (3, ("parallel", 3, 3), "all run at once"),
        (9, ("parallel", 3, 3), "all run at once"),
    ],
)
def test_max_parallel_limits(limit: int, expected: tuple[str, int, int], words: str) -> None:
    found = plan([card(0, 24)], HOST, NEED, 3, Policy(max_parallel=limit))
    assert shape(found) == expected
    assert found.reason.endswith(words)


def test_max_parallel_beyond_memory_starts_with_one() -> None:
    found = plan([card(0, 16)], HOST, NEED, 9, Policy(max_parallel=4))
    assert shape(found) == ("sequential", 1, 2)
    assert "max-parallel" not in found.reason


def test_an_undeclared_need_starts_with_one_on_each_card() -> None:
    cards = [card(0, 6), card(1, 20, 24), card(2, 12), card(3, 0.5, 24)]
    found = plan(cards, HOST, Need(), 9, Policy())
    assert shape(found) == ("sequential", 3, 3)
    given = [(slot.device, slot.memory_bytes, slot.threads) for slot in found.slots]
    assert given == [("1", 20 * GIB, 1), ("2", 12 * GIB, 1), ("0", 6 * GIB, 1)]
    assert found.to_dict()["need"] == {"memory_mib": None, "source": "unknown"}
    assert found.reason.endswith(
        "(resources.gpu_memory is not declared): starting with one on each of 3 GPUs, "
        "20.0 GiB, 12.0 GiB, 6.0 GiB free"
    )


@pytest.mark.parametrize(
    ("n", "policy", "expected", "words"),
    [
        (2, Policy(), ("parallel", 2, 2), "one starts on each of 2 GPUs, 20.0 GiB, 12.0 GiB free"),
        (1, Policy(), ("parallel", 1, 1), "it runs on GPU 1, which has most free memory, 20.0"),
        (9, Policy(max_parallel=1), ("sequential", 1, 1), "(limited by --max-parallel 1)"),
        (9, Policy(max_parallel=2), ("parallel", 2, 2), "(limited by --max-parallel 2)"),
        (9, Policy(placement="sequential"), ("sequential", 1, 1), "(--placement sequential)"),
        (9, Policy(gpus_per_trial=2), ("sequential", 1, 1), "on GPU 1 and GPU 2, 12.0 GiB free"),
    ],
)
def test_how_many_trials_of_unknown_need_start(
    n: int, policy: Policy, expected: tuple[str, int, int], words: str
) -> None:
    found = plan([card(0, 6), card(1, 20, 24), card(2, 12)], HOST, Need(), n, policy)
    assert shape(found) == expected
    assert words in found.reason


def test_an_undeclared_need_is_tried_on_a_card_with_little_left() -> None:
    found = plan([card(0, 0.5, 24), card(1, 0.25, 24)], HOST, Need(), 9, Policy())
    assert (shape(found), found.slots[0].device) == (("sequential", 1, 1), "0")


def test_an_undeclared_need_on_a_full_card_is_refused() -> None:
    with pytest.raises(PlacementError, match="no free memory"):
        plan([card(0, 0, 24)], HOST, Need(), 3, Policy())


def test_several_gpus_for_one_trial() -> None:
    cards = [card(index, 16, uuid=f"GPU-{index}") for index in range(4)]
    found = plan(cards, HOST, NEED, 4, Policy(gpus_per_trial=2))
    assert shape(found) == ("parallel", 4, 4)
    for slot in found.slots:
        assert len(set(slot.device.split(","))) == 2
        assert slot.visible == ",".join(f"GPU-{index}" for index in slot.device.split(","))
    assert {index for slot in found.slots[:2] for index in slot.device.split(",")} == set("0123")


def test_indices_and_uuids_are_not_mixed() -> None:
    cards = [card(0, 16, uuid="GPU-a"), card(1, 16)]
    (slot,) = plan(cards, HOST, NEED, 1, Policy(gpus_per_trial=2)).slots
    assert slot.visible == slot.device == "0,1"


@pytest.mark.parametrize("have", [0, 1])
def test_fewer_cards_than_one_trial_takes(have: int) -> None:
    cards = [card(index, 80) for index in range(have)]
    with pytest.raises(PlacementError, match=r"takes 2 GPUs \((none|1) available\)"):
        plan(cards, HOST, NEED, 1, Policy(gpus_per_trial=2))


def test_of_two_cards_for_one_trial_the_smaller_is_what_is_missing() -> None:
    with pytest.raises(PlacementError, match=r"second largest, GPU 1 .* 2\.0 GiB .* short"):
        plan([card(0, 24), card(1, 6)], HOST, NEED, 1, Policy(gpus_per_trial=2))


def test_threads_of_gpu_slots_share_the_cores() -> None:
    threads = {slot.threads for slot in plan([card(0, 24)], HOST, NEED, 3, Policy()).slots}
    assert threads == {2}
    small = dataclasses.replace(HOST, cores=2)
    assert {s.threads for s in plan([card(0, 24)], small, NEED, 3, Policy()).slots} == {1}
    asked = plan([card(0, 8)], HOST, NEED, 1, Policy(cpus_per_trial=3))
    assert asked.slots[0].threads == 3


def test_without_a_gpu_cores_and_ram_make_slots() -> None:
    two = Host(cores=2, free_bytes=8 * GIB, total_bytes=8 * GIB)
    found = plan([], two, Need(), 3, Policy())
    assert shape(found) == ("parallel", 2, 2)
    assert found.reason == "no GPU: 2 cores make 2 slots of 1 thread each for 3 trials"
    for slot in found.slots:
        assert (slot.device, slot.visible, slot.threads) == ("cpu", "", 1)
        assert slot.memory_bytes == 4 * GIB
    one = plan([], two, Need(), 1, Policy())
    assert shape(one) == ("parallel", 1, 1)
    assert one.slots[0].threads == 2


@pytest.mark.parametrize(
    ("idle", "n", "threads"), [(None, 1, 2), (2.0, 1, 2), (1.6, 1, 2), (1.4, 1, 1), (0.0, 1, 1)]
)
def test_a_trial_gets_no_more_threads_than_idle_cores(
    idle: float | None, n: int, threads: int
) -> None:
    two = Host(cores=2, free_bytes=8 * GIB, total_bytes=8 * GIB, idle_cores=idle)
    found = plan([], two, Need(), n, Policy())
    assert [slot.threads for slot in found.slots] == [threads]
    assert ("others keep cores busy" in found.reason) == (threads == 1)
    asked = plan([], two, Need(), n, Policy(cpus_per_trial=2))
    assert [slot.threads for slot in asked.slots] == [2], "who asks for cores gets them"


def test_busy_cores_make_no_fewer_slots() -> None:
    busy = dataclasses.replace(HOST, idle_cores=3.0)
    assert [slot.threads for slot in plan([], busy, Need(), 2, Policy()).slots] == [2, 2]
    assert [slot.threads for slot in plan([], busy, Need(), 8, Policy()).slots] == [1] * 8
    assert "3.0 are idle" in plan([], busy, Need(), 2, Policy()).reason
    assert "idle" not in plan([], busy, Need(), 8, Policy()).reason


def test_on_the_cpu_a_declared_gpu_need_limits_nothing() -> None:
    found = plan([], HOST, Need(400 * GIB, "declared"), 3, Policy())
    assert shape(found) == ("parallel", 3, 3)
    assert found.need.memory_bytes == 400 * GIB
    assert "400.0 GiB of GPU memory limits nothing here" in found.reason


def test_a_spec_may_keep_off_gpus() -> None:
    found = plan([card(0, 24)], HOST, NEED, 3, Policy(gpus_per_trial=0))
    assert {slot.device for slot in found.slots} == {"cpu"}
    assert found.reason.startswith("resources.gpus is 0: 8 cores")


def test_cores_per_trial_and_ram_limit_cpu_slots() -> None:
    by_cores = plan([], HOST, Need(), 9, Policy(cpus_per_trial=3))
    assert [slot.threads for slot in by_cores.slots] == [3, 3]
    poor = dataclasses.replace(HOST, free_bytes=2 * GIB + 5)
    by_ram = plan([], poor, Need(), 9, Policy())
    assert len(by_ram.slots) == 2
    assert "RAM allows no more: 2.0 GiB free" in by_ram.reason
    empty = plan([], dataclasses.replace(HOST, free_bytes=0), Need(), 9, Policy())
    assert shape(empty) == ("sequential", 1, 1)
    greedy = plan([], HOST, Need(), 9, Policy(cpus_per_trial=32))
    assert [slot.threads for slot in greedy.slots] == [8]
    assert "resources.cpus is 32, more than the machine has" in greedy.reason
    limited = plan([], HOST, Need(), 9, Policy(max_parallel=2))
    assert "(limited by --max-parallel 2)" in limited.reason


def test_a_sweep_without_trials_has_a_plan() -> None:
    assert shape(plan([card(0, 24)], HOST, NEED, 0, Policy()))[1:] == (1, 1)
    assert shape(plan([], HOST, NEED, 0, Policy()))[1:] == (1, 1)


MIB = 1 << 20
FREE = st.integers(0, 48 * 1024).map(lambda mib: mib * MIB) | st.integers(0, 48 * GIB)
DEVICES = st.lists(FREE, min_size=1, max_size=6).map(
    lambda frees: [
        Device(str(index), "", 48 * GIB, free, uuid=f"GPU-{index}")
        for index, free in enumerate(frees)
    ]
)
NEEDS = st.integers(256, 32 * 1024).map(lambda mib: Need(mib * MIB, "declared"))
COUNTS = st.none() | st.integers(1, 300)
POLICIES = st.builds(
    Policy,
    max_parallel=st.none() | st.integers(1, 20),
    gpus_per_trial=st.integers(1, 3),
    cpus_per_trial=st.none() | st.integers(1, 12),
    workers_per_trial=st.integers(0, 6),
)
HOSTS = st.builds(
    Host,
    cores=st.integers(1, 128),
    # Of a wide range most draws are small, and without RAM there is one slot, which proves nothing.
    free_bytes=st.sampled_from([0, GIB - 1, 3 * GIB, 20 * GIB + 1, 64 * GIB, 256 * GIB]),
    total_bytes=st.just(1),
    idle_cores=st.none() | st.floats(0, 128),
)


def slots_of(devices: list[Device], need: Need, n: int | None, policy: Policy) -> int:
    try:
        return len(plan(devices, HOST, need, n, policy).slots)
    except PlacementError:
        return 0


@given(devices=DEVICES, host=HOSTS, need=NEEDS | st.just(Need()), n=COUNTS, policy=POLICIES)
def test_no_plan_overcommits(
    devices: list[Device], host: Host, need: Need, n: int | None, policy: Policy
) -> None:
    try:
        found = plan(devices, host, need, n, policy)
    except PlacementError:
        # Refused only where one trial does not fit.
        fits = [device for device in devices if device.free_bytes >= (need.memory_bytes or 1)]
        assert len(fits) < policy.gpus_per_trial
        return
    taken = {device.id: 0 for device in devices}
    for slot in found.slots:
        names = slot.device.split(",")
        assert len(set(names)) == policy.gpus_per_trial
        assert slot.visible.split(",") == [f"GPU-{name}" for name in names]
        assert slot.memory_bytes >= (need.memory_bytes or 1)
        for name in names:
            taken[name] += slot.memory_bytes
    for device in devices:
        assert taken[device.id] <= device.free_bytes
    assert 1 <= found.start_parallel <= found.max_parallel == len(found.slots)
    if found.mode == "parallel":
        assert found.start_parallel == found.max_parallel
    first = [
        name for slot in found.slots[: found.start_parallel] for name in slot.device.split(",")
    ]
    if found.mode == "sequential":
        assert len(first) == len(set(first)), "one on each device"
    assert found.max_parallel <= min(n or 1000000, policy.max_parallel or 1000000)
    threads = sum(slot.threads for slot in found.slots)
    assert threads <= max(host.cores, len(found.slots))
    assert [slot.index for slot in found.slots] == list(range(len(found.slots)))


@given(devices=DEVICES, need=NEEDS, n=COUNTS, policy=POLICIES, data=st.data())
def test_more_memory_never_gives_fewer_slots(
    devices: list[Device], need: Need, n: int | None, policy: Policy, data: st.DataObject
) -> None:
    before = slots_of(devices, need, n, policy)
    place = data.draw(st.integers(0, len(devices) - 1))
    more = data.draw(st.integers(0, 48 * GIB))
    grown = dataclasses.replace(devices[place], free_bytes=devices[place].free_bytes + more)
    after = slots_of([*devices[:place], grown, *devices[place + 1 :]], need, n, policy)
    assert after >= before
    assert slots_of([*devices, Device("9", "", more, more)], need, n, policy) >= before


@given(devices=DEVICES, need=NEEDS)
@example(devices=[card(0, 24)], need=NEED)
def test_the_number_is_the_largest_for_equal_needs(devices: list[Device], need: Need) -> None:
    assert need.memory_bytes is not None
    most = sum(device.free_bytes // need.memory_bytes for device in devices)
    assert slots_of(devices, need, None, Policy()) == most


@given(devices=DEVICES, need=NEEDS, n=st.integers(2, 30))
def test_parallel_exactly_if_all_fit(devices: list[Device], need: Need, n: int) -> None:
    assert need.memory_bytes is not None
    most = sum(device.free_bytes // need.memory_bytes for device in devices)
    assume(most > 0)
    assert (plan(devices, HOST, need, n, Policy()).mode == "parallel") == (most >= n)


@given(
    host=HOSTS, n=COUNTS, policy=POLICIES.map(lambda p: dataclasses.replace(p, gpus_per_trial=1))
)
def test_cpu_plans_hold_cores_and_ram(host: Host, n: int | None, policy: Policy) -> None:
    found = plan([], host, NEED, n, policy)
    slots = found.slots
    assert found.start_parallel == found.max_parallel == len(slots) >= 1
    each = max(slot.threads for slot in slots) + policy.workers_per_trial
    assert each * len(slots) <= host.cores or (len(slots) == 1 and slots[0].threads == 1)
    assert sum(slot.threads for slot in slots) <= host.cores
    assert sum(slot.memory_bytes for slot in slots) <= host.free_bytes
    if policy.workers_per_trial >= host.cores:
        assert "not enough cores" in found.reason
    if len(slots) > 1:
        assert min(slot.memory_bytes for slot in slots) >= GIB
        assert found.mode == "parallel"
    richer = dataclasses.replace(host, free_bytes=host.free_bytes * 2)
    assert len(plan([], richer, NEED, n, policy).slots) >= len(slots)


def test_loader_workers_take_cores() -> None:
    found = plan([], Host(8, 64 * GIB, 64 * GIB), Need(), 9, Policy(workers_per_trial=3))
    assert [slot.threads for slot in found.slots] == [1, 1]
    assert "8 cores make 2 slots of 1 thread and 3 loader workers each" in found.reason
    asked = Policy(workers_per_trial=1, cpus_per_trial=4)
    found = plan([], Host(8, 64 * GIB, 64 * GIB), Need(), 9, asked)
    assert [slot.threads for slot in found.slots] == [3, 3]
    on_card = plan([card(0, 16)], Host(8, GIB, GIB), NEED, 2, Policy(workers_per_trial=2))
    assert [slot.threads for slot in on_card.slots] == [2, 2]
    few = plan([], Host(2, 64 * GIB, 64 * GIB), Need(), 9, Policy(workers_per_trial=2))
    assert [slot.threads for slot in few.slots] == [1]
    assert "num_workers is 2, for which there are not enough cores" in few.reason


def test_a_mig_instance_serves_one_trial_of_one_gpu() -> None:
    parts = [Device(f"0:{i}", "", 20 * GIB, 20 * GIB, uuid=f"MIG-{i}") for i in range(2)]
    found = plan(parts, HOST, NEED, 4, Policy())
    assert sorted((slot.device, slot.visible) for slot in found.slots) == [
        ("0:0", "MIG-0"),
        ("0:0", "MIG-0"),
        ("0:1", "MIG-1"),
        ("0:1", "MIG-1"),
    ]
    with pytest.raises(PlacementError, match=r"\(1 available, MIG instances serve one"):
        plan([*parts, card(1, 24)], HOST, NEED, 4, Policy(gpus_per_trial=2))
