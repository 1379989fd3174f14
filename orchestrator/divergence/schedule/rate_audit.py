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
from orchestrator.divergence.series import kind_of

RELATIVE = 0.02
"""Fraction of a rate by which a log may differ from its schedule: logs are rounded."""

OF_PEAK = 1e-3
"""Fraction of the peak by which it may differ too: rates close to 0 need not be exact."""

FIT = 0.9
"""Fraction of the points that must fit a schedule if the log follows it."""

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

Point = tuple[float, float]


def reported_rates(reports: Sequence[tuple[int, Mapping[str, float]]]) -> list[Point]:
    """Return (step, learning rate); of several parameter groups those of the first."""
    names = (name for _, metrics in reports for name in metrics if kind_of(name) == "rate")
    first = next(names, None)
    if first is None:
        return []
    return [(step, metrics[first]) for step, metrics in reports if first in metrics]


def learning_rates(
    reports: Sequence[tuple[int, Mapping[str, float]]], first: float | None = None
) -> dict[str, float]:
    """Return ``first``, ``peak`` and ``last`` of the reported rates; {} if there are none.

    Args:
        reports: (step, metrics).
        first: the rate of the first step, if known; the first report may come an epoch later.
    """
    rates = [rate for _, rate in reported_rates(reports) if math.isfinite(rate)]
    if not rates:
        return {}
    begins = rates[0] if first is None else first
    return {"first": begins, "peak": max(begins, *rates), "last": rates[-1]}


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


class RateLog:
    """The logged rates with the schedule that they should follow; arguments as for `audit`.

    Attributes:
        ratio: scheduler steps in one step of the reports.
        start: the step of the reports at which the schedule begins.
        slack: scheduler steps by which a point may be off.
        is_constant: True if the rate never moves, although it does not depend on the losses.
        is_followed: True if nearly all points fit the schedule.
    """

    def __init__(
        self, points: Sequence[Point], configured: Declared, last_step: float | None
    ) -> None:
        self.points = points
        self.schedule = configured.schedule
        self.per = configured.per
        self.last_step = last_step
        self.counts_epochs = _counts_epochs(configured, points, last_step)
        self.batches = configured.batches_per_epoch
        end = self.schedule.end
        if self.batches is None and self.per == "batch" and self.counts_epochs:
            length = None if end is None else end + 1 + configured.start
            self.batches = length / last_step if length is not None and last_step else None
        self.ratio = 1.0
        if self.per == "batch" and self.counts_epochs:
            self.ratio = self.batches or 1.0
        elif self.per == "epoch" and not self.counts_epochs:
            self.ratio = 1.0 / (self.batches or 1.0)
        self.start = configured.start / self.ratio
        self.slack = max(1.0, self.ratio)
        self.peak = self.schedule.peak
        rates = [rate for _, rate in points]
        is_still = max(rates) - min(rates) <= 1e-3 * max(map(abs, rates))
        self.is_constant = is_still and not self.schedule.follows_losses
        self.is_followed = self.follows()

    def at(self, step: float) -> float:
        """Return the scheduler steps done at a step of the reports."""
        return (step - self.start) * self.ratio

    def bounds(self, step: float, ratio: float | None = None) -> tuple[float, float]:
        """Return the rates that a log may show at `step`, without tolerance."""
        ratio = self.ratio if ratio is None else ratio
        place, slack = (step - self.start) * ratio, max(1.0, ratio)
        return self.schedule.bounds(place - slack, place + slack)

    def fits(self, point: Point, ratio: float | None = None, factor: float = 1.0) -> bool:
        """Return whether a point fits, at another pace or with its rate divided by a factor."""
        low, high = self.bounds(point[0], ratio)
        slack = OF_PEAK * self.peak
        return low * (1 - RELATIVE) - slack <= point[1] / factor <= high * (1 + RELATIVE) + slack

    def follows(
        self, share: float = FIT, *, ratio: float | None = None, factor: float = 1.0
    ) -> bool:
        """Return whether at least a fraction of the points fit."""
        spare = math.floor(len(self.points) * (1 - share) + 1e-9)
        for point in self.points:
            spare -= not self.fits(point, ratio, factor)
            if spare < 0:
                return False
        return True

    def first_off(self) -> Point:
        """Return the first point that does not fit, or the last one."""
        return next((point for point in self.points if not self.fits(point)), self.points[-1])


def _counts_epochs(configured: Declared, points: Sequence[Point], last_step: float | None) -> bool:
    """Return whether the steps of the reports count epochs.

    If nobody stated it: a schedule per epoch ends near the last step if they do; one per batch ends
    far beyond it, unless they count batches.
    """
    if configured.steps is not None:
        return configured.steps == "epoch"
    if configured.per == "epoch":
        return True
    last = last_step if last_step is not None else points[-1][0]
    end = configured.schedule.end
    if configured.batches_per_epoch and end is not None:
        return last <= 2 * (end + 1) / configured.batches_per_epoch
    are_consecutive = all(after[0] - before[0] == 1 for before, after in pairwise(points))
    return are_consecutive and end is not None and last < end / 2


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
