"""Rooms and their decay curves, from any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FEATURES: Final = (
    *("Length", "Width", "Height"),
    *("Source_X", "Source_Y", "Source_Z"),
    *("Receiver_X", "Receiver_Y", "Receiver_Z"),
    *("f1", "f2", "f3", "f4", "f5", "f6", "f7"),
)
"""Lengths in m; f1 to f7 are the mean absorption (0 to 1) in the octaves 125 Hz to 8 kHz."""

LEAST_ROOMS: Final = 3
"""One each for training, validation and test."""

SIZE: Final = 3
"""Number of leading features that give the size of the room."""

GEOMETRY: Final = 9
"""Number of leading features that give size and positions; the rest describe materials."""


@dataclass(frozen=True)
class RoomSet:
    """Features and decay curves in rows.

    Attributes:
        features: [N, 16] float32, in the order of `FEATURES`.
        curves: [N, T] float32, linear energy.
        rooms: [N] int64, room of each row: 0, 1, ... without gaps.
        rate_hz: samples per second.
    """

    features: NDArray[np.float32]
    curves: NDArray[np.float32]
    rooms: NDArray[np.int64]
    rate_hz: float

    def __len__(self) -> int:
        return len(self.curves)

    def checked(self, source: str) -> RoomSet:
        """Validate the set and return it.

        Args:
            source: name of the source in messages.

        Raises:
            ValueError: the numbers of rows differ, a value is not finite, or the curves are not
                linear energy.
        """
        rows = len(self.curves)
        if self.curves.ndim != 2 or self.curves.shape[1] < 2 or rows == 0:
            raise ValueError(
                f"{source}: curves must be an array [curves, samples] with two samples or more"
                f" (found shape {self.curves.shape})."
            )
        if not len(self.features) == len(self.rooms) == rows:
            raise ValueError(
                f"{source}: features and curves must have equally many rows (found "
                f"{len(self.features):,} and {rows:,})."
            )
        for name, values in (("features", self.features), ("curves", self.curves)):
            bad = np.flatnonzero([not np.isfinite(row).all() for row in values])
            if bad.size:
                raise ValueError(
                    f"{source}: {name} must be finite ({bad.size:,} of {rows:,} rows are not, "
                    f"first row {bad[0]}, from 0)."
                )
        wrong = np.flatnonzero(self.curves[:, 0] <= 0)
        if wrong.size:
            raise ValueError(
                f"{source}: curves must be linear energy that starts above 0, near 1 (row "
                f"{wrong[0]}, from 0, starts at {self.curves[wrong[0], 0]:.4g}). Are they in "
                "dB?"
            )
        return self


def room_codes(names: Sequence[Any] | None, features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of each row's room: 0, 1, ... in order of first appearance.

    Rows with the same name are one room. If there are no names, or each row has a different one
    (so they name rows), rows with the same size are one room; if there are too few sizes to split
    (one room, measured at many positions), rows with the same positions.

    Args:
        names: [N] identifiers, or None.
        features: [N, 16].
    """
    keys: list[Any] = [] if names is None else list(names)
    if len(set(keys)) in (0, len(features)):
        keys = [tuple(row) for row in features[:, :SIZE].tolist()]
        if len(set(keys)) < LEAST_ROOMS:
            keys = [tuple(row) for row in features[:, :GEOMETRY].tolist()]
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
