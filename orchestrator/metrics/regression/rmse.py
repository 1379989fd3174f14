"""Root mean square error."""

from __future__ import annotations

import math

from orchestrator.metrics.metric import Metric, Pair


def root_mean_square_error(pair: Pair) -> float:
    """Return the root mean square error over all elements, in their unit; NaN for no elements."""
    sums = pair.sums
    return math.sqrt(sums.squared / sums.count) if sums.count else math.nan


METRIC = Metric(
    "rmse",
    "minimize",
    "root mean square error over all elements",
    root_mean_square_error,
    of_sums=lambda sums: (sums[..., 1] / sums[..., 4]) ** 0.5,
    order=1,
    source="scikit-learn, root_mean_squared_error",
)
