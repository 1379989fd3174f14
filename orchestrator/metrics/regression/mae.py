"""Mean absolute error."""

from __future__ import annotations

import math

from orchestrator.metrics.metric import Metric, Pair
from orchestrator.metrics.resampling.per_sample import Ratio


def mean_absolute_error(pair: Pair) -> float:
    """Return the mean absolute error over all elements, in their unit; NaN for no elements."""
    sums = pair.sums
    return sums.absolute / sums.count if sums.count else math.nan


METRIC = Metric(
    "mae",
    "minimize",
    "mean absolute error over all elements",
    mean_absolute_error,
    of_sums=Ratio(0, 4),
    order=0,
    source="scikit-learn, mean_absolute_error",
)
