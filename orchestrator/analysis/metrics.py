"""What arrays mean: the metrics of each kind of data, and which way a metric is better.

A run's ``metadata.json`` says what its arrays are (``{"kind": "decay_curve", "rate_hz": 500}``).
Every kind gets the regression metrics; a known kind also those that its trainer computes from
saved arrays. Kinds whose samples are sequences of unequal length (their module says ``SEQUENCES``)
get only their own. A new kind is one line in `_MODULES`.

Mean absolute error, root mean square error and R² of any pair of arrays.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.arrays import ArrayProblem, blocks
from orchestrator.errors import UsageError, nearest

Goal = Literal["minimize", "maximize"]

# kind -> module with `evaluate(predictions, targets, **data)` and `GOALS`, both without torch.
_MODULES: Final = {
    "binary_probability": "trainers.eeg.metrics",
    "decay_curve": "trainers.edc.metrics",
    "phonemes": "trainers.speech.metrics",
    "sar_image": "trainers.sar.metrics",
    "sine_mixture": "trainers.signal.metrics",
}
# What people type after `--metrics` -> kind.
_ALIASES: Final = {
    "eeg": "binary_probability",
    "edc": "decay_curve",
    "speech": "phonemes",
    "sar": "sar_image",
    "signal": "sine_mixture",
}

# Words of a metric's name that tell its direction. An error word wins: `ssim_loss` is a loss.
# fmt: off
_ERRORS: Final = frozenset({
    "loss", "error", "err", "mae", "mse", "rmse", "mape", "nll", "per", "wer", "cer",
    "undefined", "divergence", "distance",
})
_SCORES: Final = frozenset({
    "r2", "psnr", "ssim", "snr", "sdr", "sisdr", "epi", "auroc", "auprc", "auc", "ap",
    "accuracy", "acc", "precision", "recall", "sensitivity", "specificity", "f1", "dice", "iou",
    "kappa", "mcc", "correlation", "corr", "pearson", "spearman", "bleu", "score",
})
# fmt: on
_IN_DECIBELS: Final = frozenset({"psnr", "snr", "sdr", "sisdr"})
_SPLIT: Final = re.compile(r"^(?:train|val|valid|validation|test)[_/.]", re.IGNORECASE)


def names() -> list[str]:
    """Return what may be typed for a kind: kinds and their short names."""
    return sorted([*_MODULES, *_ALIASES])


def resolve(name: str, where: str = "--metrics") -> str:
    """Return the kind that a person means by `name`, which stands at `where`.

    Raises:
        UsageError: there is no such kind; the message lists those that there are.
    """
    kind = _ALIASES.get(name, name)
    if kind not in _MODULES:
        raise UsageError(
            f"{where}: must be one of {', '.join(names())}, but got {name!r}."
            f"{nearest(name, names())}"
        )
    return kind


def is_known(kind: str | None) -> bool:
    """Tell whether `kind` (or short name) has metrics of its own."""
    return kind is not None and _ALIASES.get(kind, kind) in _MODULES


def evaluate(
    kind: str | None,
    predictions: NDArray[Any] | list[NDArray[Any]],
    targets: NDArray[Any] | list[NDArray[Any]],
    data: Mapping[str, Any],
) -> dict[str, float]:
    """Return all metrics of a pair of arrays: ``mae``, ``rmse``, ``r2``, then those of its kind.

    Args:
        kind: what the arrays are; None, or a kind that is unknown here, gets the regression
            metrics only.
        predictions: [N, ...], real and finite (see `arrays.check_pair`), or N sequences (see
            `sequences.check_sequences`), which have no regression metrics.
        targets: of the same shape, or N sequences too.
        data: what is known about the arrays beside their kind, as ``rate_hz``. Names that the
            kind's metrics do not need are ignored.

    Raises:
        ArrayProblem: the shapes differ, the kind's metrics need something that `data` lacks
            or cannot use what it holds, or sequences are of a kind without metrics of its own.
    """
    is_sequences = isinstance(predictions, list) or isinstance(targets, list)
    kind = _ALIASES.get(kind, kind) if kind is not None and is_known(kind) else None
    if is_sequences and (kind is None or not _has_sequences(kind)):
        named = " or ".join(name for name in _MODULES if _has_sequences(name))
        raise ArrayProblem(
            f"sequences of unequal length need a kind with metrics for them ({named}), "
            f"but their kind is {kind or 'unknown'}"
        )
    if isinstance(predictions, list) or isinstance(targets, list):
        metrics: dict[str, float] = {}
    else:
        metrics = regression_metrics(predictions, targets)
    if kind is None:
        return metrics
    if _has_sequences(kind) and not is_sequences:
        raise ArrayProblem(
            f"metrics of {kind} need sequences, but predictions_lengths.npy and "
            f"targets_lengths.npy are missing"
        )
    function = _module(kind).evaluate
    wanted = list(inspect.signature(function).parameters.values())[2:]
    missing = [
        item.name
        for item in wanted
        if item.name not in data
        and item.default is item.empty
        and item.kind is not item.VAR_KEYWORD
    ]
    if missing:
        raise ArrayProblem(f"metrics of a {kind} need {', '.join(missing)}, which nothing states")
    accepted = {item.name: data[item.name] for item in wanted if item.name in data}
    try:
        return {**metrics, **function(predictions, targets, **accepted)}
    except (ValueError, TypeError) as error:
        raise ArrayProblem(f"metrics of a {kind}: {error}") from error


def goal(metric: str, kind: str | None = None) -> Goal:
    """Return which way `metric` is better, by what its name means.

    A kind's own list comes first; then the words of the name: an R², an accuracy, a PSNR is to be
    maximised, an error or a loss minimised, and so is what no word tells. A split before it
    (``val_``, ``test_``, ``train_``) does not matter.

    Args:
        metric: name as ``val_t20_r2``.
        kind: kind of data whose trainer may know better.
    """
    bare = _SPLIT.sub("", metric)
    if kind is not None and is_known(kind):
        own = _module(_ALIASES.get(kind, kind)).GOALS.get(bare)
        if own is not None:
            return "maximize" if own == "maximize" else "minimize"
    words = set(re.split(r"[^a-z0-9]+", bare.lower()))
    return "maximize" if words & _SCORES and not words & _ERRORS else "minimize"


def unit(metric: str, kind: str | None = None) -> str:
    """Return the unit of `metric`, as ``"dB"``; "" where nobody says.

    Args:
        metric: name as ``val_c50_mae``.
        kind: kind of data, whose trainer says it of its metrics.
    """
    bare = _SPLIT.sub("", metric)
    if kind is not None and is_known(kind):
        package = _MODULES[_ALIASES.get(kind, kind)].rpartition(".")[0]
        known = importlib.import_module(f"{package}.config").METRICS.get(f"val_{bare}")
        if known is not None:
            return str(known.unit)
    words = set(re.split(r"[^a-z0-9]+", bare.lower()))
    return "dB" if words & _IN_DECIBELS and "/" not in metric else ""


def _has_sequences(kind: str) -> bool:
    return bool(getattr(_module(kind), "SEQUENCES", False))


def _module(kind: str) -> ModuleType:
    return importlib.import_module(_MODULES[kind])


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
