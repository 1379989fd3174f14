"""Whether results differ, or stages agree, by more than chance.

Two runs predicted the same samples, so their difference is computed again for other choices of
samples (`analysis.chance`). That covers the choice of samples, not what another seed would have
changed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.analysis.chance import (
    LEVEL,
    Replicates,
    SampledRun,
    between_means,
    estimate,
    holm,
)
from orchestrator.analysis.chance.replicates import joined
from orchestrator.analysis.chance.student import student_quantile
from orchestrator.analysis.measure.measuring import measure
from orchestrator.analysis.measure.row import Difference, Row
from orchestrator.metrics import ArrayProblem, evaluate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.runs.read import StoredRun

    Samples = NDArray[Any] | list[NDArray[Any]]

GROUPS = 20
MOST_ELEMENTS = 20_000_000
"""Larger arrays are not evaluated twenty times."""

FEWEST_PAIRS = 4
"""With fewer pairs the interval of a rank correlation would span everything."""


def between_seeds(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Return the difference of two means with Welch's interval; both have one value per seed."""
    found = between_means(ours, theirs)
    if found is None:
        return Difference(sum(ours) / len(ours) - sum(theirs) / len(theirs))
    return Difference(found.value, found.low, found.high, "seeds")


def not_worse(runs: Mapping[int, Sequence[StoredRun]], than: int, metric: str) -> set[int]:
    """Return the configs that chance alone may separate from one of them, by Holm's correction.

    Those that cannot be compared with it (other samples, one seed without arrays) are left out.

    Args:
        runs: number of a config to the runs of its seeds.
        than: the config that the others are compared with.
    """
    known = {number: _replicates(members, metric) for number, members in runs.items()}
    found = {number: each for number, each in known.items() if each is not None}
    if than not in found:
        return set()
    differences = {
        number: difference[0].p_value
        for number, each in found.items()
        if number != than and (difference := each.minus(found[than])) is not None
    }
    # The one that others are compared with was chosen by the same data, so all pairs count.
    return differences.keys() - holm(differences, len(found) * (len(found) - 1) // 2)


def between_configs(
    ours: Sequence[tuple[StoredRun, float]], theirs: Sequence[tuple[StoredRun, float]], metric: str
) -> Difference:
    """Return the difference of two configs with an interval over seeds, samples, or both.

    Args:
        ours: the runs of the seeds of a config with their values, at least one.
        theirs: those of the other config.
    """
    values, others = ([value for _, value in each] for each in (ours, theirs))
    one, two = (_replicates([run for run, _ in each], metric) for each in (ours, theirs))
    samples = one.samples_minus(two) if one is not None and two is not None else None
    seeds = between_means(values, others)
    if one is not None and seeds is not None and samples is not None:
        both = joined(seeds, samples)
        return Difference(both.value, both.low, both.high, f"seeds and {one.basis}")
    if seeds is None and len(ours) == len(theirs) == 1:
        paired = between_runs(ours[0][0], theirs[0][0], metric)
        if paired is not None:
            return paired
    return between_seeds(values, others)


def _replicates(members: Sequence[StoredRun], metric: str) -> Replicates | None:
    rows = [row for row in map(measure, members) if isinstance(row, Row)]
    if not rows:
        return None
    return Replicates(replace(rows[0], members=tuple(rows) if len(rows) > 1 else ()), metric)


def between_runs(
    ours: StoredRun, theirs: StoredRun, metric: str, *, most_elements: int = MOST_ELEMENTS
) -> Difference | None:
    """Return the difference of a recomputed metric between two runs, with its paired interval.

    Args:
        metric: bare for the test arrays, ``val_`` for the validation arrays.
        most_elements: of the targets; larger ones are not paired.

    Returns:
        None if the runs cannot be paired: arrays are missing, targets differ, there are fewer
        samples than groups, the arrays are very large, or they do not have the metric.
    """
    split, bare = ("val", metric[4:]) if metric.startswith("val_") else ("test", metric)
    return paired(ours, theirs, split, [bare], most_elements=most_elements).get(bare)


def paired(
    ours: StoredRun,
    theirs: StoredRun,
    split: str,
    names: Collection[str] | None = None,
    *,
    most_elements: int = MOST_ELEMENTS,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Difference]:
    """Return the differences of the recomputed metrics of one split, as `between_runs` does.

    `names` are bare names of metrics; None for all. Those that cannot be paired are left out.
    `data` is what else is known of the arrays of both.
    """
    known = {**(data or {}), **ours.data}
    one, two = (
        SampledRun(run, split, most_elements=most_elements, data=known) for run in (ours, theirs)
    )
    if not one.has_samples_of(two):
        return {}
    basis = "samples" if one.groups is None else "groups"
    found = {}
    for name in one.names:
        first, second = one.metric(name), two.metric(name)
        if (names is None or name in names) and first is not None and second is not None:
            by_chance = estimate(first.minus(second))
            if by_chance is not None:
                value, low, high = by_chance.value, by_chance.low, by_chance.high
                found[name] = Difference(value, low, high, basis)
    if basis == "groups" or (names is not None and all(name in found for name in names)):
        return found
    return {**_by_leaving_out(ours, theirs, split, names, known), **found}


def _by_leaving_out(
    ours: StoredRun,
    theirs: StoredRun,
    split: str,
    names: Collection[str] | None,
    known: Mapping[str, Any],
) -> dict[str, Difference]:
    """Return the differences of metrics that are computed from all samples at once.

    Each of twenty contiguous groups of samples is left out in turn (the delete-a-group jackknife,
    Quenouille 1956, Tukey 1958; contiguous, so that neighbours that resemble each other stay
    together, Künsch 1989).
    """
    import numpy as np

    predicted, wanted = ours.load_pair(split)
    other, _ = theirs.load_pair(split)
    count = len(wanted)
    if count < GROUPS:
        return {}

    def gains(kept: NDArray[np.intp]) -> dict[str, float]:
        targets = _some(wanted, kept)
        one, two = (
            evaluate(known.get("kind"), _some(samples, kept), targets, known)
            for samples in (predicted, other)
        )
        return {name: one[name] - two[name] for name in one if name in two}

    every = np.arange(count)
    try:
        values = gains(every)
        left_out = [gains(np.delete(every, group)) for group in np.array_split(every, GROUPS)]
    except ArrayProblem:
        return {}
    found = {}
    for name, value in values.items():
        some = np.asarray([each.get(name, math.nan) for each in left_out])
        if (names is None or name in names) and math.isfinite(value) and np.isfinite(some).all():
            spread = float(np.square(some - np.mean(some)).sum())
            half = student_quantile(GROUPS - 1) * math.sqrt((GROUPS - 1) / GROUPS * spread)
            found[name] = Difference(value, value - half, value + half, "samples")
    return found


def _some(samples: Samples, kept: NDArray[Any]) -> Samples:
    return [samples[index] for index in kept] if isinstance(samples, list) else samples[kept]


class RankCorrelation(NamedTuple):
    """A rank correlation with its interval.

    Attributes:
        value: in [-1, 1]; NaN for fewer than two pairs, or if one series does not vary.
        low: NaN below `FEWEST_PAIRS` pairs, as `high`.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation:
    """Return Spearman's rank correlation of pairs of finite values; ties share their mean rank.

    The interval is Fisher's, with the variance (1 + r²/2)/(n - 3) of Bonett and Wright (2000).
    """
    import numpy as np

    n = len(first)
    ranks = _ranks(first), _ranks(second)
    if n < 2 or any(float(np.ptp(one)) == 0.0 for one in ranks):
        return RankCorrelation(math.nan)
    value = float(np.clip(np.corrcoef(*ranks)[0, 1], -1.0, 1.0))
    if n < FEWEST_PAIRS:
        return RankCorrelation(value)
    # An exact 1 has no finite z; the nearest correlation that n ranks can have replaces it.
    bounded = min(abs(value), 1.0 - 6.0 / (n * (n * n - 1.0)))
    z = math.copysign(math.atanh(bounded), value)
    half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * math.sqrt((1.0 + bounded**2 / 2.0) / (n - 3))
    return RankCorrelation(value, min(math.tanh(z - half), value), max(math.tanh(z + half), value))


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(mean_rank[places], dtype=np.float64)
