"""When an interval would promise more than it holds, so that none is shown.

The mean of squared errors with heavy tails (Student's t with four degrees of freedom) has no finite
variance. Studentized and widened, intervals of R² hold the true value in 93 % of simulations with
60 or 100 groups of such errors, and in 94 % with 200 or 300. Whether tails are heavy cannot be
judged from the samples: those that lack the rare large errors look harmless and have the worst
intervals. So only the number of groups decides.
"""

from __future__ import annotations

import re

from orchestrator.analysis.chance.confidence import Grouped
from orchestrator.analysis.chance.student import FEWEST_GROUPS

FEWEST_SQUARED = 200
"""Groups below which a metric of squared errors has no interval."""

_SQUARED = re.compile(r"(?:^|_)(?:r2|r?mse|psnr)(?:$|_)")


def is_squared(metric: str) -> bool:
    """Return whether a metric is of squared errors, by its name."""
    return _SQUARED.search(metric) is not None


def doubt(metric: str, of: Grouped) -> str:
    """Return why a metric has no interval, as an end of a sentence; "" if it has one."""
    if of.n_groups < FEWEST_GROUPS:
        return f"{of.n_groups} are too few"
    if is_squared(metric) and of.n_groups < FEWEST_SQUARED:
        return f"below {FEWEST_SQUARED} a few large squared errors may decide it"
    return ""
