"""Band powers: the features of the plain baseline."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.eeg.windows import Windows

BANDS_HZ: Final = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
SEGMENT_S: Final = 2.0
"""Length of the segments whose periodograms Welch's method averages."""

_LEAST: Final = 1e-12  # µV²/Hz: a flat channel has no logarithm


def band_powers(windows: Windows) -> NDArray[np.float32]:
    """Return log10 of the mean power density of each band and channel, [N, bands·C].

    Welch's method with Hann windows of two seconds that overlap by half. Bands beyond half the
    sampling rate are left out.

    Args:
        windows: N windows of C channels.
    """
    from scipy.signal import welch  # noqa: PLC0415  (a second to load, for the baseline alone)

    segment = min(windows.signals.shape[2], round(SEGMENT_S * windows.rate_hz))
    frequencies, density = welch(windows.signals, fs=windows.rate_hz, nperseg=segment, axis=2)
    found = []
    for low, high in BANDS_HZ.values():
        inside = (frequencies >= low) & (frequencies < high)
        if inside.any():
            power = density[:, :, inside].mean(axis=2)
            found.append(np.log10(np.maximum(power, _LEAST)))
    return np.concatenate(found, axis=1).astype(np.float32)
