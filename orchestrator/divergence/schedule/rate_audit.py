"""Compare the logged learning rate with the configured schedule.

A wrong schedule does not show in the loss. It shows here::

    faults = audit([(1, 1.2e-4), (2, 1.22e-4), ...], declared({...}), last_step=100)
    faults[0].text   # "lr moves once per epoch instead of per batch: ..."

Each point is (step of a report, rate). A rate may have been read before or after the scheduler
stepped, and steps may count from 0 or 1: a point fits if the schedule passes through its rate
within one report or one scheduler step of its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_log import OF_PEAK, Point, RateLog, reported_rates

LEAST_POINTS = 3
MOVES = 0.05
"""A schedule moves in a range if its rates there differ by more than this fraction."""

RISES = 1.5
"""A rate that was falling has risen if it is this many times the lowest one before it."""

PACES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 2.0, 4.0, 8.0)
"""Paces that scheduler steps take by mistake: gradient accumulation, several processes."""

_PACE_TEXTS = {
    "per epoch": (
        "once per epoch instead of per batch",
        "Call scheduler.step() after each batch, or give the schedule its epochs",
    ),
    "per batch": (
        "per batch instead of once per epoch",
        "Call scheduler.step() after each epoch, or give the schedule its batches",
    ),
    "wrong pace": (
        "at {pace} times the pace of its schedule",
        "Count the scheduler's steps: accumulation and several processes change them",
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One difference between the logged and the configured rate, since a step of the reports."""

    kind: str
    since: float
    text: str
    numbers: dict[str, float] = field(compare=False)


def audit(
    points: Sequence[Point], configured: Declared, last_step: float | None = None
) -> list[Fault]:
    """Return what is wrong with the logged rates, the cause before its consequences.

    Args:
        points: (step of the report, rate), in the order of reporting; values that are not finite
            are ignored.
        last_step: the step at which training is planned to end; None if unknown. It also shows
            the batches in an epoch if they were not declared.
    """
    kept = [(step, rate) for step, rate in points if math.isfinite(rate) and math.isfinite(step)]
    if len(kept) < LEAST_POINTS:
        return []
    log = RateLog(kept, configured, last_step)
    if log.start:
        kept = [point for point in kept if point[0] >= log.start]
        if len(kept) < LEAST_POINTS:
            return []
        log = RateLog(kept, configured, last_step)
    if log.follows(1.0) and not log.schedule.follows_losses:
        return []
    faults = [_never_moved(log) or _wrong_pace(log) or _scaled(log)]
    if not log.is_constant or (faults[0] is not None and faults[0].kind == "never moved"):
        missed = _missed_peak(log)
        is_warming_up = missed is not None and missed.kind == "warm-up never ended"
        faults += [missed, None if is_warming_up else _rose_again(log)]
        if not any(faults):
            faults = [_wrong_end(log) or _off_schedule(log)]
    return [fault for fault in faults if fault is not None]


def learning_rates(
    reports: Sequence[tuple[int, Mapping[str, float]]],
    schedule: Declared | None = None,
    last_step: float | None = None,
) -> dict[str, float]:
    """Return ``first``, ``peak`` and ``last`` learning rate of a run; {} if it reported none.

    The first is that of the first step if the log follows its schedule: the first report may come
    an epoch later.

    Args:
        reports: (step, metrics).
        schedule: the configured rate, if known.
        last_step: as for `audit`.
    """
    points = [point for point in reported_rates(reports) if math.isfinite(point[1])]
    if not points:
        return {}
    rates = [rate for _, rate in points]
    if schedule is not None and not audit(points, schedule, last_step):
        rates.insert(0, schedule.schedule.at(0))
    return {"first": rates[0], "peak": max(rates), "last": rates[-1]}


def _never_moved(log: RateLog) -> Fault | None:
    """Return the fault of a rate that should move and does not."""
    if not log.is_constant:
        return None
    # What lies between the first and the last report, whichever way their rates were read.
    (first, rate), (last, _) = log.points[0], log.points[-1]
    start = log.at(first) + log.slack
    low, high = log.schedule.bounds(start, max(start, log.at(last) - log.slack))
    if high - low <= MOVES * high:
        return None
    end = log.schedule.end
    begins, ends = (low, high) if end is None else (log.schedule.at(0), log.schedule.at(end))
    peak = f" over {_num(log.peak)}" if log.peak > max(begins, ends) else ""
    text = (
        f"lr never moved: it is {_num(rate)} from step {_num(first)} to {_num(last)}, but "
        f"{log.schedule.kind} goes from {_num(begins)}{peak} to {_num(ends)}. Step it in the loop"
    )
    return Fault("never moved", first, text, {"logged": rate, "least": low, "greatest": high})


def _wrong_pace(log: RateLog) -> Fault | None:
    """Look for a pace of the scheduler at which the log fits after all."""
    if log.is_constant or log.schedule.follows_losses or log.is_followed:
        return None
    for kind, ratio in _paces(log):
        if ratio == log.ratio or not log.follows(ratio=ratio):
            continue
        step, rate = log.points[-1]
        meant, pace = log.schedule.at(log.at(step)), ratio / log.ratio
        what, advice = _PACE_TEXTS[kind]
        text = (
            f"lr moves {what.format(pace=_num(pace))}: at step {_num(step)} it is {_num(rate)}, "
            f"but {log.schedule.kind} gives {_num(meant)}. {advice}"
        )
        numbers = {"logged": rate, "configured": meant, "pace": pace}
        return Fault(kind, log.first_off()[0], text, numbers)
    return None


