"""Mean absolute error, root mean square error and R² of any pair of arrays."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.arrays import blocks

GOALS: Final = {"mae": "minimize", "rmse": "minimize", "r2": "maximize"}


def regression_metrics(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return MAE, RMSE and R² over all elements, whatever the shape.

    R² is the flattened one, 1 − Σ(t − p)² / Σ(t − mean(t))² with one mean over all elements. It
    is not scikit-learn's default for two-dimensional arrays, which averages the R² of the
    columns; the two differ widely on decay curves, whose columns vary little.

    Where all targets are equal R² is undefined and NaN is returned; scikit-learn says 1.0 there
    for a perfect prediction and 0.0 for any other.

    One pass in blocks: sums are float64, memory is bounded, and the squares about the mean are
    merged from the blocks' own (Chan, Golub and LeVeque 1979), so a large offset costs no digits.

    Args:
        predictions: real numbers, any shape; not empty.
        targets: of the same shape.

    Returns:
        ``mae`` and ``rmse`` in the arrays' unit, ``r2`` (at most 1, may be below 0 or NaN). NaN
        in either array makes all three NaN. All NaN for empty arrays.

    Raises:
        ArrayProblem: the shapes differ.
    """
    count = 0
    absolute = squared = mean = about_mean = 0.0
    lowest, highest = math.inf, -math.inf
    # Finite values beyond 1e154 overflow when squared: an infinite RMSE says it well enough.
    with np.errstate(over="ignore", invalid="ignore"):
        for predicted, target in blocks(predictions, targets):
            error = predicted - target
            absolute += float(np.abs(error).sum())
            squared += float(np.square(error).sum())
            block_mean = float(target.mean())
            block_about_mean = float(np.square(target - block_mean).sum())
            step = block_mean - mean
            merged = count + target.size
            about_mean += block_about_mean + step * step * count * target.size / merged
            mean += step * target.size / merged
            count = merged
            lowest, highest = min(lowest, float(target.min())), max(highest, float(target.max()))
    if count == 0:
        return dict.fromkeys(GOALS, math.nan)
    varies = highest > lowest and about_mean > 0
    return {
        "mae": absolute / count,
        "rmse": math.sqrt(squared / count),
        "r2": 1.0 - squared / about_mean if varies else math.nan,
    }
