"""The patches of a training run: images from files or the simulator, split by place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.cache import Interrupted, cached
from trainers.sar.config import Config
from trainers.sar.files import Image, read_images
from trainers.sar.metrics import SSIM_WINDOW
from trainers.sar.scaling import Images, Limits
from trainers.sar.scenes import VERSION, simulate

VALIDATION_SHARE: Final = 0.15
TEST_SHARE: Final = 0.15
MULTIPLE: Final = 16
LEAST_PLACES: Final = 3
"""One each for training, validation and test."""

BLOCK: Final = 2
"""Tiles of height and width of a block: neighboring tiles of one place resemble each other."""

RESIDENT_BYTES: Final = 1 << 30
"""Patches up to this size are scaled once and kept in memory; more are read on demand."""

Tiles = NDArray[np.int64]


class Patches:
    """Square patches of one split, scaled to [0, 1].

    Args:
        images: all images.
        tiles: [N, 3]: image, first row, first column.
        size: height and width of a patch.
        limits: the levels that map to 0 and 1.
        by_place: whether patches of one place are a group; else those of one block of it are.
    """

    def __init__(
        self,
        images: Sequence[Image],
        tiles: Tiles,
        size: int,
        limits: Limits,
        *,
        by_place: bool = True,
    ) -> None:
        self.images = images
        self.tiles = tiles
        self.by_place = by_place
        self.size = size
        self.limits = limits
        self.resident = self.nbytes <= RESIDENT_BYTES
        self._kept = self._read(range(len(self))) if self.resident else None

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def groups(self) -> NDArray[np.intp]:
        """Return the number of the place, or of the block of a place, of each patch: [N]."""
        places = [image.place for image in self.images]
        _, place_of = np.unique(places, return_inverse=True)
        keys = np.zeros_like(self.tiles) if self.by_place else self.tiles // (BLOCK * self.size)
        keys[:, 0] = place_of[self.tiles[:, 0]]
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def nbytes(self) -> int:
        """Bytes of all patches in memory."""
        return len(self.tiles) * self.size**2 * 4

    def sample(self, count: int) -> Patches:
        """Return at most `count` patches, evenly spread and always the same."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)
        tiles = self.tiles[rows]
        return Patches(self.images, tiles, self.size, self.limits, by_place=self.by_place)

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> Images:
        """Return patches [n, size, size] for row numbers."""
        return self._read(rows) if self._kept is None else self._kept[np.asarray(rows)]

    def _read(self, rows: Sequence[int] | NDArray[np.int64]) -> Images:
        found = np.empty((len(rows), self.size, self.size), dtype=np.float32)
        for place, row in enumerate(rows):
            image, top, left = self.tiles[row]
            source = self.images[image]
            found[place] = self.limits.scaled(
                source.window(int(top), int(left), self.size), source.unit
            )
        return found


@dataclass(frozen=True)
class SarData:
    """The three splits, none empty.

    Attributes:
        train: training patches.
        val: patches to select the best epoch.
        test: patches for the final evaluation.
        split_by: ``"place"``, or ``"region"`` if there are too few places.
        places: number of places.
    """

    train: Patches
    val: Patches
    test: Patches
    split_by: str
    places: int


