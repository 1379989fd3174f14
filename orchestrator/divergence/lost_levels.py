"""The conditions under which a series of finite values is lost, and the reasons that name them.

A condition must hold for several reports in a row; one report that breaks it resets it. The
thresholds were set on real curves; `python -m benchmarks.divergence` measures what they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.divergence.series.statistics import Excursion, Standing, Streak
from orchestrator.divergence.verdict import Action, Verdict, number

EXPLOSION_FACTOR = 2.0
"""A positive loss that is this many times its first and its best value explodes."""

STEEP_FACTOR = 10.0
"""From this factor on, two reports are enough."""

ALL_LOST = 1.0
HALF_LOST = 0.5
SUSTAINED_LOST = 0.2
STUCK_FACTOR = 2.0
STUCK_NOISE = 20.0
"""A positive loss that is this many times its best value, and so far beyond the noise, is stuck
there unless it comes back from its peak."""

RECOVERED = 0.3
"""A series that came back by this fraction from its peak and is still falling is recovering."""

REPORTS = {"explosion": 3, "steep": 2, "all": 3, "half": 4, "stuck": 6, "sustained": 10}
"""For how many reports in a row each must hold."""

RISING_FACTOR = 0.2
"""A loss that never fell below its first value rises if it is this fraction above it."""

RISING_REPORTS = 3

MIN_REPORTS = 6
"""Number of reports before which best and noise mean too little to judge lost progress."""

NOISE_ABOVE_BEST = 6.0
NOISE_OF_PROGRESS = 2.0
RATIO_ABOVE_BEST = 1.1


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that has held for long enough.

    Attributes:
        symptom: its name.
        since: the step at which it began to hold.
        reports: for how many reports it has held.
        standing: the last report.
        is_steep: True for an explosion by `STEEP_FACTOR`.
    """

    symptom: str
    since: int
    reports: int
    standing: Standing
    is_steep: bool = False

    def verdict(self, name: str, sign: float) -> Verdict:
        """Return the verdict: all conditions but a rising loss are fatal.

        Args:
            name: the series.
            sign: 1.0, or -1.0 if the series is maximized and was negated.
        """
        standing = self.standing
        numbers = {
            "value": sign * standing.value,
            "first": sign * standing.first,
            "best": sign * standing.best,
            "lost": standing.lost,
            "noise": standing.noise,
            "reports": float(self.reports),
        }
        value, first, best = (number(numbers[key]) for key in ("value", "first", "best"))
        if self.symptom == "explosion":
            times = "ten times" if self.is_steep else "twice"
            text = f"{value} is more than {times} its first value {first} and its best {best}"
        elif self.symptom == "rising":
            above = (standing.value - standing.first) / (abs(standing.first) or 1.0)
            share = f"{above:.0%}" if standing.first else number(above)
            side = "below" if sign > 0 else "above"
            text = f"{value} was never {side} its first value {first} and is {share} worse than it"
        else:
            share = f"{min(standing.lost, 99.0):.0%}"
            text = f"{value} has lost {share} of its progress from {first} to {best}"
        reason = f"{name} {text}{in_a_row(self.reports)} since step {self.since}"
        action: Action = "warn" if self.symptom == "rising" else "stop"
        return Verdict(action, self.symptom, self.since, reason, numbers)


def explodes(standing: Standing, factor: float) -> bool:
    """Return whether a positive loss is more than `factor` times its first and its best value."""
    return (
        standing.is_positive
        and standing.value > factor * standing.first
        and standing.value > factor * standing.best
    )


def loses(standing: Standing, part: float) -> bool:
    """Return whether at least `part` (0 to 1) of the progress is lost, beyond the noise."""
    return (
        standing.count >= MIN_REPORTS
        and standing.excess > NOISE_ABOVE_BEST * standing.noise
        and standing.progress > NOISE_OF_PROGRESS * standing.noise
        and (not standing.is_positive or standing.value > RATIO_ABOVE_BEST * standing.best)
        and standing.lost >= part
    )


def rises(standing: Standing) -> bool:
    """Return whether a series that was never below its first value is a fifth above it."""
    return standing.lowest >= standing.first and standing.value > standing.first + (
        RISING_FACTOR * abs(standing.first)
    )


class Levels:
    """All conditions over one series, fed report by report."""

    def __init__(self) -> None:
        self._lost = {name: Streak() for name in REPORTS}
        self._rising = Streak()
        self._excursion = Excursion()

    @property
    def is_suspecting(self) -> bool:
        """True while a condition that can stop the run holds."""
        return bool(self._lost["explosion"].count or self._lost["sustained"].count)

    @property
    def rising_for(self) -> int:
        """For how many reports in a row the series has been rising."""
        return self._rising.count

    def clear(self) -> None:
        """Reset all conditions, as after a step back in a resumed run."""
        for streak in (*self._lost.values(), self._rising):
            streak.clear()
        self._excursion.clear()

    def feed(self, standing: Standing, step: int) -> Condition | None:
        """Process one report and return the gravest condition that has held long enough.

        A mere warning is returned once, on the report that makes it long enough.
        """
        found = self._fatal(standing, step)
        self._rising.feed(rises(standing), step)
        if found is not None:
            return found
        if self._rising.count == RISING_REPORTS and self._rising.since is not None:
            return Condition("rising", self._rising.since, RISING_REPORTS, standing)
        return None

    def _fatal(self, standing: Standing, step: int) -> Condition | None:
        is_exploding = explodes(standing, EXPLOSION_FACTOR)
        is_losing = loses(standing, SUSTAINED_LOST)
        streaks = self._lost
        if not is_exploding and not is_losing:
            if self.is_suspecting:  # nearly all reports of nearly all runs pass here
                for streak in streaks.values():
                    streak.clear()
                self._excursion.clear()
            return None
        self._excursion.feed(standing.value, standing.best)
        streaks["steep"].feed(is_exploding and explodes(standing, STEEP_FACTOR), step)
        streaks["explosion"].feed(is_exploding, step)
        streaks["all"].feed(is_losing and standing.lost >= ALL_LOST, step)
        streaks["half"].feed(is_losing and standing.lost >= HALF_LOST, step)
        streaks["stuck"].feed(is_losing and self._is_stuck(standing), step)
        streaks["sustained"].feed(is_losing, step)
        if self._excursion.is_falling and self._excursion.recovered >= RECOVERED:
            return None
        for name, needed in REPORTS.items():
            streak = streaks[name]
            if name == "sustained":
                needed = max(needed, -(-standing.count // 10))  # noqa: PLW2901
            if streak.count >= needed and streak.since is not None:
                symptom = "explosion" if name in ("steep", "explosion") else "lost progress"
                return Condition(symptom, streak.since, streak.count, standing, name == "steep")
        return None

    def _is_stuck(self, standing: Standing) -> bool:
        return (
            standing.is_positive
            and standing.value > STUCK_FACTOR * standing.best
            and standing.excess > STUCK_NOISE * standing.noise
            and self._excursion.recovered < RECOVERED
        )


def fatal_value(name: str, value: float, step: int) -> str:
    """Return the reason for a training loss that is not finite."""
    return f"{name} is {value:g} since step {step}"


def in_a_row(reports: int) -> str:
    """Return for how many reports something holds, to insert into a sentence."""
    return f", {reports} reports in a row" if reports > 1 else ""
