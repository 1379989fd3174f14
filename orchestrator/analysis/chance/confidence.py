"""Intervals of a metric, and of the difference of two, from one set of samples.

Samples are drawn again by group, as often as there are groups (Efron 1979; by group, since
related samples vary together). With few groups the bootstrap is studentized by a jackknife in each
draw (Efron and Tibshirani 1993, chapter 12), which keeps its coverage for skewed errors; with many
groups, or for a metric that is no function of sums, expanded percentiles are taken (Hesterberg
2015, section 5.3). `python -m benchmarks.chance.coverage` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.chance.student import (
    FEWEST_GROUPS,
    LEVEL,
    student_p_value,
    student_quantile,
)
from orchestrator.metrics.resampling import Called, Ratio, Resampled, Sums, Weighted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 1999

_WIDER, _WIDER_FEW, _WIDER_SQUARED = 1.03, 0.9, 1.06
"""What an interval is widened by; what more, over the number of groups; and of squared errors.

From simulations (`python -m benchmarks.chance.coverage`): without, intervals of a mean held 93 % of
errors with Student's t with four degrees of freedom."""

_MOST_STUDENTIZED = 120  # groups; beyond, both methods agree
_MOST_GROUPS = 1000  # that are drawn
_MOST_SQUARED = 300  # of a metric of squared errors, which is always studentized
_MOST_SLOW = 30  # groups, of a metric that is computed again without each
_MOST_WEIGHED = 300  # samples that a metric of weights is computed of for each draw
_BLOCK = 1 << 22  # numbers that are computed at once
_CACHED = 1 << 16
_ROUNDING = 1e-12  # of the values, below which a difference or its error is none


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, and the probability of one as far from 0 by chance alone.

    Attributes:
        error: standard error.
        freedom: degrees of freedom of the error.
    """

    value: float
    low: float
    high: float
    p_value: float
    error: float
    freedom: float


@dataclass(frozen=True)
class Grouped:
    """A metric by groups of samples.

    Attributes:
        n_groups: how many there are.
        sums: [G, K], what each group adds to each sum; None if the metric is no function of sums.
        value: sums [..., K] → values [...]; without sums, counts of groups [B, G] → values [B].
        squared: whether it is of squared errors, whose tails are heavy.
        scale: of a difference, the greater of the two values: below 1e-12 of it is rounding.
    """

    n_groups: int
    sums: Floats | None
    value: Callable[[Any], Any]
    squared: bool = False
    scale: float = 0.0

    @cached_property
    def added(self) -> Floats | None:
        """What each group adds if the metric is their mean: [G]; None if it is not."""
        if not isinstance(self.value, Ratio) or self.sums is None:
            return None
        weights = self.sums[:, self.value.bottom]
        is_mean = weights[0] > 0 and (weights == weights[0]).all()
        return self.sums[:, self.value.top] / weights[0] if is_mean else None

    def at(self, counts: Floats) -> Floats:
        """Return the metric for each choice: counts [B, G] of each group → values [B]."""
        import numpy as np

        sums = self.sums
        if sums is None:
            return np.asarray(self.value(counts))
        # In parts for which BLAS starts no threads: they would wait busily for each other.
        step = max(1, _CACHED // sums.size)
        parts = [counts[start : start + step] @ sums for start in range(0, len(counts), step)]
        return np.asarray(self.value(np.concatenate(parts)))

    def minus(self, other: Grouped) -> Grouped:
        """Return the difference of two metrics of the same groups."""
        import numpy as np

        every = np.ones((1, self.n_groups))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scale = max(abs(float(one.at(every)[0])) for one in (self, other))
        if self.sums is None or other.sums is None:
            return Grouped(
                self.n_groups, None, lambda counts: self.at(counts) - other.at(counts), scale=scale
            )
        squared = self.squared or other.squared
        if self.added is not None and other.added is not None:
            difference = _of_pseudo_values(self.added - other.added)
            return replace(difference, squared=squared, scale=scale)
        width = self.sums.shape[1]
        both = np.hstack([self.sums, other.sums])

        def value(sums: Any) -> Any:
            return self.value(sums[..., :width]) - other.value(sums[..., width:])

        return Grouped(self.n_groups, both, value, squared, scale)


def grouped(
    of: Resampled, groups: NDArray[np.intp] | None = None, *, squared: bool = False
) -> Grouped:
    """Return a metric by groups.

    Neighbors are joined if there are more groups than are worth drawing (Künsch 1989).

    Args:
        groups: [N] number of the group of each sample, from 0 without gaps; None if each sample is
            its own.
        squared: whether it is a metric of squared errors.
    """
    import numpy as np

    n_samples = len(of.statistics) if isinstance(of, Sums) else of.n_samples
    is_slow = isinstance(of, Called) or (isinstance(of, Weighted) and n_samples > _MOST_WEIGHED)
    numbers = np.arange(n_samples) if groups is None else groups
    n_all = int(numbers.max()) + 1
    most = _MOST_SQUARED if squared else _MOST_GROUPS
    n_groups = min(n_all, _MOST_SLOW if is_slow else most)
    numbers = numbers * n_groups // n_all
    if isinstance(of, Sums):
        columns = [np.bincount(numbers, column, n_groups) for column in of.statistics.T]
        return Grouped(n_groups, np.stack(columns, axis=1), of.combine, squared)
    if isinstance(of, Weighted):
        function = of.function
        found = Grouped(n_groups, None, lambda counts: function(counts[:, numbers]))
        return mean_of_seeds([found]) if is_slow else found
    every = np.arange(n_samples)
    try:
        value = of.function(every)
        without = [of.function(every[numbers != one]) for one in range(n_groups)]
    except Exception:  # whatever a user's function raises for fewer samples
        value, without = math.nan, [math.nan] * n_groups
    return _of_pseudo_values(_pseudo_values(value, np.asarray(without)))


def mean_of_seeds(seeds: Sequence[Grouped]) -> Grouped:
    """Return the mean of a metric over several runs on the same samples, by what each group adds.

    That is linear in the groups, so that any number of runs costs as much as one.
    """
    import numpy as np

    added = []
    for of in seeds:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = float(of.at(np.ones((1, of.n_groups)))[0])
            if of.sums is not None:
                without = np.asarray(of.value(of.sums.sum(axis=0) - of.sums))
            else:
                without = of.at(1.0 - np.eye(of.n_groups))
        added.append(_pseudo_values(value, without))
    mean = _of_pseudo_values(np.mean(added, axis=0))
    return replace(mean, squared=any(of.squared for of in seeds))


def _pseudo_values(value: float, without: Floats) -> Floats:
    """Return what each group adds to a metric: [G].

    It is G θ - (G - 1) θ without it (Tukey 1958), moved so that the mean is θ.
    """
    n_groups = len(without)
    added = n_groups * value - (n_groups - 1) * without
    shifted: Floats = added + (value - added.mean())
    return shifted


def _of_pseudo_values(added: Floats) -> Grouped:
    import numpy as np

    return Grouped(len(added), np.stack([added, np.ones(len(added))], axis=1), Ratio())


def estimate(of: Grouped) -> Estimate | None:
    """Return a metric with its interval; None below `FEWEST_GROUPS`, or if it is often undefined.

    The draws are always the same, so that a table does not change by itself.
    """
    import numpy as np

    if of.n_groups < FEWEST_GROUPS:
        return None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = float(of.at(np.ones((1, of.n_groups)))[0])
        if not math.isfinite(value):
            return None
        if abs(value) <= _ROUNDING * of.scale:
            value = 0.0
        if of.sums is not None and (of.squared or of.n_groups <= _MOST_STUDENTIZED):
            return _studentized(of, of.sums, value)
        return _expanded(of, value)


@cache
def draws(n_groups: int) -> Floats:
    """Return how often each group is in each draw: [DRAWS, G]."""
    import numpy as np

    random = np.random.default_rng(0)
    counts = random.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=DRAWS)
    return counts.astype(np.float64)


def _studentized(of: Grouped, sums: Floats, value: float) -> Estimate | None:
    import numpy as np

    counts = draws(of.n_groups)
    error = float(_jackknife_errors(of, sums, np.ones((1, of.n_groups)))[0])
    errors = _jackknife_errors(of, sums, counts)
    drawn = of.at(counts)
    if not math.isfinite(error):
        return None
    if error <= _ROUNDING * max(abs(value), of.scale):
        return Estimate(value, value, value, float(value == 0.0), 0.0, of.n_groups - 1)
    usable = np.isfinite(drawn) & np.isfinite(errors) & (errors > 0)
    if usable.mean() < LEVEL:
        return None
    wider = _wider(of)
    ratios = wider * (drawn[usable] - value) / errors[usable]
    low, high = np.quantile(ratios, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    p_value = student_p_value(value / error / wider, of.n_groups - 1)
    low, high = float(value - high * error), float(value - low * error)
    return Estimate(value, low, high, p_value, error, of.n_groups - 1)


def _jackknife_errors(of: Grouped, sums: Floats, counts: Floats) -> Floats:
    """Return the standard error of each draw, by leaving out one group at a time: [B]."""
    import numpy as np

    n_groups, width = sums.shape
    if of.added is not None:
        # Without group i a mean is (G θ - a_i) / (G - 1), so the sum needs no loop.
        added = of.added - of.added.mean()
        means, squares = (np.einsum("bg,g->b", counts, each) for each in (added, added**2))
        spread = np.maximum(squares - means**2 / n_groups, 0.0)
        return np.asarray(np.sqrt(spread / (n_groups * (n_groups - 1))))
    # Each sum is in one piece, and a block stays in a core's cache.
    columns = sums.T[:, None, :]
    found = np.empty(len(counts))
    step = max(1, _CACHED // (n_groups * width))
    for start in range(0, len(counts), step):
        some = counts[start : start + step]
        # A group that was not drawn cannot be left out; its weight is 0.
        left = np.moveaxis((some @ sums).T[:, :, None] - columns, 0, -1)
        without = np.where(some > 0, np.asarray(of.value(left)), 0.0)
        without -= np.einsum("bg,bg->b", some, without)[:, None] / n_groups
        squared = np.einsum("bg,bg,bg->b", some, without, without)
        found[start : start + step] = np.sqrt(squared * (n_groups - 1) / n_groups)
    return found


def _wider(of: Grouped) -> float:
    return (_WIDER + _WIDER_FEW / of.n_groups) * (_WIDER_SQUARED if of.squared else 1.0)


def _expanded(of: Grouped, value: float) -> Estimate | None:
    import numpy as np

    n_groups = of.n_groups
    counts = draws(n_groups)
    step = max(1, _BLOCK // n_groups)
    parts = [of.at(counts[start : start + step]) for start in range(0, len(counts), step)]
    drawn = np.concatenate(parts)
    usable = drawn[np.isfinite(drawn)]
    if len(usable) < LEVEL * len(drawn):
        return None
    wider = _WIDER * math.sqrt(n_groups / (n_groups - 1))
    wide = wider * student_quantile(n_groups - 1)
    tail = NormalDist().cdf(-wide)
    low, high = np.quantile(usable, [tail, 1.0 - tail])
    error = float(usable.std())
    ratio = value / error / _WIDER if error > 0 else math.copysign(math.inf, value)
    p_value = student_p_value(ratio, n_groups - 1) if value else 1.0
    return Estimate(value, float(low), float(high), p_value, error, n_groups - 1)
