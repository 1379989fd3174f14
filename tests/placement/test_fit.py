from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from orchestrator.errors import PlacementError
from orchestrator.placement.fit import judge
from orchestrator.placement.model import Device, Host, Need, Policy
from orchestrator.placement.planner import plan

GIB = 1 << 30


def cards(*free: int) -> list[Device]:
    return [Device(str(i), "", max(size, GIB), size) for i, size in enumerate(free)]


@pytest.mark.parametrize(
    ("free", "code"),
    [
        (24 * GIB, 0),
        (24 * GIB - 1, 1),
        (20 * GIB, 1),
        (20 * GIB - 1, 2),
        (8 * GIB, 2),
        (8 * GIB - 1, 3),
        (0, 3),
    ],
)
def test_the_codes_of_the_scripts_that_people_use_today(free: int, code: int) -> None:
    assert judge(cards(free), 8 * GIB, 3).code == code


def test_the_reasons() -> None:
    small, large = Device("0", "A", 8 * GIB, 8 * GIB), Device("1", "B", 24 * GIB, 2 * GIB)
    assert judge([], GIB, 1, "driver gone").reason == "No GPU to use on this machine (driver gone)."
    reason = judge([small, large], 16 * GIB, 2).reason
    # The one that could hold it, if it were free, is of more use than the one that is emptier.
    assert "GPU 1 (B) has 2.0 GiB of its 24.0 GiB free, 14.0 GiB short" in reason
    assert "GPU 0 (A) has 8.0 GiB" in judge([small, large], 30 * GIB, 2).reason
    assert judge([small], 8 * GIB, 1).reason.startswith("1 trial of 8.0 GiB fits (GPU 0 (A): 8.0")


sizes = st.lists(st.integers(0, 100), max_size=5)
needs = st.integers(1, 40)
counts = st.integers(1, 20)


@given(sizes, needs, counts, st.data())
def test_more_memory_or_fewer_trials_are_never_worse(
    free: list[int], need: int, trials: int, data: st.DataObject
) -> None:
    before = judge(cards(*free), need, trials)
    more = [size + data.draw(st.integers(0, 30)) for size in free]
    assert judge(cards(*more), need, trials).code <= before.code
    assert judge(cards(*free, 7), need, trials).code <= before.code
    assert judge(cards(*free), need, data.draw(st.integers(1, trials))).code <= before.code
    assert judge(cards(*free), data.draw(st.integers(1, need)), trials).code <= before.code


@given(sizes, needs, counts)
def test_it_agrees_with_the_plan(free: list[int], need: int, trials: int) -> None:
    found = judge(cards(*free), need, trials)
    assert found.room == sum(size // need for size in free)
    assert (found.code == 0) == (found.room >= trials)
    # Five sixths, in whole numbers.
    tight = sum(size * 6 // (need * 5) for size in free) >= trials
    assert (found.code == 1) == (0 < found.room < trials and tight)
    assert found.to_dict()["verdict"] == ["parallel", "tight", "sequential", "none"][found.code]
    if not free:
        assert found.code == 3
        return
    try:
        decided = plan(cards(*free), Host(64, GIB, GIB), Need(need, "declared"), trials, Policy())
    except PlacementError:
        assert found.code == 3
    else:
        assert (found.code == 0) == (decided.mode == "parallel")
        assert found.code < 3
