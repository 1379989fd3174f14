"""The conditions under which a series of finite values is lost, and the reasons that name them.

A condition must hold for several reports in a row; one report that breaks it resets it. The
thresholds were set on real curves; `python -m benchmarks.divergence` measures what they do.
"""

from __future__ import annotations

import math

from orchestrator.divergence.companions import Companions
from orchestrator.divergence.excursion import Excursion
from orchestrator.divergence.series import Opening, Series, Standing, Streak
from orchestrator.divergence.symptom import CONTINUE, Verdict, verdict_on

EXPLOSION_FACTOR = 2.0
"""A positive loss that is this many times its first and its best value explodes."""

OUTSIDE = 2.0
"""And it is above both by more than this many times its noise."""

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

REPORTS = {
    "explosion": 3,
    "steep": 2,
    "all": 3,
    "half": 4,
    "stuck": 6,
    "relapse": 8,
    "sustained": 10,
}
"""For how many reports in a row each must hold."""

PATIENCE = {"all": 0.02, "half": 0.02, "relapse": 0.02, "sustained": 0.2}
"""And at least for this fraction of all reports so far: waiting costs a long run little."""

GRADUAL = 5.0
"""A rise is gradual if it is so many times its steepest part from one report to the next."""

HALF_BACK = 0.5
RISING_FACTOR = 0.2
"""A loss that never fell below its first value rises if it is this fraction above it."""

RISING_REPORTS = 3

RISING_LOST = 20
"""After so many reports a rising loss is lost, whatever other trials show."""

RESUMED = 0.1
"""A log that goes back to a step beyond this fraction of its length continues from a checkpoint."""

MIN_REPORTS = 6
"""Number of reports before which best and noise mean too little to judge lost progress."""

NOISE_ABOVE_BEST = 6.0
NOISE_OF_PROGRESS = 2.0
RATIO_ABOVE_BEST = 1.1
CLEARLY_ABOVE = 20.0
"""A positive loss is lost from this factor of its best on, or so many times its noise above it: a
dead network or a language model may be only some percent above its best."""

EARLY = 10
OF_PEAK = 0.9
"""In the first ten reports, a loss that comes down from its peak by this factor is no explosion:
training begins with transients, above all while the rate rises."""

EXCUSED = 5
"""Another series that shows that a run may be well multiplies the reports of a tenfold explosion
by this, and excuses everything else."""

CONFIRMED = 2
"""Reports that are enough if the gradients explode too."""

NOISY = 0.15
"""A series is noisy if its noise is more than this fraction of its progress."""

SETTLING = 7
"""A loss that starts at 0 is judged from this report on."""


