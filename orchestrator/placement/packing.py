"""Packing equal trials onto unequal devices.

Every trial takes the same memory on each of `width` distinct devices, so a device is described by
how many trials it has room for.
"""

from __future__ import annotations

from collections.abc import Sequence


def capacity(rooms: Sequence[int], width: int) -> int:
    """Return the greatest number of trials that fit at once.

    `k` trials fit exactly when ``sum(min(room, k)) >= k * width``: no device can serve one trial
    twice, and as long as that holds, filling the devices with the most room left never gets stuck.
    The left side is concave in `k`, so once it fails it stays failed and bisection finds the end.

    Args:
        rooms: for each device, how many trials it has room for.
        width: devices that one trial takes, at least 1.
    """
    low, high = 0, sum(rooms) // width
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(room, middle) for room in rooms) >= middle * width:
            low = middle
        else:
            high = middle - 1
    return low


def pack(rooms: Sequence[int], width: int, count: int) -> list[tuple[int, ...]]:
    """Return, for each of `count` trials, the places of its devices in `rooms`.

    Devices that hold fewest trials come first, so that trials share a device only when they must;
    and trials that share come last, so that the first of them have a device of their own.

    Args:
        rooms: for each device, how many trials it has room for.
        width: devices that one trial takes.
        count: trials to place, at most ``capacity(rooms, width)``.
    """
    left = list(rooms)
    used = [0] * len(left)
    placed: list[tuple[int, tuple[int, ...]]] = []
    for remaining in range(count, 0, -1):

        def rank(place: int, remaining: int = remaining) -> tuple[int, int, int, int]:
            # A device with room for all that remain may have to serve every one of them.
            return -min(left[place], remaining), used[place], -left[place], place

        chosen = sorted(range(len(left)), key=rank)[:width]
        shared = max(used[place] for place in chosen)
        for place in chosen:
            left[place] -= 1
            used[place] += 1
        placed.append((shared, tuple(sorted(chosen))))
    return [chosen for _, chosen in sorted(placed, key=lambda entry: entry[0])]
