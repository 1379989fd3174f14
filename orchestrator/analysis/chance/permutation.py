"""An exact test for few groups of samples, for which no interval keeps its promise.

If two trials are equal, their predictions for any group might as well be swapped (Fisher 1935). All
2^G swaps are made, so the p-value is exact, whatever the errors are like.
"""

from __future__ import annotations

import math

from orchestrator.analysis.chance.confidence import (
    Estimate,
    Grouped,
    mean_of_seeds,
)
from orchestrator.analysis.chance.student import FEWEST_GROUPS, LEVEL

FEWEST_SWAPPED = 6
"""Below, not even all groups in favor of one are significant: 2 of 2^5 swaps are 6 %."""


def least_p_value(n_groups: int) -> float:
    """Return the least p-value that this many groups can give."""
    return float(2.0 ** (1 - n_groups))


def swapped(ours: Grouped, theirs: Grouped) -> Estimate | None:
    """Return the difference of two metrics of the same groups, with a p-value but no interval.

    None if there are too few groups to find anything, or enough for an interval.
    """
    import numpy as np

    n_groups = ours.n_groups
    if not FEWEST_SWAPPED <= n_groups < FEWEST_GROUPS or theirs.n_groups != n_groups:
        return None
    if ours.sums is None or theirs.sums is None:
        ours, theirs = mean_of_seeds([ours]), mean_of_seeds([theirs])
    assert ours.sums is not None
    assert theirs.sums is not None
    kept = (np.arange(2**n_groups)[:, None] >> np.arange(n_groups) & 1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        one = ours.value(kept @ ours.sums + (1 - kept) @ theirs.sums)
        two = theirs.value((1 - kept) @ ours.sums + kept @ theirs.sums)
        differences = np.asarray(one - two)
    value = float(differences[-1])
    known = differences[np.isfinite(differences)]
    if not math.isfinite(value) or len(known) < LEVEL * len(differences):
        return None
    size = abs(value) - 1e-9 * float(np.abs(known).max())  # swaps that are equal but for rounding
    p_value = float((np.abs(known) >= size).mean())
    return Estimate(value, math.nan, math.nan, p_value, math.nan, n_groups - 1)
