"""Room-acoustic parameters of many energy decay curves at once.

An energy decay curve E(t) is the energy that arrives after t (Schroeder's backward
integral of the squared impulse response); L(t) = 10·log10(E(t)/E₀) is its level in dB.

========== ==== ==========================================================================
edt_s      s    6 · t(−10 dB): early decay time, from the first 10 dB
t20_s      s    3 · (t(−25 dB) − t(−5 dB)): reverberation time from the fall of 20 dB
c50_db     dB   10·log10((1 − e)/e), e = E(50 ms)/E₀: clarity of ISO 3382-1, early energy
                over late energy; the curve must begin at the direct sound
c50_edcsum dB   10·log10(Σ E before 50 ms / Σ E from 50 ms on): the ratio that the original
                EDC programs call C50. It sums the curve, not the energy: another quantity
========== ==== ==========================================================================

The original EDC programs report t(−10 dB) itself as EDT, a sixth of the value here: keep this in
mind when you compare results with published ones.

t(−x dB) is the first time at which the level is at or below −x dB, interpolated linearly in dB
between two samples, so that an exponential decay is exact at any rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARLY_S: Final = 0.05
PARAMETERS: Final = ("edt_s", "t20_s", "c50_db", "c50_edcsum_db")

# A sample at or below zero has no level; it counts as this share of E₀ (−120 dB).
_FLOOR: Final = 1e-12
_CHUNK: Final = 1 << 22  # samples processed together: 4 MiB of comparisons

Floats = NDArray[np.float64]


def decay_parameters(
    curves: NDArray[Any], rate_hz: float, *, reference: ArrayLike | None = None
) -> dict[str, Floats]:
    """Return EDT, T20 and both C50 of every curve.

    Curves may be noisy, rise, exceed 1 or go below zero, as predictions do. Undefined quantities
    are NaN: times at levels that a curve never reaches or is already below at its first sample,
    clarity whose early or late energy is not above zero, and everything for a curve with a value
    that is not finite.

    Args:
        curves: [N, T] (or [..., T], then N is the product of the leading lengths) linear energy,
            real, T ≥ 2, first sample at t = 0. It is read in chunks of rows and not copied, so it
            may be a memory-mapped file.
        rate_hz: samples per second, above 0.
        reference: E₀ of each curve, a number or [N]; by default the curve's first sample. For a
            prediction, use its *target's* first sample: then a level error counts, and one noisy
            first sample does not shift the whole curve.

    Returns:
        float64 arrays [N] with the names in `PARAMETERS`.

    Raises:
        ValueError: `curves` has fewer than two axes or samples or is not real, or `rate_hz` is not
            positive.
    """
    rate_hz = _checked_rate(rate_hz)
    curves = _checked_curves(curves)
    count, length = curves.shape
    if reference is None:
        zero = curves[:, 0].astype(np.float64)
    else:
        zero = np.broadcast_to(np.asarray(reference, dtype=np.float64).reshape(-1), (count,))
    found = {name: np.empty(count) for name in PARAMETERS}
    with np.errstate(all="ignore"):  # undefined values become NaN
        for rows in chunks(count, length):
            for name, values in _of_chunk(curves[rows], zero[rows], rate_hz).items():
                found[name][rows] = values
    return found


def chunks(count: int, length: int) -> Iterator[slice]:
    """Yield slices of `count` rows of `length` samples: bounded size, at least one row."""
    step = max(1, _CHUNK // max(1, length))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _of_chunk(curves: NDArray[Any], zero: Floats, rate_hz: float) -> dict[str, Floats]:
    five, ten, twenty_five = (_crossing(curves, zero, level) for level in (5.0, 10.0, 25.0))
    early_samples = min(curves.shape[1], int(EARLY_S * rate_hz + 1e-9))
    early = curves[:, :early_samples].sum(axis=1, dtype=np.float64)
    late = curves[:, early_samples:].sum(axis=1, dtype=np.float64)
    share = _at(curves, EARLY_S * rate_hz) / zero
    found = {
        "edt_s": 6.0 * ten / rate_hz,
        "t20_s": 3.0 * (twenty_five - five) / rate_hz,
        # Separate logarithms: the ratio overflows if almost no energy is late.
        "c50_db": 10.0 * (np.log10(1.0 - share) - np.log10(share)),
        "c50_edcsum_db": 10.0 * (np.log10(early) - np.log10(late)),
    }
    # The sums include every sample: one that is not finite makes the whole curve undefined.
    usable = np.isfinite(early + late) & np.isfinite(zero) & (zero > 0)
    return {
        name: np.where(usable & np.isfinite(values), values, np.nan)
        for name, values in found.items()
    }


def _crossing(curves: NDArray[Any], zero: Floats, level_db: float) -> Floats:
    """Return the first sample at which each curve is at or below −`level_db`; NaN if never."""
    threshold = zero * 10.0 ** (-level_db / 10.0)
    row = np.arange(len(curves))
    at = np.argmax(curves <= threshold[:, None], axis=1)
    before = np.maximum(at - 1, 0)
    here = curves[row, at].astype(np.float64)
    reached = here <= threshold
    lower = _level_db(here, zero)
    upper = _level_db(curves[row, before].astype(np.float64), zero)
    between = before + (upper + level_db) / (upper - lower)
    # The first sample has no predecessor: it is a crossing only at exactly this level.
    first = np.where(here >= threshold, 0.0, np.nan)
    return np.where(reached, np.where(at > 0, between, first), np.nan)


def _level_db(energy: Floats, zero: Floats) -> Floats:
    return np.asarray(10.0 * np.log10(np.maximum(energy / zero, _FLOOR)))


def _at(curves: NDArray[Any], place: float) -> Floats:
    """Return the value of each curve at the fractional sample `place`; NaN beyond its end."""
    left = math.floor(place + 1e-9)
    part = max(0.0, place - left)
    last = curves.shape[1] - 1
    if left > last or (left == last and part > 1e-6):
        return np.full(len(curves), np.nan)
    right = min(left + 1, last)
    here = curves[:, left].astype(np.float64)
    return np.asarray(here + part * (curves[:, right].astype(np.float64) - here))


def _checked_rate(rate_hz: float) -> float:
    try:
        rate = float(rate_hz)
    except (TypeError, ValueError):
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(
            f"rate_hz must be a number of samples per second above 0 (found {rate_hz!r})"
        )
    return rate


def _checked_curves(curves: NDArray[Any]) -> NDArray[Any]:
    if curves.dtype.kind not in "biuf":
        raise ValueError(f"decay curves must be real numbers (found {curves.dtype})")
    if curves.ndim < 2 or curves.shape[-1] < 2:
        raise ValueError(
            "decay curves must be an array [curves, samples] with at least two samples (found"
            f" shape {curves.shape})"
        )
    if curves.ndim > 2:
        curves = curves.reshape(-1, curves.shape[-1])
    return curves
