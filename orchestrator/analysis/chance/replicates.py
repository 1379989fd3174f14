"""The two sources of uncertainty of a config: which seeds ran, and on which samples it is judged.

A mean over k seeds would change with other seeds and with other samples. Seeds are few, so their
part is Student's or Welch's interval: a bootstrap of three seeds is far too short. Samples are
many, so their part is a bootstrap of what each group adds to the mean over seeds. The parts are
joined by adding their half-widths in quadrature (MOVER, Zou and Donner 2008), which keeps both
intervals' coverage and skewness. An interaction of seeds and samples is in both parts, so the
result errs on the wide side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.analysis.chance.confidence import (
    Estimate,
    Grouped,
    estimate,
    mean_of_seeds,
)
from orchestrator.analysis.chance.doubts import doubt
from orchestrator.analysis.chance.permutation import swapped
from orchestrator.analysis.chance.samples import MOST_ELEMENTS, SampledRun, split_of
from orchestrator.analysis.chance.student import student_p_value, student_quantile
from orchestrator.analysis.measure.row import Row

SAMPLES, SEEDS = "samples", "seeds"

FEWEST_PAIRED = 5
"""Seeds from which on pairing them pays at a correlation of 0.3; of three it takes 0.6."""


def interval_of_mean(values: Sequence[float]) -> Estimate | None:
    """Return the mean with Student's interval; None for fewer than two values."""
    import numpy as np

    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return _student(float(np.mean(values)), error, len(values) - 1)


def between_means(ours: Sequence[float], theirs: Sequence[float]) -> Estimate | None:
    """Return the difference of two means with Welch's interval (1947); None without two each."""
    import numpy as np

    if min(len(ours), len(theirs)) < 2:
        return None
    value = float(np.mean(ours) - np.mean(theirs))
    shares = [float(np.var(each, ddof=1)) / len(each) for each in (ours, theirs)]
    variance = sum(shares)
    if not math.isfinite(value) or not math.isfinite(variance):
        return None
    if variance == 0.0:
        return _student(value, 0.0, 1.0)
    one, two = (share / variance for share in shares)
    freedom = 1.0 / (one**2 / (len(ours) - 1) + two**2 / (len(theirs) - 1))
    return _student(value, math.sqrt(variance), freedom)


def _pooled(ours: Sequence[float], theirs: Sequence[float]) -> Estimate | None:
    """Return the difference to a single seed, with the deviation of the others (Student 1908).

    None unless one has several seeds and the other one: what another seed changes is known then.
    """
    import numpy as np

    several = max(ours, theirs, key=len)
    if len(several) < 2 or min(len(ours), len(theirs)) != 1:
        return None
    value = float(np.mean(ours) - np.mean(theirs))
    error = float(np.std(several, ddof=1)) * math.sqrt(1 + 1 / len(several))
    return _student(value, error, len(several) - 1) if math.isfinite(value + error) else None


def _student(value: float, error: float, freedom: float) -> Estimate:
    if error == 0.0:
        return Estimate(value, value, value, float(value == 0.0), 0.0, freedom)
    half = student_quantile(freedom) * error
    p_value = student_p_value(value / error, freedom)
    return Estimate(value, value - half, value + half, p_value, error, freedom)


def joined(seeds: Estimate, samples: Estimate) -> Estimate:
    """Return an estimate with the uncertainty of both, which are of the same value."""
    value = seeds.value
    low = value - math.hypot(value - seeds.low, samples.value - samples.low)
    high = value + math.hypot(seeds.high - value, samples.high - samples.value)
    error = math.hypot(seeds.error, samples.error)
    if error == 0.0:
        return seeds
    # Satterthwaite (1946); its p-value can be below that of seeds with one degree of freedom.
    parts = sum(one.error**4 / one.freedom for one in (seeds, samples))
    freedom = error**4 / parts
    p_value = max(student_p_value(value / error, freedom), seeds.p_value, samples.p_value)
    return Estimate(value, low, high, p_value, error, freedom)


