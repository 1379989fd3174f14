"""The baseline: logistic regression on band powers, by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trainers.base import Run
from trainers.eeg import metrics
from trainers.eeg.config import Config
from trainers.eeg.data import Fold, save_folds
from trainers.eeg.windows import Windows

_ITERATIONS = 5000


def judge_baseline(
    config: Config,
    run: Run,
    windows: Windows,
    folds: list[Fold],
    features: list[NDArray[np.float32]],
) -> None:
    """Fit one regression per fold on its training subjects, report once and save predictions.

    It converges to its only optimum, so seed and schedule have no effect. The validation subjects
    are not trained on, as for the probes.

    Args:
        config: `bandpower_c` and `class_weights` are read.
        run: receives reports and results.
        windows: all windows.
        folds: rows of each part.
        features: [N, D] of all windows, standardized, for each fold.
    """
    # Takes a second to load and is only needed for the baseline.
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.metrics import log_loss  # noqa: PLC0415

    labels = windows.labels
    balance = "balanced" if config.class_weights else None
    losses: list[float] = []
    found: dict[str, list[NDArray[np.float32]]] = {"val": [], "test": []}
    for fold, table in zip(folds, features, strict=True):
        model = LogisticRegression(
            C=config.bandpower_c, class_weight=balance, max_iter=_ITERATIONS
        ).fit(table[fold.train], labels[fold.train])
        fitted = model.predict_proba(table[fold.train])[:, 1]
        losses.append(float(log_loss(labels[fold.train], fitted)))
        for part, kept in found.items():
            kept.append(model.predict_proba(table[getattr(fold, part)])[:, 1].astype(np.float32))
    wanted = np.concatenate([labels[fold.val] for fold in folds])
    predicted = np.concatenate(found["val"])
    seen = metrics.evaluate(predicted, wanted)
    run.describe(parameters=features[0].shape[1] + 1)
    run.report(
        1,
        train_loss=math.fsum(losses) / len(losses),
        val_loss=float(log_loss(wanted, predicted.astype(np.float64))),
        val_auroc=seen["auroc"],
        val_balanced_accuracy=seen["balanced_accuracy"],
    )
    for part, kept in found.items():
        save_folds(run, part, kept, windows, folds)
