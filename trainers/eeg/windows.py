"""Labelled windows of EEG from any source, and the known channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHANNELS: Final = (
    # The 19 of the 10-20 system, then Oz: the 20 of the published probe.
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4"),
    *("T5", "T6", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz", "Oz"),
    # Further positions of the 10-10 system, and the ears.
    *("Fpz", "AF3", "AF4", "AF7", "AF8", "F1", "F2", "F5", "F6", "FC1", "FC2", "FC3", "FC4"),
    *("FC5", "FC6", "FCz", "FT7", "FT8", "C1", "C2", "C5", "C6", "CP1", "CP2", "CP3", "CP4"),
    *("CP5", "CP6", "CPz", "TP7", "TP8", "P1", "P2", "P5", "P6", "PO3", "PO4", "PO7", "PO8"),
    *("POz", "A1", "A2"),
)
"""Known electrodes; the encoder's channel embedding is indexed by their position here."""

_NAMES: Final = {name.upper(): name for name in CHANNELS}
# The 10-10 system renamed four electrodes of the 10-20 system.
_NAMES.update({"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6", "M1": "A1", "M2": "A2"})


def electrode(name: str) -> str | None:
    """Return the electrode that a channel name denotes, or None if it is unknown.

    ``"EEG FP1-REF"``, ``"EEG Fp1"`` and ``"fp1."`` are all ``Fp1``; a bipolar ``"A2-A1"`` is None.
    """
    text = name.strip().upper().removeprefix("EEG").strip(" .")
    first, dash, reference = text.partition("-")
    if dash and reference.strip() not in ("REF", "LE", "AR", "AVG", "CZREF"):
        return None
    return _NAMES.get(first.strip(" ."))


@dataclass(frozen=True)
class Windows:
    """Windows of EEG with labels and subjects.

    Attributes:
        signals: [N, C, T] float32, µV.
        labels: [N] int64, 0 or 1.
        subjects: [N] int64; windows with the same number are of one person.
        channels: C names of `CHANNELS`.
        rate_hz: samples per second.
    """

    signals: NDArray[np.float32]
    labels: NDArray[np.int64]
    subjects: NDArray[np.int64]
    channels: tuple[str, ...]
    rate_hz: float

    def __len__(self) -> int:
        return len(self.labels)

    def checked(self, where: str) -> Windows:
        """Validate the windows and return self.

        Args:
            where: name of the data in messages.

        Raises:
            ValueError: something is invalid.
        """
        if self.signals.ndim != 3 or 0 in self.signals.shape:
            raise ValueError(
                f"{where}: signals must be [windows, channels, samples] and not empty (found "
                f"shape {self.signals.shape})."
            )
        count, channels, _ = self.signals.shape
        for name, values in (("labels", self.labels), ("subjects", self.subjects)):
            if values.shape != (count,):
                raise ValueError(
                    f"{where}: needs {count} {name}, one per window (found shape {values.shape})."
                )
        if len(self.channels) != channels:
            raise ValueError(
                f"{where}: needs one name per channel, {channels} (found {len(self.channels)})."
            )
        found = sorted({int(label) for label in self.labels})
        if found != [0, 1]:
            raise ValueError(
                f"{where}: labels must be 0 and 1, and both must occur (found {_few(found)})."
            )
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ValueError(f"{where}: the rate must be above 0 Hz (found {self.rate_hz}).")
        bad = int(np.count_nonzero(~np.isfinite(self.signals).all(axis=(1, 2))))
        if bad:
            raise ValueError(
                f"{where}: samples must be finite ({bad} of {count} windows have others). "
                "Leave those windows out."
            )
        return self


def _few(values: list[Any]) -> str:
    shown = ", ".join(map(str, values[:5]))
    return shown + (", …" if len(values) > 5 else "")