@dataclass(frozen=True)
class Replicates:
    """The metric of a row: the value of each seed, and the samples of each."""

    row: Row
    metric: str

    @property
    def value(self) -> float:
        """What the table shows; NaN if the row lacks it."""
        return self.row.metrics.get(self.metric, math.nan)

    @cached_property
    def values(self) -> list[float]:
        """The metric of each seed; of a row without seeds, one."""
        members = self.row.members or (self.row,)
        found = [each.metrics[self.metric] for each in members if self.metric in each.metrics]
        return found or [each.logged[self.metric] for each in members if self.metric in each.logged]

    @cached_property
    def runs(self) -> list[SampledRun]:
        """The arrays of each seed."""
        split, _ = split_of(self.metric)
        return [
            SampledRun(
                each.run,
                split,
                most_elements=MOST_ELEMENTS,
                data={**each.data, "kind": each.kind},
            )
            for each in self.row.members or (self.row,)
            if self.metric in each.metrics
        ]

    @cached_property
    def by_group(self) -> Grouped | None:
        """The mean over seeds by groups of samples; None if seeds have other samples, or none."""
        _, name = split_of(self.metric)
        found = [run.metric(name) for run in self.runs]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            return None
        if len(known) == 1:
            return known[0]
        if not all(run.has_samples_of(self.runs[0]) for run in self.runs[1:]):
            return None
        return mean_of_seeds(known)

    @property
    def what(self) -> str:
        """What is drawn of the samples, as text."""
        first = self.runs[0]
        is_each = first.groups is None and self.n_groups == first.n_samples
        return "samples" if is_each else "groups of samples"

    @property
    def n_groups(self) -> int:
        """How many groups of samples there are; 0 if unknown."""
        return 0 if self.by_group is None else self.by_group.n_groups

    @cached_property
    def doubt(self) -> str:
        """Why the samples give no interval, as an end of a sentence; "" if they do, or are none."""
        return "" if self.by_group is None else doubt(self.metric, self.by_group)

    def has_samples_of(self, other: Replicates) -> bool:
        """Return whether the runs of two rows predicted the same samples."""
        return bool(self.runs and other.runs) and self.runs[0].has_samples_of(other.runs[0])

    def interval(self) -> tuple[Estimate, str] | None:
        """Return the metric with its interval and what that is based on; None if unknown."""
        samples = None if self.by_group is None or self.doubt else estimate(self.by_group)
        return _both(interval_of_mean(self.values), samples, self.basis)

    @property
    def basis(self) -> str:
        """``"samples"`` or ``"groups"``, which are drawn."""
        return "groups" if self.runs and self.runs[0].groups is not None else SAMPLES

    def minus(self, other: Replicates) -> tuple[Estimate, str] | None:
        """Return the difference to another row, as `interval`."""
        seeds, samples = self.seeds_minus(other), self.samples_minus(other)
        ours, theirs = self.by_group, other.by_group
        if seeds is None and samples is None and self.has_samples_of(other):
            samples = swapped(ours, theirs) if ours is not None and theirs is not None else None
        return _both(seeds, samples, self.basis)

    def seeds_minus(self, other: Replicates) -> Estimate | None:
        """Return the difference to another row over the seeds alone.

        Seeds that both ran are paired if each has samples of its own, which both predicted, or if
        there are so many that pairing costs little. It is never chosen by its result.
        """
        if self.is_paired_by_seed(other):
            ours, theirs = self.by_seed, other.by_seed
            return interval_of_mean([ours[seed] - theirs[seed] for seed in ours])
        return between_means(self.values, other.values) or _pooled(self.values, other.values)

    def is_paired_by_seed(self, other: Replicates) -> bool:
        """Return whether `seeds_minus` compares pairs of runs with one seed."""
        count = len(self.by_seed)
        is_shared = count > 1 and self.by_seed.keys() == other.by_seed.keys()
        return is_shared and (count >= FEWEST_PAIRED or self._splits_by_seed(other))

    @cached_property
    def by_seed(self) -> dict[Any, float]:
        """The metric of each seed; {} if seeds are unknown or repeated."""
        members = self.row.members or (self.row,)
        names = [each.config.get(each.info.seed_parameter) for each in members]
        if None in names or len({*names}) < len(names) or len(self.values) < len(names):
            return {}
        return dict(zip(names, self.values, strict=True))

    def _splits_by_seed(self, other: Replicates) -> bool:
        """Return whether each seed has samples of its own, the same in both rows."""
        if min(len(self.runs), len(other.runs)) < len(self.by_seed):
            return False
        pairs = dict(zip(self.by_seed, self.runs, strict=True))
        others = dict(zip(other.by_seed, other.runs, strict=True))
        first, *rest = self.runs
        return all(pairs[seed].has_samples_of(others[seed]) for seed in pairs) and not any(
            first.has_samples_of(run) for run in rest
        )

    def samples_minus(self, other: Replicates) -> Estimate | None:
        """Return the difference to another row over the samples alone, paired."""
        ours, theirs = self.by_group, other.by_group
        if ours is None or theirs is None or not self.has_samples_of(other):
            return None
        return estimate(ours.minus(theirs))


def _both(
    seeds: Estimate | None, samples: Estimate | None, basis: str
) -> tuple[Estimate, str] | None:
    if seeds is None:
        return None if samples is None else (samples, basis)
    if samples is None:
        return seeds, SEEDS
    return joined(seeds, samples), f"{SEEDS} and {basis}"
