"""What `sweep run` and `sweep plan` decide from a spec and a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import PlacementError, UsageError
from orchestrator.placement.model import Device, Host, Need, Process
from orchestrator.placement.sweep_plan import decide, policy_of
from orchestrator.sweepfile.model.spec import NamedTrial, Resources, Spec

GIB = 1 << 30
HOST = Host(cores=8, free_bytes=64 * GIB, total_bytes=64 * GIB)


def spec_of(count: int, need_bytes: int | None) -> Spec:
    return Spec(
        name="s",
        path=Path("s.yaml"),
        trainer="edc",
        trials={f"t{n}": NamedTrial(set={}) for n in range(count)},
        resources=Resources(gpu_memory_bytes=need_bytes),
    )


def card(free: int, total: int = 24) -> Device:
    return Device("0", "Card", total * GIB, free * GIB)


@pytest.mark.parametrize("need", [8 * GIB, None])
def test_memory_of_others_is_waited_for_on_request(need: int | None) -> None:
    full = [card(4 if need else 0)]
    with pytest.raises(PlacementError, match=r"[Ss]ee (which )?with nvidia-smi"):
        decide(spec_of(3, need), devices=full, host=HOST)
    plan = decide(spec_of(3, need), devices=full, host=HOST, waits=True)
    assert plan.reason.startswith("waits for memory; ")
    assert plan.slots[0].device == "0"


def test_a_card_that_is_too_small_is_not_waited_for() -> None:
    with pytest.raises(PlacementError, match=r"4\.0 GiB .* short"):
        decide(spec_of(3, 8 * GIB), devices=[card(4, total=4)], host=HOST, waits=True)


@pytest.mark.parametrize(
    ("placement", "mode", "start", "most"),
    [
        ("auto", "parallel", 3, 3),
        ("parallel", "parallel", 3, 3),
        ("grow", "sequential", 1, 3),
        ("sequential", "sequential", 1, 1),
    ],
)
def test_placement_is_heeded_on_gpus_and_cpus(
    placement: str, mode: str, start: int, most: int
) -> None:
    for devices in ([card(24)], []):
        spec = spec_of(3, 8 * GIB)
        policy = policy_of(spec, placement=placement)  # type: ignore[arg-type]
        plan = decide(spec, policy, devices=devices, host=HOST)
        assert (plan.mode, plan.start_parallel, plan.max_parallel) == (mode, start, most)
        cores = sum(slot.threads for slot in plan.slots)
        assert cores <= HOST.cores
        named = f"--placement {placement}" in plan.reason
        assert named == (placement in ("grow", "sequential"))


def test_an_earlier_measurement_replaces_a_lower_declaration() -> None:
    def known(devices: object) -> Need:
        return Need(5 * GIB, "history")

    plan = decide(spec_of(3, None), devices=[card(24)], host=HOST, known=known)
    assert (plan.mode, plan.start_parallel) == ("parallel", 3)
    assert "5.0 GiB each (measured in an earlier sweep)" in plan.reason
    declared = decide(spec_of(3, 8 * GIB), devices=[card(24)], host=HOST, known=known)
    assert declared.need.source == "declared"
    low = decide(spec_of(3, 4 * GIB), devices=[card(24)], host=HOST, known=known)
    assert low.need == Need(5 * GIB, "history"), "it was seen to take more than is declared"
    small = decide(spec_of(3, None), devices=[card(4, total=4)], host=HOST, known=known)
    assert small.need.source == "unknown", "what was seen before is no reason to refuse"


def test_an_earlier_measurement_is_mentioned_if_more_is_declared() -> None:
    def known(devices: object) -> Need:
        return Need(3 * GIB, "history")

    words = "starting with one; such trials took 3.0 GiB in an earlier sweep, so more are tried"
    for placement, told in (("auto", True), ("sequential", False), ("parallel", False)):
        spec = spec_of(3, 8 * GIB)
        policy = policy_of(spec, placement=placement)  # type: ignore[arg-type]
        found = decide(spec, policy, devices=[card(16)], host=HOST, known=known)
        assert found.reason.endswith(words) is told, placement
        assert found.need == Need(8 * GIB, "declared")
    assert "earlier" not in decide(spec_of(3, 8 * GIB), devices=[card(24)], known=known).reason


def test_politeness_is_planned_for() -> None:
    used = replace(card(16, total=24), processes=(Process(4711, 8 * GIB),), id="0")
    free = replace(card(24), processes=(), id="1")
    for devices, n, full, polite in (
        ([used], 2, ("parallel", 2, 2), ("sequential", 1, 1)),
        ([used, free], 4, ("parallel", 4, 4), ("parallel", 4, 4)),
        ([used, free], 5, ("parallel", 5, 5), ("sequential", 2, 4)),
    ):
        shapes = []
        for share in ("full", "polite"):
            spec = spec_of(n, 8 * GIB)
            policy = policy_of(spec, share=share)  # type: ignore[arg-type]
            found = decide(spec, policy, devices=devices, host=HOST)
            shapes.append((found.mode, found.start_parallel, found.max_parallel))
            said = "another user computes on GPU 0: one at a time there (--share polite)"
            assert (said in found.reason) == (share == "polite")
        assert shapes == [full, polite]
    spec = spec_of(2, None)
    unknown = decide(spec, policy_of(spec, share="polite"), devices=[used], host=HOST)
    assert "another user computes" in unknown.reason


def test_need_and_policy_of_a_spec() -> None:
    assert Need.declared(None) == Need(None, "unknown")
    assert Need.declared(8 * GIB) == Need(8 * GIB, "declared")
    spec = spec_of(1, None)
    assert policy_of(spec).gpus_per_trial == 1
    assert policy_of(replace(spec, resources=Resources(gpus=0))).gpus_per_trial == 0
    policy = policy_of(replace(spec, resources=Resources(gpus=2, cpus=4)), max_parallel=3)
    assert (policy.gpus_per_trial, policy.cpus_per_trial, policy.max_parallel) == (2, 4, 3)
    with pytest.raises(UsageError, match="--max-parallel: 0 is below 1"):
        policy_of(spec, max_parallel=0)
