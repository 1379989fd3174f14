"""The conditions under which a series of finite values is lost, each with its own run length.

A condition must hold for several reports running; one report that breaks it starts it anew. The
thresholds were set on real curves; `python -m benchmarks.divergence` measures what they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.divergence.series import Standing

EXPLOSION_FACTOR = 2.0
"""A positive loss this many times its first and its best value explodes."""

HALF_LOST = 0.5
SUSTAINED_LOST = 0.2
RISING_FACTOR = 0.2
"""A loss that never fell below its first value rises when it is this part above it."""

RISING_REPORTS = 3

MIN_REPORTS = 6
"""Reports before lost progress is judged: earlier, best and noise mean little."""

NOISE_ABOVE_BEST = 6.0
NOISE_OF_PROGRESS = 2.0
RATIO_ABOVE_BEST = 1.1


class Streak:
    """How long a condition has held, and since which step."""

    __slots__ = ("count", "since")

    def __init__(self) -> None:
        self.count = 0
        self.since: int | None = None

    def feed(self, holds: bool, step: int) -> None:
        """Take in one report."""
        if not holds:
            self.clear()
            return
        if not self.count:
            self.since = step
        self.count += 1

    def clear(self) -> None:
        """Start anew."""
        self.count = 0
        self.since = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that has held for as long as it must.

    Attributes:
        symptom: its name.
        since: the step at which it began to hold.
        reports: for how many reports it has held.
        standing: the last report.
        is_fatal: False for what the user is told of while the run goes on.
    """

    symptom: str
    since: int
    reports: int
    standing: Standing
    is_fatal: bool = True


def explodes(standing: Standing) -> bool:
    """Tell whether a positive loss is more than twice its first and twice its best value."""
    return (
        standing.is_positive
        and standing.value > EXPLOSION_FACTOR * standing.first
        and standing.value > EXPLOSION_FACTOR * standing.best
    )


def loses(standing: Standing, part: float) -> bool:
    """Tell whether at least `part` (0 to 1) of the progress is lost, beyond what noise explains."""
    return (
        standing.count >= MIN_REPORTS
        and standing.excess > NOISE_ABOVE_BEST * standing.noise
        and standing.progress > NOISE_OF_PROGRESS * standing.noise
        and (not standing.is_positive or standing.value > RATIO_ABOVE_BEST * standing.best)
        and standing.lost >= part
    )


def rises(standing: Standing) -> bool:
    """Tell whether a series that was never below its first value is a fifth above it."""
    return standing.lowest >= standing.first and standing.value > standing.first + (
        RISING_FACTOR * abs(standing.first)
    )


class Levels:
    """All conditions over one series, fed report by report."""

    def __init__(self) -> None:
        self._explosion = Streak()
        self._half = Streak()
        self._sustained = Streak()
        self._rising = Streak()

    @property
    def is_suspecting(self) -> bool:
        """True while a condition that can stop the run holds."""
        return bool(self._explosion.count or self._half.count or self._sustained.count)

    @property
    def rising_for(self) -> int:
        """For how many reports running the series has been rising."""
        return self._rising.count

    def clear(self) -> None:
        """Start all conditions anew, as after a step back in a resumed run."""
        for streak in (self._explosion, self._half, self._sustained, self._rising):
            streak.clear()

    def feed(self, standing: Standing, step: int) -> Finding | None:
        """Take in one report and return the gravest condition that has held long enough.

        What is not fatal is returned once, on the report that makes it long enough.
        """
        self._explosion.feed(explodes(standing), step)
        self._half.feed(loses(standing, HALF_LOST), step)
        self._sustained.feed(loses(standing, SUSTAINED_LOST), step)
        self._rising.feed(rises(standing), step)
        long = max(10, -(-standing.count // 10))
        for symptom, streak, needed, is_fatal in (
            ("explosion", self._explosion, 3, True),
            ("lost progress", self._half, 3, True),
            ("lost progress", self._sustained, long, True),
            ("rising", self._rising, RISING_REPORTS, False),
        ):
            held = streak.count >= needed if is_fatal else streak.count == needed
            if held and streak.since is not None:
                return Finding(symptom, streak.since, streak.count, standing, is_fatal)
        return None
