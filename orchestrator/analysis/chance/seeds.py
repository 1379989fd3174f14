"""Intervals from runs of one config with several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.analysis.chance.confidence import Estimate, student_quantile


def interval_of_mean(values: Sequence[float]) -> Estimate | None:
    """Return the mean with Student's interval; None for fewer than two values."""
    import numpy as np

    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    half = student_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Estimate(mean, mean - half, mean + half, math.nan)


def between_means(ours: Sequence[float], theirs: Sequence[float]) -> Estimate | None:
    """Return the difference of two means with Welch's interval (1947); None without two each."""
    import numpy as np

    if min(len(ours), len(theirs)) < 2:
        return None
    value = float(np.mean(ours) - np.mean(theirs))
    shares = [float(np.var(each, ddof=1)) / len(each) for each in (ours, theirs)]
    variance = sum(shares)
    if not math.isfinite(value) or not math.isfinite(variance):
        return None
    if variance == 0.0:
        return Estimate(value, value, value, float(value == 0.0))
    one, two = (share / variance for share in shares)
    freedom = 1.0 / (one**2 / (len(ours) - 1) + two**2 / (len(theirs) - 1))
    half = student_quantile(freedom) * math.sqrt(variance)
    from scipy.special import stdtr

    p_value = 2.0 * float(stdtr(freedom, -abs(value) / math.sqrt(variance)))
    return Estimate(value, value - half, value + half, p_value)
