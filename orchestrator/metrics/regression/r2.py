"""Coefficient of determination, flattened."""

from __future__ import annotations

import math
from typing import Any

from orchestrator.metrics.metric import Metric, Pair


def flattened_r2(pair: Pair) -> float:
    """Return 1 − Σ(t − p)² / Σ(t − mean(t))² with one mean over all elements: at most 1.

    It is not scikit-learn's default for two-dimensional arrays, which averages the R² of the
    columns; the two differ widely on decay curves, whose columns vary little.

    If all targets are equal R² is undefined and NaN is returned; scikit-learn returns 1.0 for a
    perfect prediction of those and 0.0 for any other.
    """
    sums = pair.sums
    targets_vary = sums.highest > sums.lowest and sums.about_mean > 0
    return 1.0 - sums.squared / sums.about_mean if targets_vary else math.nan


def _of_sums(sums: Any) -> Any:
    about_mean = sums[..., 3] - sums[..., 2] ** 2 / sums[..., 4]
    return 1.0 - sums[..., 1] / about_mean


METRIC = Metric(
    "r2",
    "maximize",
    "R² with one mean over all elements",
    flattened_r2,
    of_sums=_of_sums,
    order=2,
    source="scikit-learn, r2_score of the flattened arrays",
)
