"""The data of a training run: rooms from files or the simulator, split by room, and scaling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from trainers.edc.acoustics import chunks
from trainers.edc.cache import simulated
from trainers.edc.files import read_curves
from trainers.edc.roomset import LEAST_ROOMS, RoomSet

VALIDATION_SHARE: Final = 0.2
TEST_SHARE: Final = 0.2

Curves = NDArray[np.float32]
Floats = NDArray[np.float64]


class DataConfig(Protocol):
    """The values of the trainer's config that `load` reads."""

    @property
    def data_path(self) -> str | None:
        """An .npz of curves or a folder of RIR_*_edc.npy; None simulates rooms."""

    @property
    def features_path(self) -> str | None:
        """CSV of room features; None searches next to the curves."""

    @property
    def rooms(self) -> int:
        """Number of simulated rooms."""

    @property
    def cases_per_room(self) -> int:
        """Curves per simulated room."""

    @property
    def rate_hz(self) -> float:
        """Samples per second, if the files do not give it."""

    @property
    def duration_s(self) -> float:
        """Length of a curve in seconds."""

    @property
    def max_samples(self) -> int | None:
        """Maximum number of curves; None takes all."""


@dataclass(frozen=True)
class EdcData:
    """Features [n, 16] and linear curves [n, T] of the three splits, float32, none empty.

    Attributes:
        rate_hz: samples per second of the curves; the files take precedence over the config.
        rooms: split → room of each row [n]: rows of one room are related.
    """

    train_features: Curves
    train_curves: Curves
    val_features: Curves
    val_curves: Curves
    test_features: Curves
    test_curves: Curves
    rate_hz: float
    rooms: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def load(
    config: DataConfig,
    *,
    seed: int,
    data_fraction: float,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> EdcData:
    """Return the data that `config` specifies.

    Args:
        config: path of the curves, or number of rooms to simulate.
        seed: seed of simulation and split; the same for all trials of a sweep, so that they are
            evaluated on the same rooms.
        data_fraction: share of the training rooms to use, in (0, 1].
        progress: receives status messages.
        should_stop: checked while rooms are simulated.

    Raises:
        ValueError: files are missing, unreadable or inconsistent, or there are fewer than three
            rooms.
        Interrupted: `should_stop` returned True.
    """
    if config.data_path is None:
        data = simulated(
            rooms=config.rooms,
            cases=config.cases_per_room,
            rate_hz=config.rate_hz,
            duration_s=config.duration_s,
            seed=seed,
            progress=progress,
            should_stop=should_stop,
        )
    else:
        progress(f"reading {config.data_path}")
        data = read_curves(
            Path(config.data_path),
            None if config.features_path is None else Path(config.features_path),
            rate_hz=config.rate_hz,
            duration_s=config.duration_s,
        )
    return split_rooms(data, seed=seed, data_fraction=data_fraction, max_samples=config.max_samples)


def split_rooms(
    data: RoomSet, *, seed: int, data_fraction: float = 1.0, max_samples: int | None = None
) -> EdcData:
    """Return training, validation and test data in the ratio 60 : 20 : 20, by room.

    No room is in two splits, because its curves are similar and a row of a known room would be an
    easy test. `data_fraction` does not change validation and test; smaller fractions are subsets
    of larger ones.

    Args:
        data: all rows.
        seed: seed of the split.
        data_fraction: share of the training rooms, in (0, 1]; at least one room is kept.
        max_samples: maximum number of rows in all splits, taken room by room; if three rooms
            already have more, only the first rows of three rooms.

    Raises:
        ValueError: there are fewer than three rooms, or a number is out of range.
    """
    if not 0 < data_fraction <= 1:
        raise ValueError(f"data_fraction: must be above 0 and at most 1 (found {data_fraction}).")
    if max_samples is not None and max_samples < LEAST_ROOMS:
        raise ValueError(f"max_samples: must be at least {LEAST_ROOMS} (found {max_samples}).")
    codes = np.unique(data.rooms)
    if len(codes) < LEAST_ROOMS:
        raise ValueError(
            f"rooms: at least {LEAST_ROOMS} are needed, one each for training, validation and "
            f"test (found {len(codes)})."
        )
    order = np.random.default_rng([seed, 0x5B117]).permutation(codes)
    rows_of = _limited({code: np.flatnonzero(data.rooms == code) for code in order}, max_samples)
    names = list(rows_of)
    validation = max(1, round(VALIDATION_SHARE * len(names)))
    test = max(1, round(TEST_SHARE * len(names)))
    training = names[validation + test :]
    kept = training[: max(1, round(data_fraction * len(training)))]
    parts: dict[str, Any] = {}
    rooms: dict[str, NDArray[np.int64]] = {}
    for split, chosen in (
        ("train", kept),
        ("val", names[:validation]),
        ("test", names[validation : validation + test]),
    ):
        rows = np.sort(np.concatenate([rows_of[name] for name in chosen]))
        parts[f"{split}_features"] = data.features[rows]
        parts[f"{split}_curves"] = data.curves[rows]
        rooms[split] = data.rooms[rows]
    return EdcData(**parts, rate_hz=data.rate_hz, rooms=rooms)


def _limited(
    rows_of: dict[int, NDArray[np.intp]], max_samples: int | None
) -> dict[int, NDArray[np.intp]]:
    """Return the first rooms with at most `max_samples` rows in total."""
    if max_samples is None:
        return rows_of
    kept: dict[int, NDArray[np.intp]] = {}
    taken = 0
    for name, rows in rows_of.items():
        if taken + len(rows) > max_samples:
            break
        kept[name] = rows
        taken += len(rows)
    if len(kept) >= LEAST_ROOMS:
        return kept
    few = list(rows_of.items())[:LEAST_ROOMS]
    return {name: rows[: max_samples // LEAST_ROOMS] for name, rows in few}


@dataclass(frozen=True)
class Scaler:
    """An affine map per column, fitted on training data.

    Attributes:
        offset: [F], subtracted first.
        scale: [F], divisor, above 0.
    """

    offset: Floats
    scale: Floats

    @classmethod
    def fit(cls, values: NDArray[Any], kind: str = "standard", *, floor: float = 1e-3) -> Scaler:
        """Return a scaler for the columns of `values`.

        Columns are scaled separately, as in scikit-learn, but none by less than `floor` times the
        greatest scale: the end of a decay curve varies by a millionth of its beginning, and hardly
        at all in a training set of few rooms. Divided by that, an ordinary curve of another room
        would reach millions. A constant column maps to 0.

        Args:
            values: [N, F], N ≥ 1.
            kind: ``"standard"`` (mean 0, standard deviation 1), ``"minmax"`` (0 to 1) or
                ``"none"`` (unchanged).
            floor: minimum scale as a share of the greatest.

        Raises:
            ValueError: `kind` is unknown or there is no row.
        """
        if len(values) == 0:
            raise ValueError("scaler: there are no rows to fit.")
        columns = values.shape[1]
        if kind == "standard":
            offset = values.mean(axis=0, dtype=np.float64)
            squares = np.zeros(columns)
            for rows in chunks(len(values), columns):
                squares += np.square(values[rows] - offset).sum(axis=0)
            scale = np.sqrt(squares / len(values))
        elif kind == "minmax":
            offset = values.min(axis=0).astype(np.float64)
            scale = values.max(axis=0) - offset
        elif kind == "none":
            return cls(np.zeros(columns), np.ones(columns))
        else:
            raise ValueError(f"scaler_type: must be standard, minmax or none (found {kind!r}).")
        # The mean of equal values may differ from them by rounding, which is not variation.
        rounding = 8 * np.finfo(np.float64).eps * np.abs(offset)
        scale = np.where(scale <= rounding, 0.0, scale)
        scale = np.maximum(scale, floor * scale.max())
        return cls(offset, np.where(scale > 0, scale, 1.0))

    def transform(self, values: NDArray[Any]) -> Floats:
        """Return scaled values [N, F] as float64."""
        return np.asarray((values - self.offset) / self.scale)

    def inverse(self, values: NDArray[Any]) -> Floats:
        """Return the unscaled values [N, F] as float64."""
        return np.asarray(values * self.scale + self.offset)
