from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from hypothesis import given, strategies as st

from orchestrator.placement.admission.ordering import (
    PATIENCE,
    Want,
    choose,
    overtaken,
    ranking,
)
from orchestrator.placement.model import Need


def holds(free: Sequence[int], width: int = 1) -> Callable[[Want], bool]:
    """Return a test whether a trial fits into the bytes that are free on each device.

    Args:
        free: of devices that run nothing of ours; a trial whose need is unknown takes all of one.
        width: devices that one trial takes.
    """

    def fits(want: Want) -> bool:
        least = 1 if want.need.memory_bytes is None else want.need.memory_bytes
        return sum(size >= least for size in free) >= width

    return fits


def want(need: int | None, duration_s: float | None = None, passed: int = 0) -> Want:
    return Want(Need(need), duration_s=duration_s, passed=passed)


def test_equals_keep_the_order_of_the_queue() -> None:
    assert ranking([want(8), want(8), want(8)]) == [0, 1, 2]
    assert ranking([want(None), want(None)]) == [0, 1]
    assert choose([want(8), want(8)], holds([8])) == 0


def test_the_largest_that_fits() -> None:
    waiting = [want(3), want(9), want(5)]
    assert [choose(waiting, holds([free])) for free in (10, 8, 4, 2)] == [1, 2, 0, None]
    assert choose([], holds([10])) is None


def test_long_ones_before_large_ones() -> None:
    assert ranking([want(8, 60), want(2, 600)]) == [1, 0]
    assert ranking([want(8, 60), want(2, 100)]) == [0, 1]


def test_what_is_not_known_is_taken_as_typical() -> None:
    assert ranking([want(4, 10), want(4), want(4, 30), want(4, 20)]) == [2, 1, 3, 0]
    assert ranking([want(2), want(None), want(4), want(6)]) == [3, 1, 2, 0]


def test_trials_of_several_devices() -> None:
    assert choose([want(4)], holds([4, 3], width=2)) is None
    assert choose([want(3)], holds([4, 3], width=2)) == 0
    assert choose([want(None)], holds([0, 1], width=1)) == 0


def test_one_that_was_overtaken_too_often_makes_the_others_wait() -> None:
    waiting = [want(9, passed=PATIENCE), want(2)]
    assert choose(waiting, holds([5])) is None
    assert choose(waiting, holds([9])) == 0
    # Nobody waits for one that would not fit even if all ended.
    assert choose(waiting, holds([5]), could=holds([8])) == 1


def test_who_was_overtaken() -> None:
    waiting = [want(3), want(9), want(5)]
    assert overtaken(waiting, 2) == [1]
    assert overtaken(waiting, 1) == []
    assert overtaken(waiting, 0) == [1, 2]


WANTS = st.lists(
    st.builds(
        want,
        st.none() | st.integers(1, 50),
        st.none() | st.floats(1, 1e6),
        st.integers(0, PATIENCE - 1),
    ),
    max_size=12,
)
FREE = st.lists(st.integers(0, 50), max_size=4)


@given(waiting=WANTS, free=FREE)
def test_somebody_starts_exactly_where_somebody_fits(waiting: list[Want], free: list[int]) -> None:
    fits = holds(free)
    place = choose(waiting, fits)
    assert (place is None) == (not any(map(fits, waiting)))
    assert place is None or fits(waiting[place])
    assert sorted(ranking(waiting)) == list(range(len(waiting)))


@given(waiting=WANTS, free=FREE, more=st.integers(0, 50))
def test_more_memory_never_leaves_nobody(waiting: list[Want], free: list[int], more: int) -> None:
    if choose(waiting, holds(free)) is not None:
        assert choose(waiting, holds([size + more for size in free])) is not None


@given(waiting=WANTS.filter(bool), free=FREE)
def test_only_those_without_room_are_overtaken(waiting: list[Want], free: list[int]) -> None:
    place = choose(waiting, holds(free))
    if place is not None:
        passed = overtaken(waiting, place)
        assert not any(holds(free)(waiting[other]) for other in passed)
        counted = [dataclasses.replace(one, passed=0) for one in waiting]
        assert overtaken(counted, place) == passed
