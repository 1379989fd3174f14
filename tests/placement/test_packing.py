from __future__ import annotations

from itertools import combinations

from hypothesis import given, strategies as st

from orchestrator.placement.planner import capacity, pack

ROOMS = st.lists(st.integers(0, 6), min_size=1, max_size=5)


def most_by_search(rooms: tuple[int, ...], width: int) -> int:
    """Return the greatest number of trials by trying every choice of devices."""
    best = 0
    for places in combinations(range(len(rooms)), width):
        if all(rooms[place] for place in places):
            left = tuple(room - (place in places) for place, room in enumerate(rooms))
            best = max(best, 1 + most_by_search(left, width))
    return best


@given(rooms=st.lists(st.integers(0, 3), min_size=1, max_size=3), width=st.integers(1, 3))
def test_capacity_is_the_greatest_number(rooms: list[int], width: int) -> None:
    assert capacity(rooms, width) == most_by_search(tuple(rooms), width)


@given(rooms=ROOMS, width=st.integers(1, 5), data=st.data())
def test_any_number_up_to_capacity_is_packed(
    rooms: list[int], width: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, capacity(rooms, width)))
    placed = pack(rooms, width, count)
    assert len(placed) == count
    for chosen in placed:
        assert len(set(chosen)) == len(chosen) == width
    for place, room in enumerate(rooms):
        assert sum(place in chosen for chosen in placed) <= room


@given(rooms=ROOMS, data=st.data())
def test_trials_spread_before_they_share(rooms: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, capacity(rooms, 1)))
    places = [chosen[0] for chosen in pack(rooms, 1, count)]
    served = [places.count(place) for place in range(len(rooms))]
    # Nobody could be relieved: who serves less than another has no room left.
    for place, room in enumerate(rooms):
        assert served[place] == room or served[place] >= max(served) - 1
    alone = len(set(places))
    assert len(set(places[:alone])) == alone, "those that share a device come last"


def test_wide_trials_leave_room_for_the_last() -> None:
    # Three trials on two devices each: only if every one takes the large device.
    assert capacity([3, 1, 1, 1], 2) == 3
    assert sorted(pack([3, 1, 1, 1], 2, 3)) == [(0, 1), (0, 2), (0, 3)]
