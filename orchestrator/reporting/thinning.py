"""Leave out points of a curve that the eye cannot see."""

from __future__ import annotations

import math
from collections.abc import Sequence


def thin(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return at most about `most` points that keep first, last, and every extreme to the eye.

    Each of ``most / 4`` equal parts keeps its first, last, least and greatest value.
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) * 4 / most)
    kept: list[tuple[int, float]] = []
    for start in range(0, len(points), size):
        part = range(start, min(start + size, len(points)))
        finite = [at for at in part if math.isfinite(points[at][1])]
        chosen = {part[0], part[-1]}
        if finite:
            chosen |= {min(finite, key=lambda at: points[at][1])}
            chosen |= {max(finite, key=lambda at: points[at][1])}
        kept += [points[at] for at in sorted(chosen)]
    return kept
