"""Whether the ranking of a quick stage foretold the ranking of the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FEWEST = 4
"""Below this many pairs an interval would span everything."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of two series.

    Attributes:
        value: in [-1, 1]; NaN for fewer than two pairs, or where one series does not vary.
        low: lower end of its 95 % interval; NaN below `FEWEST` pairs.
        high: upper end.
        n: how many pairs.
    """

    value: float
    low: float
    high: float
    n: int


def rank_correlation(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95
) -> RankCorrelation:
    """Return Spearman's rank correlation of pairs, tied values sharing their mean rank.

    The interval is Fisher's, with the variance (1 + r²/2)/(n − 3) of Bonett and Wright (2000).

    Args:
        first: one value per trial at one stage; finite.
        second: the same trials at the next, in the same order.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: the numbers of values differ.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs are needed, but there are {len(first)} and {len(second)} values")
    n = len(first)
    ranks = _ranks(first), _ranks(second)
    if n < 2 or any(float(np.ptp(one)) == 0.0 for one in ranks):
        return RankCorrelation(math.nan, math.nan, math.nan, n)
    value = float(np.clip(np.corrcoef(*ranks)[0, 1], -1.0, 1.0))
    if n < FEWEST:
        return RankCorrelation(value, math.nan, math.nan, n)
    # An exact 1 has no finite z; the nearest correlation that n ranks can have stands in.
    bounded = min(abs(value), 1.0 - 6.0 / (n * (n * n - 1.0)))
    z = math.copysign(math.atanh(bounded), value)
    width = NormalDist().inv_cdf(0.5 + level / 2)
    half = width * math.sqrt((1.0 + bounded**2 / 2.0) / (n - 3))
    low, high = math.tanh(z - half), math.tanh(z + half)
    return RankCorrelation(value, min(low, value), max(high, value), n)


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    _, places, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2.0
    return np.asarray(mean_rank[places], dtype=np.float64)
