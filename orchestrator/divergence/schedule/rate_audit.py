"""Hold the learning rate that was logged against the schedule that was configured.

A stuck schedule does not show in the loss. It shows here::

    faults = audit([(1, 1.2e-4), (2, 1.22e-4), ...], declared({...}), last_step=100)
    faults[0].text   # "lr moves once per epoch where it should move per batch: ..."

Each point is (step of a report, rate). A rate may have been read before or after the scheduler
stepped, and steps may count from 0 or 1: a point fits where the schedule passes through its rate
within one report or one scheduler step of its place.

Single faults of a learning rate: each looked for by itself, told in a sentence with its numbers.

`orchestrator.divergence.schedule.rate_audit` decides which of them count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.formulas import Schedule

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


RELATIVE = 0.02
"""Part of a rate by which a log may differ from its schedule: logs are rounded."""

OF_PEAK = 1e-3
"""Part of the peak by which it may differ too: what is next to nothing need not be exact."""

FIT = 0.9
"""Share of the points that must fit a schedule for the log to follow it."""

LEAST_POINTS = 3
MOVES = 0.05
"""A schedule moves over a span where its rates differ by more than this part."""

RISES = 1.5
"""A rate that was falling rose where it is this many times the least before it."""

PACES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 2.0, 4.0, 8.0)
"""Paces that scheduler steps take by mistake: accumulation of gradients, several processes."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which the rate that was used is not the one that was configured.

    Attributes:
        kind: ``never moved``, ``wrong pace``, ``per epoch``, ``per batch``, ``scaled``,
            ``warm-up never ended``, ``peak never reached``, ``rose after its floor``,
            ``final value off``, ``off schedule``.
        since: the step from which it shows.
        text: what is wrong, in a sentence with its numbers.
        numbers: the numbers, by name.
    """

    kind: str
    since: float
    text: str
    numbers: dict[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Clock:
    """Turns steps of reports into steps of the scheduler.

    Attributes:
        ratio: scheduler steps in one step of the reports.
    """

    ratio: float

    def at(self, step: float) -> float:
        """Return the scheduler steps done at a step of the reports."""
        return step * self.ratio

    def bounds(self, schedule: Schedule, step: float) -> tuple[float, float]:
        """Return the rates that a log may show at `step`, without tolerance."""
        slack = max(1.0, self.ratio)
        place = self.at(step)
        return schedule.bounds(place - slack, place + slack)


def _fits(rate: float, bounds: tuple[float, float], peak: float) -> bool:
    low, high = bounds
    slack = OF_PEAK * peak
    return low * (1 - RELATIVE) - slack <= rate <= high * (1 + RELATIVE) + slack


def follows(points: Sequence[Point], schedule: Schedule, clock: Clock, share: float = FIT) -> bool:
    """Tell whether at least a share of the points fit; as soon as too many do not, they do not."""
    peak = schedule.peak
    spare = math.floor(len(points) * (1 - share) + 1e-9)
    for step, rate in points:
        spare -= not _fits(rate, clock.bounds(schedule, step), peak)
        if spare < 0:
            return False
    return True


def _first_off(points: Sequence[Point], schedule: Schedule, clock: Clock) -> Point:
    peak = schedule.peak
    off = (p for p in points if not _fits(p[1], clock.bounds(schedule, p[0]), peak))
    return next(off, points[-1])


def stands_still(points: Sequence[Point]) -> bool:
    """Tell whether the rate never moved."""
    rates = [rate for _, rate in points]
    return max(rates) - min(rates) <= 1e-3 * max(map(abs, rates))


def never_moved(points: Sequence[Point], schedule: Schedule, clock: Clock) -> Fault | None:
    """Say that a rate that stands still should have moved, where it should."""
    # What lies between the first and the last report, whichever way their rates were read.
    first, last = points[0][0], points[-1][0]
    start = clock.at(first) + max(1.0, clock.ratio)
    low, high = schedule.bounds(start, max(start, clock.at(last) - max(1.0, clock.ratio)))
    if high - low <= MOVES * high:
        return None
    return Fault(
        "never moved",
        first,
        f"lr never moved: it is {_num(points[0][1])} from step {_num(first)} to {_num(last)}, "
        f"where {schedule.kind} goes from {_num(low)} to {_num(high)}. Step it in the loop",
        {"logged": points[0][1], "least": low, "greatest": high},
    )


def wrong_pace(
    points: Sequence[Point],
    configured: Declared,
    clock: Clock,
    *,
    by_epoch: bool,
    batches: float | None,
) -> Fault | None:
    """Look for a pace of the scheduler under which the log fits after all."""
    schedule = configured.schedule
    if schedule.follows_losses or follows(points, schedule, clock):
        return None
    candidates: list[tuple[str, float]] = []
    if configured.per == "batch" and (batches is None or batches > 1):
        each = 1.0 if by_epoch else 1.0 / batches if batches else 0.0
        candidates += [("per epoch", each)] if each else []
    if configured.per == "epoch" and batches is not None and batches > 1:
        candidates.append(("per batch", clock.ratio * batches))
    candidates += [("wrong pace", clock.ratio * pace) for pace in PACES]
    for kind, ratio in candidates:
        other = Clock(ratio)
        if ratio == clock.ratio or not follows(points, schedule, other):
            continue
        return _told_pace(kind, points, schedule, clock, other)
    return None


def _told_pace(
    kind: str, points: Sequence[Point], schedule: Schedule, clock: Clock, other: Clock
) -> Fault:
    since, _ = _first_off(points, schedule, clock)
    step, rate = points[-1]
    meant = schedule.at(clock.at(step))
    pace = other.ratio / clock.ratio
    words = {
        "per epoch": "lr moves once per epoch where it should move per batch",
        "per batch": "lr moves per batch where it should move once per epoch",
    }.get(kind, f"lr moves at {_num(pace)} times the pace of its schedule")
    advice = {
        "per epoch": "Call scheduler.step() after each batch, or give the schedule its epochs",
        "per batch": "Call scheduler.step() after each epoch, or give the schedule its batches",
    }.get(kind, "Count the scheduler's steps: accumulation and several processes change them")
    numbers = {"logged": rate, "configured": meant, "pace": pace}
    return Fault(
        kind,
        since,
        f"{words}: at step {_num(step)} it is {_num(rate)}, where {schedule.kind} has "
        f"{_num(meant)}. {advice}",
        numbers,
    )


def scaled(points: Sequence[Point], schedule: Schedule, clock: Clock) -> Fault | None:
    """Look for one factor between the log and the schedule."""
    if schedule.follows_losses or follows(points, schedule, clock):
        return None
    ratios, peak = [], schedule.peak
    for step, rate in points:
        meant = schedule.at(max(0.0, clock.at(step)))
        if meant > OF_PEAK * peak:
            ratios.append(rate / meant)
    if len(ratios) < LEAST_POINTS:
        return None
    factor = sorted(ratios)[len(ratios) // 2]
    if factor <= 0 or abs(factor - 1) <= MOVES:
        return None
    scaled = [(step, rate / factor) for step, rate in points]
    if not follows(scaled, schedule, clock):
        return None
    return Fault(
        "scaled",
        points[0][0],
        f"lr is {_num(factor)} times its schedule throughout: the peak that was configured is "
        f"{_num(schedule.peak)}. Look for a second place that sets the rate",
        {"factor": factor, "configured": schedule.peak},
    )


def unreached(points: Sequence[Point], schedule: Schedule, clock: Clock) -> list[Fault]:
    """Look for a warm-up that goes on, and for a peak that never came."""
    top_at = schedule.peak_at
    last_step, last = points[-1]
    slack = 2 * max(1.0, clock.ratio)
    if top_at <= 0 or clock.at(last_step) < top_at + slack:
        return []
    highest = max(rate for _, rate in points)
    numbers = {"highest": highest, "peak": schedule.peak, "last": last}
    rises = all(after >= before * (1 - 1e-6) for (_, before), (_, after) in pairwise(points))
    meant_at = top_at / clock.ratio
    # One that stands at its peak, as before a plateau, has ended its warm-up.
    beyond = [rate for step, rate in points if clock.at(step) >= top_at + slack]
    goes_on = last > beyond[0] * (1 + 1e-6) or len(beyond) < 2
    if rises and goes_on and last > points[0][1] * (1 + MOVES):
        return [
            Fault(
                "warm-up never ended",
                meant_at,
                f"lr still rises at step {_num(last_step)}, where it is {_num(last)}: its warm-up "
                f"should have ended at step {_num(meant_at)}",
                numbers,
            )
        ]
    # Where reports are sparse the log may have looked away while the rate was at its peak.
    seen = max(clock.bounds(schedule, step)[0] for step, _ in points)
    if highest < (1 - MOVES) * min(schedule.peak, seen):
        return [
            Fault(
                "peak never reached",
                meant_at,
                f"lr never reached its peak {_num(schedule.peak)}, meant for step "
                f"{_num(meant_at)}: the highest was {_num(highest)}",
                numbers,
            )
        ]
    return []


def rose(points: Sequence[Point], schedule: Schedule, clock: Clock) -> Fault | None:
    """Look for a rate that climbs again where the schedule only falls or rests."""
    least: Point | None = None
    peak, from_place = schedule.peak, schedule.peak_at + max(1.0, clock.ratio)
    for step, rate in points:
        if clock.at(step) < from_place:
            continue
        far = least is not None and rate - least[1] > 10 * OF_PEAK * peak
        if least is not None and rate > RISES * least[1] and far:
            highest = max(later for place, later in points if place >= step)
            return Fault(
                "rose after its floor",
                step,
                f"lr rose again after its floor: from {_num(least[1])} at step {_num(least[0])} "
                f"to {_num(highest)}, where {schedule.kind} only falls. The scheduler goes on past "
                "its length, or was made anew",
                {"floor": least[1], "highest": highest},
            )
        if least is None or rate < least[1]:
            least = (step, rate)
    return None


def final(
    points: Sequence[Point], schedule: Schedule, clock: Clock, last_step: float | None
) -> Fault | None:
    """Look for a wrong rate at the end."""
    end = schedule.end
    step, rate = points[-1]
    slack = max(1.0, clock.ratio)
    is_over = last_step is not None and step >= last_step
    if end is not None and clock.at(step) + slack >= end:
        is_over = True
    if not is_over:
        return None
    bounds = clock.bounds(schedule, step)
    if _fits(rate, bounds, schedule.peak):
        return None
    meant = bounds[1] if rate > bounds[1] else bounds[0]
    return Fault(
        "final value off",
        step,
        f"lr ends at {_num(rate)}, where {schedule.kind} ends at {_num(meant)}",
        {"logged": rate, "configured": meant},
    )


def off_schedule(points: Sequence[Point], schedule: Schedule, clock: Clock) -> Fault:
    """Say where the rate leaves its schedule."""
    step, rate = _first_off(points, schedule, clock)
    low, high = clock.bounds(schedule, step)
    meant = _num(low) if low == high else f"{_num(low)} to {_num(high)}"
    return Fault(
        "off schedule",
        step,
        f"lr leaves its schedule at step {_num(step)}: it is {_num(rate)}, where {schedule.kind} "
        f"has {meant}",
        {"logged": rate, "least": low, "greatest": high},
    )


def _num(value: float) -> str:
    return f"{value:.3g}" if not float(value).is_integer() or abs(value) >= 1e6 else f"{value:.0f}"
