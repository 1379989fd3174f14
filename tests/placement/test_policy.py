from __future__ import annotations

import pytest

from orchestrator.placement.model import Device, Host, Need, Placement, Policy
from orchestrator.placement.planner import plan

GIB = 1 << 30
HOST = Host(cores=8, free_bytes=32 * GIB, total_bytes=64 * GIB)


@pytest.mark.parametrize(
    ("placement", "free_gib", "shape", "words"),
    [
        ("auto", 16, ("sequential", 1, 2), "starting with one"),
        ("parallel", 16, ("parallel", 2, 2), "2 run at once (--placement parallel)"),
        ("parallel", 24, ("parallel", 3, 3), "all run at once"),
        ("parallel", 8, ("sequential", 1, 1), "one after another"),
        ("sequential", 24, ("sequential", 1, 1), "one after another (--placement sequential)"),
    ],
)
def test_placement_overrides(
    placement: Placement, free_gib: int, shape: tuple[str, int, int], words: str
) -> None:
    card = Device("0", "Card", 24 * GIB, free_gib * GIB)
    found = plan([card], HOST, Need(8 * GIB, "declared"), 3, Policy(placement=placement))
    assert (found.mode, found.start_parallel, found.max_parallel) == shape
    assert found.reason.endswith(words)


def test_sequential_holds_on_the_cpu() -> None:
    found = plan([], HOST, Need(), 3, Policy(gpus_per_trial=0, placement="sequential"))
    assert (found.mode, len(found.slots), found.slots[0].threads) == ("sequential", 1, 8)
    assert "--placement sequential" in found.reason
