"""Metrics of predicted decay curves, recomputed from arrays. Needs only numpy.

`errors` computes MAE, RMSE and R² of any pair of arrays; `evaluate` computes the same for EDT, T20
and C50 of the curves. Training reports all of them with the prefix ``val_``.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.base import Goal
from trainers.edc.acoustics import chunks, decay_parameters

# name of the metric -> name of the acoustic parameter
_QUANTITIES: Final = {
    "edt": "edt_s",
    "t20": "t20_s",
    "c50": "c50_db",
    "c50_edcsum": "c50_edcsum_db",
}
_ERRORS: Final[dict[str, Goal]] = {"mae": "minimize", "rmse": "minimize", "r2": "maximize"}

GOALS: Final[dict[str, Goal]] = {
    **_ERRORS,
    **{f"{name}_{error}": goal for name in _QUANTITIES for error, goal in _ERRORS.items()},
    **{f"{name}_undefined": "minimize" for name in _QUANTITIES},
}
SOURCES: Final = {
    name: "sums of the curve" if "edcsum" in name else "ISO 3382-1"
    for name in GOALS
    if name not in _ERRORS
}
RESAMPLED: Final = {name: "sums" for name in GOALS if not name.endswith("_undefined")}


def evaluate(
    predictions: NDArray[Any], targets: NDArray[Any], *, rate_hz: float
) -> dict[str, float]:
    """Return MAE, RMSE and R² of EDT (s), T20 (s) and both C50 (dB) over all curves.

    Both curves of a pair are evaluated relative to the target's first sample, so that a wrong level
    counts (see `acoustics.decay_parameters`). A pair with an undefined quantity in either curve is
    left out of that quantity and counted. Check the count too: a model must not look better
    because more quantities are undefined.

    Args:
        predictions: [N, T] linear energy.
        targets: [N, T].
        rate_hz: samples per second.

    Returns:
        ``edt_mae``, ``edt_rmse``, ``edt_r2`` and the same for ``t20``, ``c50`` (ISO 3382) and
        ``c50_edcsum``; NaN if the quantity is undefined in every pair. ``<quantity>_undefined``,
        the number of pairs left out, only if there are any.

    Raises:
        ValueError: the shapes differ, or as in `acoustics.decay_parameters`.
    """
    if predictions.shape != targets.shape:
        raise ValueError(
            f"predictions and targets must have one shape (found {predictions.shape} and "
            f"{targets.shape})"
        )
    wanted = decay_parameters(targets, rate_hz)
    level = targets.reshape(-1, targets.shape[-1])[:, 0]
    got = decay_parameters(predictions, rate_hz, reference=level)
    found: dict[str, float] = {}
    for name, parameter in _QUANTITIES.items():
        defined = np.isfinite(wanted[parameter]) & np.isfinite(got[parameter])
        pair = errors(got[parameter][defined], wanted[parameter][defined])
        found.update({f"{name}_{error}": value for error, value in pair.items()})
        undefined = int(defined.size - np.count_nonzero(defined))
        if undefined:
            found[f"{name}_undefined"] = float(undefined)
    return found


def resampled(
    predictions: NDArray[Any], targets: NDArray[Any], *, rate_hz: float
) -> dict[str, tuple[NDArray[np.float64], Any]]:
    """Return what `evaluate` needs of each curve, and how its sums make each metric.

    Arguments as for `evaluate`.
    """
    wanted = decay_parameters(targets, rate_hz)
    level = targets.reshape(-1, targets.shape[-1])[:, 0]
    got = decay_parameters(predictions, rate_hz, reference=level)
    found: dict[str, tuple[NDArray[np.float64], Any]] = {}
    for name, parameter in _QUANTITIES.items():
        target = wanted[parameter]
        error = got[parameter] - target
        defined = np.isfinite(error)
        error, target = (np.where(defined, values, 0.0) for values in (error, target))
        columns = (np.abs(error), np.square(error), target, np.square(target), defined)
        statistics = np.stack(columns, axis=1).astype(np.float64)
        found[f"{name}_mae"] = statistics, lambda sums: sums[..., 0] / sums[..., 4]
        found[f"{name}_rmse"] = statistics, lambda sums: np.sqrt(sums[..., 1] / sums[..., 4])
        found[f"{name}_r2"] = statistics, _r2_of_sums
    return found


def _r2_of_sums(sums: Any) -> Any:
    return 1.0 - sums[..., 1] / (sums[..., 3] - sums[..., 2] ** 2 / sums[..., 4])


def errors(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return ``mae``, ``rmse`` and ``r2`` over all elements, summed in float64.

    R² is flattened: one mean over all elements. It is NaN if all targets are equal; all three are
    NaN for empty arrays.

    Args:
        predictions: [N, ...].
        targets: of the same shape.
    """
    if targets.size == 0:
        return dict.fromkeys(_ERRORS, math.nan)
    mean = targets.mean(dtype=np.float64)
    absolute = squared = about_mean = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in chunks(len(targets), targets[0].size):
            wanted = targets[rows].astype(np.float64)
            error = predictions[rows] - wanted
            absolute += float(np.abs(error).sum())
            squared += float(np.square(error).sum())
            about_mean += float(np.square(wanted - mean).sum())
    constant = targets.min() == targets.max()
    return {
        "mae": absolute / targets.size,
        "rmse": math.sqrt(squared / targets.size),
        "r2": math.nan if constant or about_mean == 0 else 1.0 - squared / about_mean,
    }
