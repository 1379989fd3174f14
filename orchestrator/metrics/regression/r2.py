"""Coefficient of determination, flattened."""

from __future__ import annotations

import math

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


METRIC = Metric("r2", "maximize", "R² with one mean over all elements", flattened_r2, order=2)