def _paces(log: RateLog) -> Iterator[tuple[str, float]]:
    if log.batches is None or log.batches > 1:
        if log.per == "batch" and log.counts_epochs:
            yield "per epoch", 1.0
        elif log.per == "batch" and log.batches is not None:
            yield "per epoch", 1.0 / log.batches
        elif log.batches is not None:
            yield "per batch", log.ratio * log.batches
    for pace in PACES:
        yield "wrong pace", log.ratio * pace


def _scaled(log: RateLog) -> Fault | None:
    """Look for one factor between the log and the schedule."""
    if log.schedule.follows_losses or log.is_followed:
        return None
    pairs = [(rate, log.schedule.at(max(0.0, log.at(step)))) for step, rate in log.points]
    quotients = sorted(rate / meant for rate, meant in pairs if meant > OF_PEAK * log.peak)
    if len(quotients) < LEAST_POINTS:
        return None
    factor = quotients[len(quotients) // 2]
    if factor <= 0 or abs(factor - 1) <= MOVES or not log.follows(factor=factor):
        return None
    text = (
        f"lr is {_num(factor)} times its schedule throughout: the configured peak is "
        f"{_num(log.peak)}. Look for a second place that sets the rate"
    )
    return Fault("scaled", log.points[0][0], text, {"factor": factor, "configured": log.peak})


def _missed_peak(log: RateLog) -> Fault | None:
    """Look for a warm-up that continues, or else a peak that was never reached."""
    top_at, (last_step, last) = log.schedule.peak_at, log.points[-1]
    beyond = [rate for step, rate in log.points if log.at(step) >= top_at + 2 * log.slack]
    if top_at <= 0 or log.at(last_step) < top_at + 2 * log.slack:
        return None
    highest = max(rate for _, rate in log.points)
    meant_at = log.start + top_at / log.ratio
    numbers = {"highest": highest, "peak": log.peak, "last": last}
    # One that stays at its peak, as before a plateau, has ended its warm-up.
    continues = last > beyond[0] * (1 + 1e-6) or len(beyond) < 2
    rises = all(after >= before * (1 - 1e-6) for (_, before), (_, after) in pairwise(log.points))
    if rises and continues and last > log.points[0][1] * (1 + MOVES):
        text = (
            f"lr still rises at step {_num(last_step)}, where it is {_num(last)}: its warm-up "
            f"should have ended at step {_num(meant_at)}"
        )
        return Fault("warm-up never ended", meant_at, text, numbers)
    # If reports are sparse, none may have been made while the rate was at its peak.
    seen = max(log.bounds(step)[0] for step, _ in log.points)
    if highest >= (1 - MOVES) * min(log.peak, seen):
        return None
    text = (
        f"lr never reached its peak {_num(log.peak)}, meant for step {_num(meant_at)}: the "
        f"highest was {_num(highest)}"
    )
    return Fault("peak never reached", meant_at, text, numbers)


def _rose_again(log: RateLog) -> Fault | None:
    """Look for a rate that rises again although the schedule only falls or rests.

    A rate that is still in its warm-up has had no floor: it must have fallen before.
    """
    least: Point | None = None
    start = log.schedule.peak_at + log.slack
    highest = 0.0
    for step, rate in log.points:
        highest = max(highest, rate)
        is_rising = least is None and rate >= highest * (1 - 1e-6)
        if log.at(step) < start or is_rising:
            continue
        is_far = least is not None and rate - least[1] > 10 * OF_PEAK * log.peak
        if least is not None and rate > RISES * least[1] and is_far:
            highest = max(later for place, later in log.points if place >= step)
            text = (
                f"lr rose again after its floor: from {_num(least[1])} at step {_num(least[0])} "
                f"to {_num(highest)}, but {log.schedule.kind} only falls. The scheduler continued "
                "past its length, or was created again"
            )
            numbers = {"floor": least[1], "highest": highest}
            return Fault("rose after its floor", step, text, numbers)
        if least is None or rate < least[1]:
            least = (step, rate)
    return None


def _wrong_end(log: RateLog) -> Fault | None:
    """Look for a wrong rate at the end."""
    end = log.schedule.end
    step, rate = log.points[-1]
    is_over = log.last_step is not None and step >= log.last_step
    is_over |= end is not None and log.at(step) + log.slack >= end
    if not is_over or log.fits((step, rate)):
        return None
    low, high = log.bounds(step)
    meant = high if rate > high else low
    text = f"lr ends at {_num(rate)}, but {log.schedule.kind} ends at {_num(meant)}"
    return Fault("final value off", step, text, {"logged": rate, "configured": meant})


def _off_schedule(log: RateLog) -> Fault | None:
    """Return where the rate leaves its schedule, if nothing more precise is known."""
    if log.is_followed:
        return None
    step, rate = log.first_off()
    low, high = log.bounds(step)
    meant = _num(low) if low == high else f"{_num(low)} to {_num(high)}"
    text = (
        f"lr leaves its schedule at step {_num(step)}: it is {_num(rate)}, but "
        f"{log.schedule.kind} gives {meant}"
    )
    return Fault("off schedule", step, text, {"logged": rate, "least": low, "greatest": high})


def _num(value: float) -> str:
    return f"{value:.3g}" if not float(value).is_integer() or abs(value) >= 1e6 else f"{value:.0f}"
