"""Metrics of extracted sines, recomputed from arrays. Needs only numpy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.base import Goal

FREQUENCIES_HZ: Final = (1, 3, 5, 7)
"""The sines of the mixture; row *i* of an array is the *i*-th frequency."""

GOALS: Final[dict[str, Goal]] = {
    "mse": "minimize",
    **{f"mse_{frequency}hz": "minimize" for frequency in FREQUENCIES_HZ},
}
SOURCES: Final = dict.fromkeys(GOALS, "scikit-learn, mean_squared_error")


def evaluate(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return the mean squared error over all samples and of each frequency, summed in float64.

    A network that always predicts 0 has 0.5, the variance of a sine.

    Args:
        predictions: [4, T], one row for each of `FREQUENCIES_HZ`.
        targets: [4, T].

    Returns:
        ``mse``, and ``mse_1hz``, ``mse_3hz``, ``mse_5hz``, ``mse_7hz``.

    Raises:
        ValueError: the shapes differ, or are not [4, T].
    """
    if predictions.shape != targets.shape or targets.ndim != 2:
        raise ValueError(
            "predictions and targets must both be [frequencies, samples] (found "
            f"{predictions.shape} and {targets.shape})"
        )
    if len(targets) != len(FREQUENCIES_HZ):
        raise ValueError(
            f"there must be {len(FREQUENCIES_HZ)} rows, one per frequency (found {len(targets)})"
        )
    errors = np.square(predictions.astype(np.float64) - targets).mean(axis=1)
    found = {"mse": float(errors.mean())}
    for frequency, error in zip(FREQUENCIES_HZ, errors, strict=True):
        found[f"mse_{frequency}hz"] = float(error)
    return found
