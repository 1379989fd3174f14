"""Whether one result is better than another by more than chance.

With several seeds, the means of two configs are compared by Welch's interval. With one run each,
both predicted the same samples, so the metric's difference is computed again with each of
twenty contiguous groups of samples left out (the delete-a-group jackknife, Quenouille 1956,
Tukey 1958; contiguous, so that neighbours that resemble each other stay together, Künsch 1989).
That holds for any metric of a kind, also one that is no mean over samples, but sees only the
choice of samples: it cannot know what another seed would have changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.measure.row import Difference
from orchestrator.metrics import ArrayProblem, evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.runs.read import StoredRun

    Samples = NDArray[Any] | list[NDArray[Any]]

GROUPS = 20
MOST_ELEMENTS = 20_000_000
"""Larger arrays are not gone through twenty times, unless the caller asks for it."""


def between_seeds(
    ours: Sequence[float], theirs: Sequence[float], *, level: float = 0.95
) -> Difference:
    """Return the difference of two means with Welch's interval.

    Args:
        ours: one value per seed.
        theirs: the same of the other config; the seeds need not be the same.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: either is empty.
    """
    import numpy as np

    if not ours or not theirs:
        raise ValueError("both configs must have a value")
    value = float(np.mean(ours) - np.mean(theirs))
    if min(len(ours), len(theirs)) < 2 or not math.isfinite(value):
        return Difference(value)
    ours_share = float(np.var(ours, ddof=1)) / len(ours)
    theirs_share = float(np.var(theirs, ddof=1)) / len(theirs)
    variance = ours_share + theirs_share
    if variance == 0.0:
        return Difference(value, value, value, "seeds")
    one, two = ours_share / variance, theirs_share / variance
    freedom = 1.0 / (one**2 / (len(ours) - 1) + two**2 / (len(theirs) - 1))
    half = _quantile(freedom, level) * math.sqrt(variance)
    return Difference(value, value - half, value + half, "seeds")


def between_runs(
    ours: StoredRun,
    theirs: StoredRun,
    metric: str,
    *,
    level: float = 0.95,
    groups: int = GROUPS,
    most_elements: int = MOST_ELEMENTS,
) -> Difference | None:
    """Return the difference of a recomputed metric between two runs, with its paired interval.

    Args:
        ours: a run.
        theirs: the run that it is compared with.
        metric: as in a comparison: bare for the test arrays, ``val_`` for the validation arrays.
        level: of the interval, in (0, 1).
        groups: how many groups of samples are left out in turn, at least 2.
        most_elements: of the targets; larger ones are not paired.

    Returns:
        None if the runs cannot be paired: arrays are missing, targets differ, there are fewer
        samples than groups, the arrays are very large, or the metric is none of theirs.
    """
    import numpy as np

    split, bare = ("val", metric[4:]) if metric.startswith("val_") else ("test", metric)
    try:
        predicted, wanted = ours.load_pair(split)
        other, same = theirs.load_pair(split)
    except ArrayProblem:
        return None
    count = len(wanted)
    size = sum(sample.size for sample in wanted) if isinstance(wanted, list) else wanted.size
    if count != len(same) or count < groups or size > most_elements:
        return None
    if not all(np.array_equal(one, two) for one, two in zip(wanted, same, strict=True)):
        return None
    known = ours.data

    def gain(kept: NDArray[np.intp]) -> float:
        targets = _some(wanted, kept)
        one, two = (
            evaluate(known.get("kind"), _some(samples, kept), targets, known).get(bare, math.nan)
            for samples in (predicted, other)
        )
        return one - two

    every = np.arange(count)
    try:
        value = gain(every)
        left_out = [gain(np.delete(every, group)) for group in np.array_split(every, groups)]
    except ArrayProblem:
        return None
    if not math.isfinite(value) or not np.isfinite(left_out).all():
        return None
    spread = float(np.square(np.asarray(left_out) - np.mean(left_out)).sum())
    half = _quantile(groups - 1, level) * math.sqrt((groups - 1) / groups * spread)
    return Difference(value, value - half, value + half, "samples")


def _some(samples: Samples, kept: Sequence[int] | NDArray[Any]) -> Samples:
    return [samples[index] for index in kept] if isinstance(samples, list) else samples[kept]


def _quantile(freedom: float, level: float) -> float:
    """Return the quantile of Student's t that bounds `level` of it on both sides."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))
