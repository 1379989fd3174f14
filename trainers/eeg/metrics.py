"""Metrics of predicted probabilities, recomputed from arrays by scikit-learn."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.base import Goal

GOALS: Final[dict[str, Goal]] = {"auroc": "maximize", "balanced_accuracy": "maximize"}
SOURCES: Final = {
    "auroc": "scikit-learn, roc_auc_score",
    "balanced_accuracy": "scikit-learn, balanced_accuracy_score",
}
RESAMPLED: Final = {"auroc": "weights", "balanced_accuracy": "sums"}

THRESHOLD: Final = 0.5


def resampled(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
    """Return AUROC of weighted windows, and what balanced accuracy needs of each window.

    Arguments as for `evaluate`.
    """
    positive = targets > THRESHOLD
    right = (predictions >= THRESHOLD) == positive
    columns = (positive & right, positive, ~positive & right, ~positive)
    return {
        "auroc": lambda weights: _weighted_auroc(predictions, positive, weights),
        "balanced_accuracy": (
            np.stack(columns, axis=1).astype(np.float64),
            lambda sums: (sums[..., 0] / sums[..., 1] + sums[..., 2] / sums[..., 3]) / 2,
        ),
    }


def _weighted_auroc(
    predictions: NDArray[Any], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of pairs in order, ties counted half (Mann and Whitney 1947): [B].

    Args:
        predictions: [N].
        positive: [N].
        weights: [B, N].
    """
    order = np.argsort(predictions, kind="stable")
    ranked, is_positive = predictions[order], positive[order]
    starts = np.flatnonzero(np.append(True, np.diff(ranked) != 0))
    drawn = weights[:, order]
    hits = np.add.reduceat(drawn * is_positive, starts, axis=1)
    others = np.add.reduceat(drawn * ~is_positive, starts, axis=1)
    below = np.cumsum(others, axis=1) - others
    pairs = hits.sum(axis=1) * others.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((hits * (below + others / 2)).sum(axis=1) / pairs)


def evaluate(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return AUROC and balanced accuracy.

    Args:
        predictions: [N] probability of class 1. Balanced accuracy uses a threshold of 0.5.
        targets: [N], 0 or 1.

    Returns:
        ``auroc`` and ``balanced_accuracy``, in [0, 1]; NaN if a probability is not finite or only
        one class is present.

    Raises:
        ValueError: the lengths differ, or targets are not 0 and 1.
    """
    # Takes a second to load, which is not needed to rank runs of other trainers.
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score  # noqa: PLC0415

    if predictions.ndim != 1 or predictions.shape != targets.shape:
        raise ValueError(
            "there must be one probability and one label per window (found shapes "
            f"{predictions.shape} and {targets.shape})"
        )
    labels = targets.astype(np.int64)
    found = np.unique(labels)
    if not np.array_equal(labels, targets) or not set(found.tolist()) <= {0, 1}:
        raise ValueError("labels must be 0 or 1")
    if len(found) < 2 or not np.isfinite(predictions).all():
        return dict.fromkeys(GOALS, math.nan)
    return {
        "auroc": float(roc_auc_score(labels, predictions)),
        "balanced_accuracy": float(balanced_accuracy_score(labels, predictions >= THRESHOLD)),
    }