def load(
    config: Config,
    *,
    data_fraction: float,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SarData:
    """Return the data that `config` specifies.

    Args:
        config: path of the images, or number of scenes to simulate.
        data_fraction: share of the training patches to use, in (0, 1].
        progress: receives status messages.
        should_stop: checked while scenes are simulated.

    Raises:
        ValueError: files are missing, unreadable, too small or too few.
        Interrupted: `should_stop` returned True.
    """
    size = config.patch_size
    if size % MULTIPLE or size < SSIM_WINDOW:
        raise ValueError(f"patch_size: must be a multiple of {MULTIPLE} (found {size}).")
    limits = Limits(config.db_min, config.db_max)
    if config.data_path is None:
        images = _simulated(config, progress, should_stop)
    else:
        progress(f"reading {config.data_path}")
        images = read_images(Path(config.data_path), config.data_scale)
    groups, split_by = grouped(images, size, seed=config.data_seed)
    # Smaller fractions are subsets of larger ones: all take the first patches of one order.
    order = np.random.default_rng([config.data_seed, 0xF8AC]).permutation(len(groups[0]))
    kept = np.sort(order[: max(1, round(data_fraction * len(order)))])
    progress(f"scaling {len(kept) + len(groups[1]) + len(groups[2]):,} patches")
    train, val, test = (
        Patches(images, tiles, size, limits, by_place=split_by == "place")
        for tiles in (groups[0][kept], groups[1], groups[2])
    )
    return SarData(train, val, test, split_by, len({image.place for image in images}))


def grouped(
    images: Sequence[Image], size: int, *, seed: int
) -> tuple[tuple[Tiles, Tiles, Tiles], str]:
    """Return training, validation and test tiles, about 70 : 15 : 15, and the kind of split.

    No place is in two splits. If there are fewer than three places, each is cut across its longer
    side into three regions that share no pixel; images of one place, such as polarizations, are
    cut alike.

    Args:
        images: all images.
        size: height and width of a patch; patches do not overlap.
        seed: seed of the split.

    Raises:
        ValueError: a split would be empty.
    """
    random = np.random.default_rng([seed, 0x5A1])
    tiles = [_tiles(number, image.shape, size) for number, image in enumerate(images)]
    members: dict[str, list[int]] = {}
    for number, image in enumerate(images):
        if len(tiles[number]):
            members.setdefault(image.place, []).append(number)
    parts: list[list[Tiles]] = [[], [], []]
    if len(members) >= LEAST_PLACES:
        names = random.permutation(sorted(members))
        for split, chosen in enumerate(_shares(list(names))):
            parts[split] += [tiles[number] for name in chosen for number in members[name]]
        split_by = "place"
    else:
        for name in sorted(members):
            backwards = bool(random.integers(2))
            for number in members[name]:
                for split, found in enumerate(_regions(tiles[number], backwards)):
                    parts[split].append(found)
        split_by = "region"
    train, val, test = (
        np.concatenate(found) if found else np.empty((0, 3), np.int64) for found in parts
    )
    if not (len(train) and len(val) and len(test)):
        largest = max((image.shape for image in images), default=(0, 0))
        raise ValueError(
            f"patch_size: must leave patches for training, validation and test ({size} px "
            f"leaves {len(train)}, {len(val)} and {len(test)} of {len(images)} image(s), the "
            f"largest {largest[0]} × {largest[1]} px). Take a smaller one or more images."
        )
    return (train, val, test), split_by


def _simulated(
    config: Config, progress: Callable[[str], None], should_stop: Callable[[], bool]
) -> list[Image]:
    """Return the simulated scenes, simulated once for all trials of a sweep."""
    count, size = config.scenes, config.scene_size
    step = max(1, count // 20)

    def make() -> dict[str, NDArray[np.float32]]:
        found = np.empty((count, size, size), dtype=np.float32)
        for number in range(count):
            if should_stop():
                raise Interrupted
            if number % step == 0:
                progress(f"simulating scenes: {number:,} of {count:,}")
            found[number] = simulate(
                seed=config.data_seed, number=number, size=size, looks=config.looks
            )
        return {"scenes": found}

    settings = {
        "scenes": count,
        "size": size,
        "looks": config.looks,
        "seed": config.data_seed,
        "version": VERSION,
    }
    scenes = cached("sar-scenes", settings, make, progress=progress, should_stop=should_stop)
    return [
        Image(scene, (size, size), "linear", f"scene {number:06}")
        for number, scene in enumerate(scenes["scenes"])
    ]


def _tiles(number: int, shape: tuple[int, int], size: int) -> Tiles:
    """Return the adjacent tiles [N, 3] of an image, without remainders at its edges."""
    down = np.arange(shape[0] // size) * size
    across = np.arange(shape[1] // size) * size
    rows, columns = np.meshgrid(down, across, indexing="ij")
    return np.stack([np.full(rows.size, number), rows.ravel(), columns.ravel()], axis=1)


def _shares(items: list[str]) -> tuple[list[str], list[str], list[str]]:
    validation = max(1, round(VALIDATION_SHARE * len(items)))
    test = max(1, round(TEST_SHARE * len(items)))
    return (
        items[validation + test :],
        items[:validation],
        items[validation : validation + test],
    )


def _regions(tiles: Tiles, backwards: bool) -> tuple[Tiles, Tiles, Tiles]:
    """Return the tiles of three strips of one image, across its longer side."""
    lines = [np.unique(tiles[:, axis]) for axis in (1, 2)]
    axis = 1 if len(lines[0]) > len(lines[1]) else 2
    order = lines[axis - 1][::-1] if backwards else lines[axis - 1]
    if len(order) < LEAST_PLACES:
        return tiles, tiles[:0], tiles[:0]
    strips = _shares([str(line) for line in order])
    train, val, test = (tiles[np.isin(tiles[:, axis], np.array(s, dtype=np.int64))] for s in strips)
    return train, val, test
