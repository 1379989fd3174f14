"""Whether one result is better than another by more than chance.

With several seeds, the means of two configs are compared by Welch's interval. With one run each,
both predicted the same samples, so the metric's difference is computed again with each of
twenty contiguous groups of samples left out (the delete-a-group jackknife, Quenouille 1956,
Tukey 1958; contiguous, so that neighbours that resemble each other stay together, Künsch 1989).
That holds for any metric of a kind, also one that is no mean over samples, but sees only the
choice of samples: what another seed would have changed it cannot know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.measure.evaluation import Samples, load_pair
from orchestrator.metrics import ArrayProblem, evaluate
from orchestrator.runs.foreign import metadata

GROUPS = 20
MOST_ELEMENTS = 20_000_000
"""Larger arrays are not gone through twenty times, where the caller does not say otherwise."""


@dataclass(frozen=True)
class Difference:
    """One value less another, with the interval that chance explains.

    Attributes:
        value: the difference, in the metric's unit.
        low: lower end of its interval at the level asked for; NaN where nothing says.
        high: upper end.
        basis: what the interval is of: ``"seeds"``, ``"samples"`` or ``""``.
        unit: of the metric; "" for none, or where nobody says.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    basis: str = ""
    unit: str = ""

    @property
    def is_noise(self) -> bool | None:
        """True where the interval holds 0, None where there is no interval."""
        if math.isnan(self.low) or math.isnan(self.high):
            return None
        return self.low <= 0.0 <= self.high


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
    path: Path,
    other: Path,
    metric: str,
    *,
    level: float = 0.95,
    groups: int = GROUPS,
    most_elements: int = MOST_ELEMENTS,
) -> Difference | None:
    """Return the difference of a recomputed metric between two runs, with its paired interval.

    Args:
        path: a run folder.
        other: the run folder that it is held against.
        metric: as in a comparison: bare for the test arrays, ``val_`` for the validation arrays.
        level: of the interval, in (0, 1).
        groups: how many groups of samples are left out in turn, at least 2.
        most_elements: of the targets; larger ones are not paired.

    Returns:
        None where the runs cannot be paired: arrays are missing, targets differ, there are fewer
        samples than groups, the arrays are very large, or the metric is none of theirs.
    """
    split, bare = ("val", metric[4:]) if metric.startswith("val_") else ("test", metric)
    try:
        predicted, wanted = load_pair(path, split)
        theirs, same = load_pair(other, split)
    except ArrayProblem:
        return None
    count = len(wanted)
    if count != len(same) or count < groups or _elements(wanted) > most_elements:
        return None
    if not all(np.array_equal(one, two) for one, two in zip(wanted, same, strict=True)):
        return None
    known = metadata.data_of(metadata.read_metadata(path))
    kind = known.get("kind")
    kind = str(kind) if kind is not None else None

    def measure(samples: Samples, kept: NDArray[np.intp]) -> float:
        pair = _some(samples, kept), _some(wanted, kept)
        return evaluate(kind, *pair, known).get(bare, math.nan)

    every = np.arange(count)
    try:
        value = measure(predicted, every) - measure(theirs, every)
        left_out = []
        for group in np.array_split(every, groups):
            kept = np.delete(every, group)
            left_out.append(measure(predicted, kept) - measure(theirs, kept))
    except ArrayProblem:
        return None
    if not math.isfinite(value) or not np.isfinite(left_out).all():
        return None
    spread = float(np.square(np.asarray(left_out) - np.mean(left_out)).sum())
    half = _quantile(groups - 1, level) * math.sqrt((groups - 1) / groups * spread)
    return Difference(value, value - half, value + half, "samples")


def _some(samples: Samples, kept: NDArray[np.intp]) -> Samples:
    if isinstance(samples, list):
        return [samples[index] for index in kept]
    return samples[kept]


def _elements(samples: Samples) -> int:
    if isinstance(samples, list):
        return sum(sample.size for sample in samples)
    return int(samples.size)


def _quantile(freedom: float, level: float) -> float:
    """Return the quantile of Student's t that bounds `level` of it on both sides."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))
