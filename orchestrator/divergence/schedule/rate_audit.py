"""Hold the learning rate that was logged against the schedule that was configured.

A stuck schedule does not show in the loss. It shows here::

    faults = audit([(1, 1.2e-4), (2, 1.22e-4), ...], declared({...}), last_step=100)
    faults[0].text   # "lr moves once per epoch where it should move per batch: ..."

Each point is (step of a report, rate). A rate may have been read before or after the scheduler
stepped, and steps may count from 0 or 1: a point fits where the schedule passes through its rate
within one report or one scheduler step of its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.faults import (
    LEAST_POINTS,
    Clock,
    Fault,
    Point,
    final,
    follows,
    never_moved,
    off_schedule,
    rose,
    scaled,
    stands_still,
    unreached,
    wrong_pace,
)

__all__ = ["LEAST_POINTS", "Fault", "Point", "audit", "batches_in_epoch", "counts_epochs"]


def audit(
    points: Sequence[Point], configured: Declared, last_step: float | None = None
) -> list[Fault]:
    """Return what is wrong with the logged rates, the cause before its consequences.

    Args:
        points: (step of the report, rate), in the order of reporting; others than finite rates
            are passed over.
        configured: the schedule, how often it is meant to step, and what the steps count.
        last_step: the step at which training is planned to end, where known. It also tells the
            batches in an epoch where nobody did.
    """
    kept = [(step, rate) for step, rate in points if math.isfinite(rate) and math.isfinite(step)]
    if len(kept) < LEAST_POINTS:
        return []
    schedule = configured.schedule
    batches = batches_in_epoch(configured, kept, last_step)
    by_epoch = counts_epochs(configured, kept, last_step)
    clock = Clock(_ratio(configured.per, by_epoch, batches))
    if follows(kept, schedule, clock, 1.0) and not schedule.follows_losses:
        return []
    if stands_still(kept) and not schedule.follows_losses:
        never = never_moved(kept, schedule, clock)
        if never:
            return [never, *unreached(kept, schedule, clock)]
        found = scaled(kept, schedule, clock)
        return [found] if found else []
    faults = [
        fault
        for fault in (
            wrong_pace(kept, configured, clock, by_epoch=by_epoch, batches=batches),
            scaled(kept, schedule, clock),
        )
        if fault
    ][:1]
    faults += unreached(kept, schedule, clock)
    if all(fault.kind != "warm-up never ended" for fault in faults):
        found = rose(kept, schedule, clock)
        faults += [found] if found else []
    if not faults:
        found = final(kept, schedule, clock, last_step)
        faults += [found] if found else []
    if not faults and not follows(kept, schedule, clock):
        faults.append(off_schedule(kept, schedule, clock))
    return faults


def counts_epochs(
    configured: Declared, points: Sequence[Point], last_step: float | None = None
) -> bool:
    """Tell whether the steps of the reports count epochs.

    Where nobody said: a schedule per epoch has its end near the last step where they do; one per
    batch ends far beyond, unless they count batches.
    """
    if configured.steps is not None:
        return configured.steps == "epoch"
    if configured.per == "epoch":
        return True
    last = last_step if last_step is not None else points[-1][0]
    end = configured.schedule.end
    if configured.batches_per_epoch and end is not None:
        epochs = (end + 1) / configured.batches_per_epoch
        return last <= 2 * epochs
    steps = [step for step, _ in points]
    gaps = [after - before for before, after in pairwise(steps)]
    return all(gap == 1 for gap in gaps) and end is not None and last < end / 2


def batches_in_epoch(
    configured: Declared, points: Sequence[Point], last_step: float | None
) -> float | None:
    """Return how many batches an epoch has: as declared, else from the ends of both."""
    if configured.batches_per_epoch is not None:
        return configured.batches_per_epoch
    end = configured.schedule.end
    if configured.per != "batch" or end is None or not last_step:
        return None
    if not counts_epochs(configured, points, last_step):
        return None
    return (end + 1) / last_step


def _ratio(per: str, by_epoch: bool, batches: float | None) -> float:
    if per == "batch" and by_epoch:
        return batches or 1.0
    if per == "epoch" and not by_epoch:
        return 1.0 / (batches or 1.0)
    return 1.0
