"""Measure how fast trials are while so many of them run: steps per second, without start-up."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

CHUNKS = 5
STEADY = 0.15
"""Greatest difference of two parts of a window, as a share of their median."""


@dataclass(frozen=True)
class Window:
    """How much is measured before it is believed.

    Attributes:
        points: least reports of each trial.
        at_least_s: least time.
        noisy_s: time that is enough even if the parts of the window differ much.
        few_points: reports that are enough after `long_s`, for trials that report seldom.
        long_s: see `few_points`.
    """

    points: int = 6
    at_least_s: float = 30.0
    noisy_s: float = 120.0
    few_points: int = 3
    long_s: float = 300.0


@dataclass
class _Course:
    """What one trial reported in the present stretch: (time in s, step), times rising."""

    points: list[tuple[float, float]] = field(default_factory=list)

    def add(self, at: float, step: float) -> None:
        # Several reports may arrive at once; the last of them is how far the trial is.
        if self.points and at <= self.points[-1][0]:
            self.points[-1] = (self.points[-1][0], max(step, self.points[-1][1]))
        else:
            self.points.append((at, step))

    @property
    def span_s(self) -> float:
        return self.points[-1][0] - self.points[0][0] if self.points else 0.0

    def rates(self) -> list[float]:
        """Return the steps per second of up to `CHUNKS` parts with as many points each."""
        last = len(self.points) - 1
        parts = min(CHUNKS, last)
        edges = [round(place * last / parts) for place in range(parts + 1)] if parts else []
        found = []
        for low, high in itertools.pairwise(edges):
            (start, first), (end, step) = self.points[low], self.points[high]
            found.append(max(0.0, step - first) / (end - start))
        return found


class Stopwatch:
    """Measures trials while exactly `at_once` of them run.

    A stretch begins when all of them have reported once: before that, one of them still starts up
    and slows the others. It ends when one of them ends or another joins; what was measured until
    then is kept, so that trials that are shorter than a window are measured too.
    """

    def __init__(self, at_once: int, window: Window | None = None) -> None:
        self.at_once = at_once
        self._window = window or Window()
        self._courses: dict[str, _Course] = {}
        self._rates: dict[str, list[float]] = {}
        self._points = 0
        self._span_s = 0.0

    def report(self, trial: str, step: float, at: float, running: Mapping[str, bool]) -> None:
        """Note how far a trial is at a time in seconds, in steps of its own.

        `running` are the trials that run now, and whether each has reported since it started.
        """
        if len(running) == self.at_once and all(running.values()):
            self._courses.setdefault(trial, _Course()).add(at, step)

    def interrupt(self) -> None:
        """End the stretch: a trial has started or ended."""
        courses = [course for course in self._courses.values() if len(course.points) > 1]
        self._points, self._span_s = self._measured(courses)
        self._rates = self._samples()
        self._courses.clear()

    @property
    def is_enough(self) -> bool:
        """True once the rates can be trusted: enough reports of each trial and enough time."""
        points, span_s = self._measured(self._courses.values())
        window = self._window
        if points >= window.few_points and span_s >= window.long_s:
            return True
        if points < window.points or span_s < window.at_least_s:
            return False
        return span_s >= window.noisy_s or all(map(_is_steady, self._samples().values()))

    def rates(self) -> dict[str, float]:
        """Return the median rate of each trial, in steps per second; all are above 0."""
        medians = {trial: statistics.median(rates) for trial, rates in self._samples().items()}
        return {trial: rate for trial, rate in medians.items() if rate > 0}

    def _measured(self, courses: Collection[_Course]) -> tuple[int, float]:
        """Return the reports and seconds of each trial, including those of the present stretch."""
        if len(courses) != self.at_once:
            return self._points, self._span_s
        points = min(len(course.points) for course in courses)
        return self._points + points, self._span_s + min(course.span_s for course in courses)

    def _samples(self) -> dict[str, list[float]]:
        """Return the rates of the parts of all stretches of each trial that has any."""
        found = {trial: list(rates) for trial, rates in self._rates.items()}
        for trial, course in self._courses.items():
            found.setdefault(trial, []).extend(course.rates())
        return {trial: rates for trial, rates in found.items() if rates}


def speed_ratio(
    now: Mapping[str, float], now_at_once: int, before: Mapping[str, float], before_at_once: int
) -> float:
    """Return how much more all trials together get done than before; above 0.

    Steps of different trials are of different size, so each trial is compared with itself if it was
    measured both times; only if none was, the mean rates are compared. `now` and `before` are steps
    per second by trial, not empty.
    """
    both = [now[trial] / before[trial] for trial in now if trial in before]
    means = statistics.fmean(now.values()) / statistics.fmean(before.values())
    return (statistics.fmean(both) if both else means) * now_at_once / before_at_once


def _is_steady(rates: list[float]) -> bool:
    return max(rates) - min(rates) <= STEADY * statistics.median(rates)
