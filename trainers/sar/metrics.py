"""Metrics of reconstructed SAR images, recomputed from arrays. Needs only numpy.

All are computed on the saved images, whose values in [0, 1] represent levels in dB.

============= ==== =====================================================================
psnr          dB   10·log10(1 / mean squared error), one mean over all pixels of all images
ssim               structural similarity (Wang et al., 2004): Gaussian window of 11 pixels,
                   σ 1.5, whole windows only, mean over all positions and images
enl_ratio          remaining speckle: ENL = μ²/σ² in windows of 15 pixels, its median over the
                   reconstructions divided by that over the targets, in windows whose target is
                   homogeneous (σ/μ below 0.3). 1 keeps the speckle, more is smoother
enl_deviation      distance of enl_ratio from 1: |log2(enl_ratio)|
epi                edge preservation: cosine between the Sobel magnitudes of target and
                   reconstruction, mean over images
============= ==== =====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.base import Goal

SSIM_WINDOW: Final = 11
SSIM_SIGMA: Final = 1.5
SSIM_C1: Final = 0.01**2
SSIM_C2: Final = 0.03**2
ENL_WINDOW: Final = 15
ENL_VARIATION: Final = 0.3

_CHUNK: Final = 1 << 20  # pixels processed together
_NO_VARIANCE: Final = 1e-12

GOALS: Final[dict[str, Goal]] = {
    "psnr": "maximize",
    "ssim": "maximize",
    "enl_ratio": "minimize",
    "enl_deviation": "minimize",
    "epi": "maximize",
}
SOURCES: Final = {
    "psnr": "scikit-image, peak_signal_noise_ratio of all images",
    "ssim": "Wang and others 2004; scikit-image, structural_similarity",
    "enl_ratio": "Oliver and Quegan 2004, equivalent number of looks",
    "enl_deviation": "of enl_ratio",
    "epi": "cosine of Sobel magnitudes",
}
RESAMPLED: Final = dict.fromkeys(("psnr", "ssim", "epi"), "sums")

Floats = NDArray[np.float64]


def evaluate(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return PSNR (dB), SSIM, ENL ratio and EPI; see the module docstring.

    Undefined metrics are NaN: PSNR of a perfect reconstruction is infinite, SSIM needs 11 pixels of
    height and width, and ENL needs 15 and a homogeneous window in some target.

    Args:
        predictions: [N, H, W] or [N, 1, H, W], finite.
        targets: of the same shape.

    Raises:
        ValueError: the shapes differ or are not image shapes.
    """
    if predictions.shape != targets.shape:
        raise ValueError(
            f"predictions and targets must have one shape (found {predictions.shape} and "
            f"{targets.shape})"
        )
    if predictions.ndim == 4 and predictions.shape[1] == 1:
        predictions, targets = predictions[:, 0], targets[:, 0]
    if predictions.ndim != 3 or predictions.size == 0:
        raise ValueError(
            f"images must be a non-empty array [N, height, width] (found shape {predictions.shape})"
        )
    squared, similar, edges = 0.0, [], []
    looks: tuple[list[Floats], list[Floats]] = ([], [])
    for rows in _chunks(predictions):
        got, wanted = predictions[rows].astype(np.float64), targets[rows].astype(np.float64)
        squared += float(np.square(got - wanted).sum())
        similar.append(ssim(got, wanted))
        edges.append(edge_preservation(got, wanted))
        for kept, found in zip(looks, local_looks(got, wanted), strict=True):
            kept.append(found)
    error = squared / targets.size
    of_got, of_wanted = (np.concatenate(kept) for kept in looks)
    ratio = float(np.median(of_got) / np.median(of_wanted)) if of_wanted.size else math.nan
    return {
        "psnr": -10.0 * math.log10(error) if error > 0 else math.inf,
        "ssim": _mean(np.concatenate(similar)),
        "enl_ratio": ratio,
        "enl_deviation": abs(math.log2(ratio)) if ratio > 0 else math.nan,
        "epi": _mean(np.concatenate(edges)),
    }


def resampled(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, tuple[Floats, Any]]:
    """Return what PSNR, SSIM and EPI need of each image, and how the sums make each metric.

    Arguments as for `evaluate`. The ENL ratio is a ratio of medians, so no function of sums.
    """
    if predictions.ndim == 4:
        predictions, targets = predictions[:, 0], targets[:, 0]
    parts = []
    for rows in _chunks(predictions):
        got, wanted = predictions[rows].astype(np.float64), targets[rows].astype(np.float64)
        found = np.stack([ssim(got, wanted), edge_preservation(got, wanted)], axis=1)
        known = np.isfinite(found)
        squared = np.square(got - wanted).sum(axis=(1, 2))[:, None]
        pixels = np.full_like(squared, wanted[0].size)
        parts.append(np.hstack([squared, pixels, np.where(known, found, 0.0), known]))
    statistics = np.concatenate(parts)
    return {
        "psnr": (statistics, lambda sums: -10.0 * np.log10(sums[..., 0] / sums[..., 1])),
        "ssim": (statistics, lambda sums: sums[..., 2] / sums[..., 4]),
        "epi": (statistics, lambda sums: sums[..., 3] / sums[..., 5]),
    }


