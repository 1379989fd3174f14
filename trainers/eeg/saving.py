"""Handing over the probabilities of all folds, in the order of the windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainers.base import Run
from trainers.eeg.data import Fold


def save(
    run: Run,
    part: str,
    probabilities: list[NDArray[np.float32]],
    labels: NDArray[np.int64],
    folds: list[Fold],
) -> None:
    """Save the probabilities of one part of every fold with their labels.

    Args:
        run: where they go.
        part: ``"val"`` or ``"test"``.
        probabilities: of class 1, one array a fold.
        labels: [N] of all windows.
        folds: which rows are for what; no window is in this part of two of them.
    """
    rows = np.concatenate([getattr(fold, part) for fold in folds])
    order = np.argsort(rows, kind="stable")
    found = np.concatenate(probabilities)[order]
    run.save_predictions(found, labels[rows[order]].astype(np.float32), split=part)
