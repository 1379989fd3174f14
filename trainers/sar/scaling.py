"""Scale intensities and levels to [0, 1] by fixed limits. Needs only numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

INVALID: Final = 1e-10
"""Intensity used for values that are not finite or not above 0 (−100 dB)."""

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """The levels that map to 0 and 1.

    Attributes:
        db_min: level that maps to 0, dB.
        db_max: level that maps to 1, dB; above `db_min`.
    """

    db_min: float
    db_max: float

    def __post_init__(self) -> None:
        if not self.db_max > self.db_min:
            raise ValueError(
                f"db_max: must be above db_min = {self.db_min:g} dB (found {self.db_max:g} dB)."
            )

    def scaled(self, values: NDArray[Any], unit: str) -> Images:
        """Return `values` scaled to [0, 1].

        Args:
            values: intensities or levels, of any shape.
            unit: ``"linear"`` intensity, ``"db"`` level, or ``"unit"`` for scaled values. Values
                that are not finite and intensities that are not above 0 become 0.
        """
        values = np.asarray(values, dtype=np.float32)
        if unit == "unit":
            return np.asarray(np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0), np.float32)
        if unit == "linear":
            usable = np.isfinite(values) & (values > INVALID)
            values = 10.0 * np.log10(np.where(usable, values, INVALID))
        else:
            values = np.nan_to_num(values, nan=self.db_min, posinf=self.db_min, neginf=self.db_min)
        share = (values - self.db_min) / (self.db_max - self.db_min)
        return np.clip(share, 0.0, 1.0).astype(np.float32)

    def intensity(self, scaled: NDArray[Any]) -> NDArray[np.float64]:
        """Return linear intensities for scaled values; clipping is not reversed."""
        level = self.db_min + np.asarray(scaled, np.float64) * (self.db_max - self.db_min)
        return np.asarray(10.0 ** (level / 10.0))