def ssim(predictions: Floats, targets: Floats) -> Floats:
    """Return the structural similarity [N] of each pair of images [N, H, W]; NaN if too small."""
    if min(targets.shape[1:]) < SSIM_WINDOW:
        return np.full(len(targets), np.nan)
    weights = gaussian()
    mean_got, mean_wanted = _weighted(predictions, weights), _weighted(targets, weights)
    products = mean_got * mean_wanted
    squares = mean_got**2 + mean_wanted**2
    together = _weighted(predictions * targets, weights) - products
    apart = _weighted(predictions**2 + targets**2, weights) - squares
    found = (2 * products + SSIM_C1) * (2 * together + SSIM_C2)
    found /= (squares + SSIM_C1) * (apart + SSIM_C2)
    return np.asarray(found.mean(axis=(1, 2)))


def gaussian() -> Floats:
    """Return the weights [11] of SSIM's window along one axis, with the sum 1."""
    place = np.arange(SSIM_WINDOW) - (SSIM_WINDOW - 1) / 2
    weights = np.exp(-0.5 * (place / SSIM_SIGMA) ** 2)
    return np.asarray(weights / weights.sum())


def local_looks(predictions: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Return the ENL of predictions and targets in each window with a homogeneous target.

    A window in which either image is constant (clipped at a limit) is left out.

    Args:
        predictions: [N, H, W].
        targets: of the same shape.
    """
    if min(targets.shape[1:]) < ENL_WINDOW:
        return np.empty(0), np.empty(0)
    mean_got, variance_got = _local(predictions)
    mean_wanted, variance_wanted = _local(targets)
    kept = (
        (np.sqrt(variance_wanted) < ENL_VARIATION * mean_wanted)
        & (variance_wanted > _NO_VARIANCE)
        & (variance_got > _NO_VARIANCE)
    )
    return (
        mean_got[kept] ** 2 / variance_got[kept],
        mean_wanted[kept] ** 2 / variance_wanted[kept],
    )


def edge_preservation(predictions: Floats, targets: Floats) -> Floats:
    """Return the cosine [N] between the Sobel magnitudes of each pair of images [N, H, W].

    It is 0 if only the prediction has no edges, and NaN if the target has none.
    """
    got, wanted = _sobel(predictions), _sobel(targets)
    product = (got * wanted).sum(axis=(1, 2))
    squares = np.square(got).sum(axis=(1, 2)), np.square(wanted).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = product / np.sqrt(squares[0] * squares[1])
    cosine = np.where(squares[0] > _NO_VARIANCE, cosine, 0.0)
    return np.where(squares[1] > _NO_VARIANCE, cosine, np.nan)


def _mean(values: Floats) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else math.nan


def _chunks(images: NDArray[Any]) -> Iterator[slice]:
    step = max(1, _CHUNK // max(1, images[0].size))
    for start in range(0, len(images), step):
        yield slice(start, start + step)


def _weighted(images: Floats, weights: Floats) -> Floats:
    """Return sums of [N, H, W] under separable `weights`, whole windows only."""
    for axis in (1, 2):
        length = images.shape[axis] - len(weights) + 1
        parts = (
            weight * (images[:, at : at + length] if axis == 1 else images[:, :, at : at + length])
            for at, weight in enumerate(weights)
        )
        images = sum(parts, np.zeros(()))
    return images


def _local(images: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of [N, H, W] in each whole window of 15 pixels."""
    mean = _box(images)
    return mean, np.maximum(_box(np.square(images)) - np.square(mean), 0.0)


def _box(images: Floats) -> Floats:
    """Return means of [N, H, W] in windows of 15 pixels, from cumulative sums."""
    sums = np.pad(images, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2)
    far, near = slice(ENL_WINDOW, None), slice(None, -ENL_WINDOW)
    total = sums[:, far, far] - sums[:, near, far] - sums[:, far, near] + sums[:, near, near]
    return np.asarray(total / ENL_WINDOW**2)


def _sobel(images: Floats) -> Floats:
    """Return the Sobel magnitude of [N, H, W], without the border."""
    left, right = images[:, :, :-2], images[:, :, 2:]
    across = (right - left)[:, :-2] + 2 * (right - left)[:, 1:-1] + (right - left)[:, 2:]
    upper, lower = images[:, :-2], images[:, 2:]
    along = (lower - upper)[:, :, :-2] + 2 * (lower - upper)[:, :, 1:-1] + (lower - upper)[:, :, 2:]
    return np.hypot(across, along)
