"""The data of a training run: windows from files or the generator, split by subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.base import Run
from trainers.cache import Arrays, cached
from trainers.eeg import files, synthetic
from trainers.eeg.config import Config
from trainers.eeg.windows import CHANNELS, Windows

VALIDATION_SHARE: Final = 0.2
TEST_SHARE: Final = 0.2
LEAST_FOLDS: Final = 3

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """The rows of training, validation and test; no subject is in two of them.

    Attributes:
        train: training rows.
        val: rows to select the best epoch.
        test: rows for the final evaluation.
    """

    train: Rows
    val: Rows
    test: Rows


def load(
    config: Config,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Windows:
    """Return all windows that `config` specifies.

    Args:
        config: path of the data, or number of synthetic people.
        progress: receives status messages.
        should_stop: checked while people are generated.

    Raises:
        ValueError: files are missing, unreadable or inconsistent.
        Interrupted: `should_stop` returned True.
    """
    if config.data_path is None:
        return _synthetic(config, progress, should_stop)
    path = Path(config.data_path)
    progress(f"reading {path}")
    if path.is_dir():
        return files.read_edf_folder(
            path,
            rate_hz=config.rate_hz,
            window_s=config.window_s,
            stride_s=config.stride_s,
            progress=progress,
        )
    return files.read_archive(path)


def _synthetic(
    config: Config, progress: Callable[[str], None], should_stop: Callable[[], bool]
) -> Windows:
    """Return synthetic EEG, generated once for all trials of a sweep."""
    settings: dict[str, Any] = {
        "subjects": config.subjects,
        "windows_per_subject": config.windows_per_subject,
        "channels": config.channels,
        "rate_hz": config.rate_hz,
        "window_s": config.window_s,
        "seed": config.data_seed,
    }

    def make() -> Arrays:
        made = synthetic.generate(**settings, progress=progress, should_stop=should_stop)
        return {"signals": made.signals, "labels": made.labels, "subjects": made.subjects}

    found = cached(
        "eeg-people",
        {**settings, "version": synthetic.VERSION},
        make,
        progress=progress,
        should_stop=should_stop,
    )
    channels = CHANNELS[: config.channels]
    return Windows(
        found["signals"], found["labels"], found["subjects"], channels, float(config.rate_hz)
    )


def make_folds(
    windows: Windows, *, folds: int, seed: int, data_fraction: float = 1.0
) -> list[Fold]:
    """Split windows by subject.

    With one fold, subjects are split 60 : 20 : 20 into training, validation and test. With k folds,
    they are split into k parts; fold i tests on part i, validates on part i + 1 and trains on the
    rest, so that each subject is tested once. Subjects with only one label (patients and controls)
    are spread evenly.

    `data_fraction` removes whole training subjects, because the number of subjects limits such a
    study and more windows of a known subject add little. Smaller fractions are subsets of larger
    ones; validation and test do not change. At least one subject is kept, and enough for both
    labels to be present.

    Args:
        windows: all windows.
        folds: 1, or from 3 up to the number of subjects.
        seed: seed of the split.
        data_fraction: share of the training subjects, in (0, 1].

    Raises:
        ValueError: there are too few subjects, or a part lacks a label.
    """
    if not 0 < data_fraction <= 1:
        raise ValueError(f"data_fraction: must be above 0 and at most 1 (found {data_fraction}).")
    names = np.unique(windows.subjects)
    least = LEAST_FOLDS if folds == 1 else folds
    if folds == LEAST_FOLDS - 1:
        raise ValueError(
            f"folds: must be 1, or {LEAST_FOLDS} or more for one part to test, one to validate and "
            f"others to train (found {folds})."
        )
    if len(names) < least:
        raise ValueError(f"subjects: folds = {folds} needs at least {least} (found {len(names)}).")
    order = _spread(windows, np.random.default_rng([seed, 0x5B117]).permutation(names))
    if folds == 1:
        val = max(1, round(VALIDATION_SHARE * len(order)))
        test = max(1, round(TEST_SHARE * len(order)))
        split = [(order[val + test :], order[:val], order[val : val + test])]
    else:
        parts = np.array_split(order, folds)
        split = []
        for index in range(folds):
            held = {index, (index + 1) % folds}
            train = np.concatenate([part for i, part in enumerate(parts) if i not in held])
            split.append((train, parts[(index + 1) % folds], parts[index]))
    return [
        Fold(
            train=_rows(windows, _kept(windows, train, data_fraction), "training"),
            val=_rows(windows, val_part, "validation"),
            test=_rows(windows, test_part, "test"),
        )
        for train, val_part, test_part in split
    ]


def _spread(windows: Windows, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `order` with the single-label subjects spread evenly along it."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for name in order:
        labels = tuple(np.unique(windows.labels[windows.subjects == name]).tolist())
        groups.setdefault(labels, []).append(int(name))
    placed = [
        ((rank + 0.5) / len(members), labels, name)
        for labels, members in sorted(groups.items())
        for rank, name in enumerate(members)
    ]
    return np.array([name for _, _, name in sorted(placed, key=lambda item: item[:2])])


def _kept(windows: Windows, train: NDArray[np.int64], data_fraction: float) -> NDArray[np.int64]:
    count = max(1, round(data_fraction * len(train)))
    while count < len(train) and len(np.unique(_labels(windows, train[:count]))) < 2:
        count += 1
    return train[:count]


def _labels(windows: Windows, names: NDArray[np.int64]) -> NDArray[np.int64]:
    return windows.labels[np.isin(windows.subjects, names)]


def _rows(windows: Windows, names: NDArray[np.int64], part: str) -> Rows:
    if len(np.unique(_labels(windows, names))) < 2:
        raise ValueError(
            f"{part}: needs windows of both labels (its {len(names)} subjects have only one). "
            "Take more subjects, fewer folds, or another data_seed."
        )
    return np.flatnonzero(np.isin(windows.subjects, names))


def save_folds(
    run: Run,
    part: str,
    probabilities: list[NDArray[np.float32]],
    windows: Windows,
    folds: list[Fold],
) -> None:
    """Save the probabilities of one part of every fold with their labels, grouped by subject.

    Args:
        run: receives the probabilities.
        part: ``"val"`` or ``"test"``.
        probabilities: probabilities of class 1, one array per fold.
        windows: all windows.
        folds: rows of each part; no window is in this part of two folds.
    """
    rows = np.concatenate([getattr(fold, part) for fold in folds])
    order = np.argsort(rows, kind="stable")
    found, rows = np.concatenate(probabilities)[order], rows[order]
    labels = windows.labels[rows].astype(np.float32)
    run.save_predictions(found, labels, split=part, groups=windows.subjects[rows])