class JudgedSeries:
    """The deciding series of a run and all conditions over it, fed report by report.

    Args:
        name: the reported name.
        sign: 1.0, or -1.0 for a maximized metric.

    Attributes:
        is_noisy: True if its noise hides its progress, as a loss of single batches does.
        parts: how often it started over.
    """

    def __init__(self, name: str, sign: float) -> None:
        self.name = name
        self.is_noisy = False
        self.parts = 0
        self.sign = sign
        self._series = Series()
        self._first_step: int | None = None
        self._last: tuple[int, float] | None = None
        self._lost = {condition: Streak() for condition in REPORTS}
        self._rising = Streak()
        self._risen_to = -math.inf
        self._meant = Streak()
        self._opening = Opening()
        self._excursion = Excursion()
        self._settling = 0
        self._count = 0
        self._raised = math.inf  # it may be raised on purpose while above this
        self._before: dict[str, float] = {}  # other series, before anything was suspected
        self._was_well = False  # validation, before anything was suspected

    @property
    def fell_by(self) -> float:
        """How far the series came down from its first value, as a fraction of its size."""
        return self._series.fell_by

    @property
    def is_rising(self) -> bool:
        """True while the loss has been rising for long enough."""
        return self._rising.count >= RISING_REPORTS

    def update(self, step: int, value: float, others: Companions | None = None) -> Verdict:
        """Judge one finite value, with what the other series show."""
        others = others or Companions()
        if self._last == (step, value):
            return CONTINUE  # one evaluation, reported twice
        if self._first_step is None:
            self._first_step = step
        elif self._last is not None and step < self._last[0]:
            self._restart(step)
        self._last = (step, value)
        oriented = self.sign * value
        if others.rate_restarts:
            self._renew(Series(self._series.first))
        if self._opening.repeats(oriented):
            self._renew(Series())
            for earlier in self._opening.values:
                self._series.add(earlier, suspected=False)
            return CONTINUE
        if self._settles(oriented):
            return CONTINUE
        self._count += 1
        standing = self._series.measure(oriented)
        verdict = CONTINUE if standing is None else self._judge(standing, step, others)
        self.is_noisy = standing is not None and standing.noise > NOISY * max(
            0.0, standing.progress
        )
        self._series.add(oriented, suspected=self.is_suspected)
        if not self.is_suspected:
            self._was_well = others.is_validation_well
        return verdict

    def _restart(self, step: int) -> None:
        """Start over, because the log goes back to `step`: no verdict spans a restart.

        A run that continues from a checkpoint keeps its first value; one that begins again has its
        own.
        """
        before, last = self._first_step or 0, self._last[0] if self._last else 0
        is_resumed = step - before > RESUMED * (last - before)
        if not is_resumed:
            self._first_step = step
        self._renew(Series(self._series.first if is_resumed else None))

    def start_over(self) -> None:
        """Forget what was before: the loss means something else from now on."""
        self._opening = Opening()
        self._settling = 0
        self._renew(Series())

    def _renew(self, series: Series) -> None:
        self.parts += 1
        self._series = series
        self._clear()
        self._excursion = Excursion()
        self._rising.clear()

    def _settles(self, value: float) -> bool:
        """Return whether a loss that starts at 0 has still to find its level."""
        if self._series.first is None and not self._settling and value == 0 and self.sign > 0:
            self._settling = SETTLING
        self._settling = max(0, self._settling - 1)
        return self._settling > 0

    @property
    def is_suspected(self) -> bool:
        """True while a condition that can stop the run holds."""
        return self._excursion.count > 0

    @property
    def is_raised(self) -> bool:
        """True while the loss is as high as it was raised, maybe on purpose."""
        return self._raised < math.inf

    def _judge(self, standing: Standing, step: int, others: Companions) -> Verdict:
        """Return what the gravest condition leads to; warnings are given once."""
        condition = self._lost_by(standing, step, others)
        self._rising.feed(rises(standing) and not others.is_climbing, step)
        if standing.value < self._raised:
            self._raised = math.inf
        if condition is not None:
            return verdict_on(self, condition, self._lost[condition], standing)
        if self._meant.count >= REPORTS["sustained"]:
            return self._raise(standing)
        if self._rising.count == RISING_REPORTS:
            self._risen_to = standing.level
            return verdict_on(self, "rising", self._rising, standing)
        if self._rising.count == RISING_LOST and standing.level >= self._risen_to:
            return verdict_on(self, "lost by rising", self._rising, standing)
        return CONTINUE

    def _raise(self, standing: Standing) -> Verdict:
        """Warn of a loss that may be raised on purpose; once it rises no more, start from there."""
        verdict = CONTINUE if self.is_raised else verdict_on(self, "raised", self._meant, standing)
        self._raised = min(self._raised, standing.best + SUSTAINED_LOST * standing.progress)
        if self._excursion.rise_ended:
            self._series.start_from_level()
            self._clear()
        return verdict

    def _lost_by(self, standing: Standing, step: int, others: Companions) -> str | None:
        """Return the first condition in `REPORTS` that has held for long enough."""
        is_exploding = explodes(standing, EXPLOSION_FACTOR)
        is_losing = loses(standing, SUSTAINED_LOST)
        if not is_exploding and not is_losing:
            if self.is_suspected:  # nearly all reports of nearly all runs pass here
                self._clear()
            return None
        if not self.is_suspected:
            self._before = others.before()
        self._excursion.feed(standing.value, standing.best)
        is_far = is_losing and standing.value > RATIO_ABOVE_BEST * standing.best
        is_far |= is_losing and not standing.is_positive
        is_lost = is_losing and (self.sign < 0 or not self._may_be_meant(standing, others))
        holds = {
            "explosion": is_exploding,
            "steep": is_exploding and explodes(standing, STEEP_FACTOR),
            "all": is_far and is_lost and standing.lost >= ALL_LOST,
            "half": is_far and is_lost and standing.lost >= HALF_LOST,
            "relapse": is_lost and standing.lost >= HALF_LOST,
            "stuck": is_lost and self._is_stuck(standing),
            "sustained": is_lost,
        }
        for condition, streak in self._lost.items():
            streak.feed(holds[condition], step)
        self._meant.feed(is_losing and not is_lost, step)
        is_as_before = self._excursion.is_as_before and not is_exploding
        if is_as_before or self._excursion.returns_within(standing.count):
            return None
        if standing.count <= EARLY and standing.value < OF_PEAK * self._excursion.peak:
            return None
        since = self._excursion.count
        is_excused = others.is_climbing or others.moved_within(since)
        is_excused |= self._was_well and others.is_validation_well and others.val_age < since
        for condition, streak in self._lost.items():
            if is_excused and condition != "steep":
                continue
            patience = PATIENCE.get(condition, 0.0) * self._count
            needed = max(REPORTS[condition], math.ceil(patience))
            if is_excused:
                needed *= EXCUSED
            elif others.are_gradients_exploding:
                needed = min(needed, CONFIRMED)
            if streak.count >= needed:
                return condition
        return None

    def _may_be_meant(self, standing: Standing, others: Companions) -> bool:
        """Return whether the loss may have been raised on purpose.

        A weight of the loss or a difficulty of the data that grows raises it gradually and by less
        than half of its progress, or until it falls again; or steeply, and it comes down by more
        than half of that; or another series gets better meanwhile. A maximized metric has no such
        weight.
        """
        if others.improved_on(self._before):
            return True
        steepest = standing.steepest - OUTSIDE * standing.detrended
        # After two reports the median of three has followed a jump.
        is_gradual = self._excursion.count > 2 and standing.excess >= GRADUAL * steepest
        if is_gradual and self._excursion.has_turned:
            return True
        if is_gradual and standing.excess < HALF_LOST * standing.progress:
            return True
        return standing.lost < HALF_LOST and self._excursion.recovered >= HALF_BACK

    def _is_stuck(self, standing: Standing) -> bool:
        return (
            standing.is_positive
            and standing.value > STUCK_FACTOR * standing.best
            and standing.excess > STUCK_NOISE * standing.noise
            and self._excursion.recovered < RECOVERED
        )

    def _clear(self) -> None:
        for streak in (*self._lost.values(), self._meant):
            streak.clear()
        self._excursion.clear()


def explodes(standing: Standing, factor: float) -> bool:
    """Return whether a positive loss is above `factor` times first and best, beyond its noise."""
    return (
        standing.value > factor * standing.best > 0
        and standing.value > factor * standing.first > 0
        and standing.value - max(standing.first, standing.best) > OUTSIDE * standing.noise
    )


def loses(standing: Standing, part: float) -> bool:
    """Return whether at least `part` (0 to 1) of the progress is lost, beyond the noise."""
    return (
        standing.count >= MIN_REPORTS
        and standing.excess > NOISE_ABOVE_BEST * standing.noise
        and standing.progress > NOISE_OF_PROGRESS * standing.noise
        and (
            not standing.is_positive
            or standing.value > RATIO_ABOVE_BEST * standing.best
            or relapses(standing)
        )
        and standing.lost >= part
    )


def relapses(standing: Standing) -> bool:
    """Return whether a positive loss is far above its best in units of its noise alone."""
    return standing.excess > CLEARLY_ABOVE * max(standing.detrended, standing.noise / 2)


def rises(standing: Standing) -> bool:
    """Return whether a series that was never below its first value is a fifth above it."""
    return standing.lowest >= standing.first and standing.value > standing.first + (
        RISING_FACTOR * abs(standing.first)
    )
