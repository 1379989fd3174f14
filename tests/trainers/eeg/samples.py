"""Small settings with which everything is tried in a fraction of a second."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from trainers.base import build
from trainers.eeg import synthetic
from trainers.eeg.config import PRESETS, Config
from trainers.eeg.windows import Windows

TINY: dict[str, Any] = {
    "subjects": 15,
    "windows_per_subject": 6,
    "channels": 5,
    "rate_hz": 64.0,
    "window_s": 1.0,
    "patch_s": 0.25,
    "width": 8,
    "layers": 1,
    "heads": 2,
    "summary_tokens": 2,
    "pretrain_epochs": 1,
    "hidden": 8,
    "batch_size": 8,
    "epochs": 3,
}


def tiny(**values: Any) -> Config:
    return build(Config, PRESETS, {**TINY, **values})


def made(subjects: int = 15, windows: int = 6, seed: int = 0) -> Windows:
    return synthetic.generate(
        subjects=subjects,
        windows_per_subject=windows,
        channels=5,
        rate_hz=64.0,
        window_s=1.0,
        seed=seed,
    )


def labelled(labels_of: list[list[int]]) -> Windows:
    """Return flat windows, one list of labels a subject."""
    labels = np.array([label for own in labels_of for label in own], dtype=np.int64)
    subjects = np.repeat(np.arange(len(labels_of)), [len(own) for own in labels_of])
    signals = np.zeros((len(labels), 1, 4), dtype=np.float32)
    return Windows(signals, labels, subjects, ("Cz",), 64.0)


def edf(samples: np.ndarray, names: list[str], rate_hz: int) -> bytes:
    """Return an EDF file of `samples` [C, T] in µV, T whole seconds (Kemp et al. 1992)."""
    channels, count = samples.shape
    seconds = count // rate_hz
    header = io.StringIO()
    header.write(f"{'0':<8}{'X X X X':<80}{'Startdate X X X X':<80}01.01.0000.00.00")
    header.write(f"{256 * (channels + 1):<8}{'':<44}{seconds:<8}{1:<8}{channels:<4}")
    for width, values in (
        (16, names),
        (80, [""] * channels),
        (8, ["uV"] * channels),
        (8, ["-3276.8"] * channels),
        (8, ["3276.7"] * channels),
        (8, ["-32768"] * channels),
        (8, ["32767"] * channels),
        (80, [""] * channels),
        (8, [str(rate_hz)] * channels),
        (32, [""] * channels),
    ):
        header.write("".join(f"{value:<{width}}" for value in values))
    digital = np.round(samples * 10).astype("<i2")
    records = digital.reshape(channels, seconds, rate_hz).swapaxes(0, 1)
    return header.getvalue().encode("ascii") + records.tobytes()
