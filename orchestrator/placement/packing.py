"""Packing equal trials onto unequal devices.

Every trial takes the same memory on each of `width` distinct devices, so a device is described by
how many trials it has room for.
"""

from __future__ import annotations

from collections.abc import Sequence


def capacity(rooms: Sequence[int], width: int) -> int:
    """Return the greatest number of trials that fit at once.

    `k` trials fit exactly when ``sum(min(room, k)) >= k * width``, because no device can serve one
    trial twice. The left side is concave in `k`: once this fails it fails for all greater `k`, so
    bisection finds the end.

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

    The trials are spread: no device serves more of them than it must, and those that share one
    come last, so that the first to start have devices of their own.

    Args:
        rooms: for each device, how many trials it has room for.
        width: devices that one trial takes.
        count: trials to place, at most ``capacity(rooms, width)``.
    """
    left = _shares(rooms, width * count)
    used = [0] * len(left)
    placed: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(count):
        # Those that must still serve most come first: one that must serve all that remain cannot
        # be passed over, and there are never more than `width` of these.
        chosen = sorted(range(len(left)), key=lambda i: (-left[i], used[i], rooms[i], i))[:width]
        shared = max(used[place] for place in chosen)
        for place in chosen:
            left[place] -= 1
            used[place] += 1
        placed.append((shared, tuple(sorted(chosen))))
    return [chosen for _, chosen in sorted(placed, key=lambda entry: entry[0])]


def _shares(rooms: Sequence[int], total: int) -> list[int]:
    """Return how many of `total` places each device gives, the greatest share being least.

    Devices fill up to one level; where the last layer is not full, those with least room serve in
    it, as admission does (`rules.Rules.places`): the wide ones stay wide.
    """
    low, high = 0, max(rooms, default=0)
    while low < high:
        level = (low + high) // 2
        if sum(min(room, level) for room in rooms) >= total:
            high = level
        else:
            low = level + 1
    shares = [min(room, low) for room in rooms]
    top = sorted(
        (i for i, share in enumerate(shares) if share == low), key=lambda i: (-rooms[i], -i)
    )
    for place in top[: sum(shares) - total]:
        shares[place] -= 1
    return shares
