"""Choose which of the waiting trials starts next, so that mixed needs pack well. Pure.

::

    wants = [Want(Need(8 * GIB)), Want(Need(2 * GIB))]
    choose(wants, lambda want: want.need.memory_bytes <= 4 * GIB)     # 1

Starting the largest first leaves the small ones to fill the gaps at the end. If durations are
known, a trial's size is its duration times the square root of its need: between longest first,
which keeps the end short with many cards, and largest area first, which packs one card best.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.placement.model import Need

PATIENCE = 64
"""Starts by which a trial may be overtaken; then all others wait until it has room."""


@dataclass(frozen=True)
class Want:
    """What a waiting trial asks for.

    Attributes:
        need: memory on each of its devices.
        duration_s: how long it is expected to run; None if nobody knows.
        alone: True for one that must have its devices to itself (after an out-of-memory).
        passed: how many starts have overtaken it.
    """

    need: Need
    duration_s: float | None = None
    alone: bool = False
    passed: int = 0


def choose(
    waiting: Sequence[Want],
    fits: Callable[[Want], bool],
    could: Callable[[Want], bool] = lambda want: True,
) -> int | None:
    """Return the place of the trial that starts now, or None if none should.

    Trials of one size start in the order in which they wait.

    Args:
        waiting: in the order of the queue.
        fits: whether there is room for a trial now.
        could: whether there would be room for it if no trial of ours ran; none waits for one that
            has no room even then.
    """
    order = ranking(waiting)
    late = [place for place in order if waiting[place].passed >= PATIENCE and could(waiting[place])]
    if late:
        return late[0] if fits(waiting[late[0]]) else None
    return next((place for place in order if fits(waiting[place])), None)


def ranking(waiting: Sequence[Want]) -> list[int]:
    """Return the places of `waiting`, the one that should start first in front.

    What is not known of a trial is taken to be as it typically is among the others.
    """
    needs = [want.need.memory_bytes for want in waiting]
    durations = [want.duration_s for want in waiting]
    need = _typical([value for value in needs if value is not None])
    duration = _typical([value for value in durations if value is not None])
    sizes = [
        (duration if d is None else d) * math.sqrt(need if n is None else n)
        for n, d in zip(needs, durations, strict=True)
    ]
    # Sorting is stable, so equals keep their order.
    return sorted(range(len(waiting)), key=lambda place: -sizes[place])


def overtaken(waiting: Sequence[Want], chosen: int) -> list[int]:
    """Return the places of those that `choose` passed over for want of room; `passed` counts it."""
    order = ranking(waiting)
    return order[: order.index(chosen)]


def _typical(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 1.0
