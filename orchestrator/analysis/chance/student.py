"""Student's distribution without SciPy, and Holm's correction for many comparisons."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from statistics import NormalDist
from typing import TypeVar

LEVEL = 0.95
"""Of all intervals."""

FEWEST_GROUPS = 10
"""Below this number of groups there is no interval: no method covers what it promises."""

_Key = TypeVar("_Key", bound=Hashable)


def student_quantile(freedom: float) -> float:
    """Return the value that Student's t stays within, on both sides, with probability `LEVEL`.

    From `FEWEST_GROUPS` on by the expansion of Cornish and Fisher, to four digits: a table that
    shows intervals need not load SciPy.
    """
    if freedom < FEWEST_GROUPS - 1:
        from scipy.special import stdtrit

        return float(stdtrit(freedom, 0.5 + LEVEL / 2))
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def student_p_value(ratio: float, freedom: float) -> float:
    """Return the probability of a ratio as far from 0, by Student's t (Wallace 1959).

    It can be far below one over the number of draws, which a correction for many comparisons needs.
    """
    if freedom < FEWEST_GROUPS - 1:
        from scipy.special import stdtr

        return 2.0 * float(stdtr(freedom, -abs(ratio)))
    normal = math.sqrt(freedom * math.log1p(ratio**2 / freedom))
    return 2.0 * NormalDist().cdf(-normal * (8 * freedom + 1) / (8 * freedom + 3))


def holm(p_values: Mapping[_Key, float], n_comparisons: int | None = None) -> set[_Key]:
    """Return the keys whose p-values stay significant after Holm's correction (1979).

    Args:
        n_comparisons: how many comparisons were made in all; None for those in `p_values`. The best
            of n trials was chosen by the data, so n (n - 1) / 2 pairs were compared.
    """
    left = len(p_values) if n_comparisons is None else n_comparisons
    rejected: set[_Key] = set()
    for key, p_value in sorted(p_values.items(), key=lambda item: item[1]):
        if p_value * left > 1.0 - LEVEL:
            break
        rejected.add(key)
        left -= 1
    return rejected
