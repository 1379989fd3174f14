from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.placement.concurrency.number_search import (
    GAIN,
    SearchDown,
    SearchUp,
    above,
    below,
)
from tests.placement.concurrency.test_search_up import Bench, measured

Answer = Literal["yes", "free", "no"]


def thinning(most: int, answer: Answer = "yes", **more: Any) -> SearchDown:
    return SearchDown(most, pays=lambda at_once, fewer: answer, **more)


def test_all_start_and_stay_where_fewer_get_less_done() -> None:
    growth = thinning(2)
    assert growth.limit == 2
    bench = Bench(growth, {1: 1.0, 2: 1.8}.__getitem__).run()
    assert measured(bench) == [(2, 1.0, "fewer"), (1, 0.56, "back")]
    assert growth.summary() == "1 at once: 0.56 × the speed of 2, staying at 2"
    assert (growth.limit, growth.is_settled) == (2, True)
    growth.limit_within(1)
    assert growth.summary().endswith("staying at 2"), "that one is left decides nothing"
    assert bench.limits[0] == 2
    assert 1 in bench.limits


def test_fewer_stay_where_they_get_as_much_done() -> None:
    growth = thinning(4)
    # Memory feeds two; the others only slow them down.
    bench = Bench(growth, {1: 1.0, 2: 1.9, 3: 1.7, 4: 1.6}.__getitem__, trials=60).run()
    assert measured(bench) == [
        (4, 1.0, "fewer"),
        (3, 1.06, "fewer"),
        (2, 1.19, "fewer"),
        (1, 0.62, "back"),
    ]
    assert growth.limit == 2
    assert growth.summary().startswith("3 at once: 1.06 × the speed of 4; 2 at once: 1.19 ×; 1 at")


def test_nothing_is_left_empty_where_that_does_not_pay() -> None:
    growth = thinning(3, "no")
    bench = Bench(growth, float).run()
    assert (bench.events, growth.summary(), growth.learned()) == (
        [],
        "",
        {"at_once": 3, "start": 3, "ratios": {"3": 1.0}, "settled": False},
    )
    assert set(bench.limits) == {3}


def test_the_last_trials_are_measured_for_nothing_and_without_a_word() -> None:
    growth = thinning(2, "free")
    bench = Bench(growth, {1: 1.0, 2: 1.7}.__getitem__, trials=3)
    bench.run()
    assert measured(bench) == [(1, 0.59, "back")]
    silent = thinning(2, "free")
    short = Bench(silent, float, trials=2, steps=40).run()
    assert (short.events, silent.summary()) == ([], "")


def test_trials_that_come_after_all_find_their_slots() -> None:
    growth = thinning(2, "free")
    for second in range(60):
        for name in ("a", "b"):
            if second == 0:
                growth.started(name)
            growth.reported(name, second, float(second))
    assert growth.limit == 1, "nothing waits, so what ends is not replaced"
    assert growth.limit_within(2) == 2
    growth.started("c")
    assert growth.summary() == ""


def test_what_was_learned_is_taken_over_where_it_can_be_believed() -> None:
    before = thinning(2)
    Bench(before, {1: 1.0, 2: 1.8}.__getitem__).run()
    again = thinning(2, learned=before.learned())
    assert (again.limit, again.is_settled) == (2, True)
    assert again.summary().endswith("staying at 2 (from an earlier sweep)")

    thrashed = thinning(2)
    Bench(thrashed, {1: 1.0, 2: 0.7}.__getitem__).run()
    assert thrashed.limit == 1
    assert thinning(2, learned=thrashed.learned()).limit == 1

    even = thinning(2)
    Bench(even, {1: 1.0, 2: 1.05}.__getitem__).run()
    assert even.limit == 1
    # Nothing is lost with two, and tomorrow nobody else may compute here.
    assert thinning(2, learned=even.learned()).limit == 2
    # Found with fewer slots than there are now.
    assert thinning(4, learned=before.learned()).limit == 4


def test_growth_and_thinning_understand_each_other() -> None:
    grown = SearchUp(most=2)
    Bench(grown, {1: 1.0, 2: 1.8, 3: 1.8}.__getitem__).run()
    grown.limit_within(3)
    Bench(grown, {1: 1.0, 2: 1.8, 3: 1.8}.__getitem__).run()
    assert thinning(3, learned=grown.learned()).limit == 2
    thinned = thinning(2)
    Bench(thinned, {1: 1.0, 2: 1.8}.__getitem__).run()
    assert SearchUp(most=2, learned=thinned.learned()).limit == 2


@pytest.mark.parametrize(
    "learned",
    [
        {"at_once": 2, "ratios": {"2": 1.0}, "settled": False},
        {"at_once": 9, "ratios": {"9": 1.0, "4": 1.0}},
        {"at_once": 2, "ratios": {"2": 2.0}},
        {"at_once": True, "ratios": {"2": 1.0}},
    ],
)
def test_senseless_memories_are_none(learned: dict[str, object]) -> None:
    growth = thinning(4, learned=learned)
    assert (growth.limit, growth.is_settled, growth.summary()) == (4, False, "")


def test_an_out_of_memory_lowers_it_for_good() -> None:
    growth = thinning(4)
    growth.out_of_memory(4)
    assert (growth.limit, growth.is_settled) == (3, True)


@given(st.integers(2, 500))
def test_steps_leave_room_for_a_gain(at_once: int) -> None:
    assert above(at_once) / at_once >= 1.2 > GAIN
    fewer = below(at_once)
    assert 1 <= fewer < at_once
    assert above(fewer) <= at_once < above(fewer + 1) or at_once - fewer == 1


@settings(max_examples=60, deadline=None)
@given(
    speeds=st.lists(st.floats(0.2, 5.0), min_size=8, max_size=8),
    most=st.integers(1, 8),
    trials=st.integers(1, 30),
    jitter=st.floats(0.0, 0.3),
)
def test_it_settles_on_a_number_that_no_lower_one_equals(
    speeds: list[float], most: int, trials: int, jitter: float
) -> None:
    growth = thinning(most)
    bench = Bench(
        growth, lambda n: speeds[n - 1], trials=trials, steps=60, jitter=jitter, start_up_s=1.0
    ).run()
    assert all(1 <= limit <= most for limit in bench.limits)
    assert bench.limits == sorted(bench.limits, reverse=True) or growth.is_settled
    if growth.is_settled and bench.events:
        last = bench.events[-1]
        ratios = {event.at_once: event.ratio for event in bench.events}
        if last.decision == "back":
            assert growth.limit > last.at_once
            assert ratios[growth.limit] >= GAIN * last.ratio * 0.999
        else:
            assert growth.limit == last.at_once == 1
