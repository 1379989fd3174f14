"""When an interval would promise more than it holds, so that none is shown.

The mean of squared errors with heavy tails (Student's t with four degrees of freedom) has no finite
variance. No resampling covers it: intervals of R² held the true value in 90 % of simulations,
whatever the number of groups. Few groups do not show their tails, many do.
"""

from __future__ import annotations

import re

from orchestrator.analysis.chance.confidence import FEWEST_GROUPS, Grouped, mean_of_seeds

FEWEST_SQUARED = 100
"""Groups below which a metric of squared errors has no interval: tails cannot be judged."""

HEAVIEST = 0.55
"""Tail index (Hill 1975) of what the groups add from which there is none; above 0.5 the variance of
what is added is infinite. The greatest tenth of the deviations counts."""

_SQUARED = re.compile(r"(?:^|_)(?:r2|r?mse)(?:$|_)")


def doubt(metric: str, of: Grouped) -> str:
    """Return why a metric has no interval, as an end of a sentence; "" if it has one."""
    if of.n_groups < FEWEST_GROUPS:
        return f"{of.n_groups} are too few"
    squares = _SQUARED.search(metric) is not None
    if squares and of.n_groups < FEWEST_SQUARED:
        return f"below {FEWEST_SQUARED} groups the tails of squared errors cannot be judged"
    if squares and tail_index(of) > HEAVIEST:
        return "a few very large errors decide it"
    return ""


def tail_index(of: Grouped) -> float:
    """Return how heavy the tails are of what the groups add: 0 for none, 1 for Cauchy's."""
    import numpy as np

    sums = mean_of_seeds([of]).sums
    assert sums is not None
    far = np.sort(np.abs(sums[:, 0] - np.median(sums[:, 0])))[::-1]
    count = max(2, len(far) // 10)
    if not far[count] > 0:
        return 0.0
    return float(np.log(far[:count] / far[count]).mean())
