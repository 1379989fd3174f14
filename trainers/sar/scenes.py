"""Simulated scenes: a reflectivity map with speckle.

The map has the features that make radar images hard to compress: fields with sharp edges, relief,
water, roads and bright points. Speckle is multiplicative: the mean of L independent looks at a
surface of many scatterers is gamma distributed with shape L and mean 1 (Goodman, 1976), so a
homogeneous field has an equivalent number of looks of L.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

VERSION: Final = 1
"""Increase it when the same arguments give another scene, so that caches are made again."""

MEAN_DB: Final = 19.5
"""Level in the middle of the scenes; within the default limits of the trainer."""

_FIELD_PX: Final = 28  # mean distance between fields
_FIELD_SPREAD_DB: Final = 1.6
_RELIEF_SPREAD_DB: Final = 0.7
_WATER_DB: Final = -4.5
_ROADS_PER_PX: Final = 1 / 64
_ROAD_DB: Final = -2.5
_POINTS_PER_PX2: Final = 1 / 1500

Floats = NDArray[np.float64]


def simulate(*, seed: int, number: int, size: int, looks: int) -> NDArray[np.float32]:
    """Return scene `number` as linear intensity [size, size], above 0.

    It depends only on its arguments, so a larger set begins with the smaller one.

    Args:
        seed: seed of all random numbers.
        number: number of the scene, from 0.
        size: height and width in pixels.
        looks: looks averaged in an intensity, from 1.
    """
    random = np.random.default_rng([seed, number, 0x5A2])
    intensity = 10.0 ** (reflectivity_db(random, size) / 10.0)
    speckle = random.gamma(looks, 1.0 / looks, (size, size))
    return (intensity * speckle).astype(np.float32)


def reflectivity_db(random: np.random.Generator, size: int) -> Floats:
    """Return the level [size, size] in dB of a scene without speckle."""
    level = MEAN_DB + _fields(random, size)
    level += _RELIEF_SPREAD_DB * _smooth_noise(random, size, slope=3.0)
    water = _smooth_noise(random, size, slope=4.0)
    share = random.uniform(0.0, 0.25)  # from a pond to a lake
    level = np.where(water < np.quantile(water, share), MEAN_DB + _WATER_DB, level)
    level = _with_roads(random, level)
    return 10.0 * np.log10(10.0 ** (level / 10.0) + _points(random, size))


def _fields(random: np.random.Generator, size: int) -> Floats:
    """Return a level for each pixel: that of the nearest of the scattered centers."""
    cells = size // _FIELD_PX + 3  # one center in each cell of a grid with a margin
    centre = (np.arange(cells) - 1)[:, None] + random.uniform(0, 1, (2, cells, cells))
    centre[1] = np.arange(cells)[None, :] - 1 + random.uniform(0, 1, (cells, cells))
    levels = random.normal(0.0, _FIELD_SPREAD_DB, (cells, cells))
    place = np.arange(size) / _FIELD_PX
    cell = place.astype(int) + 1
    nearest = np.full((size, size), np.inf)
    found = np.zeros((size, size))
    for down in (-1, 0, 1):  # the nearest center is in the pixel's cell or a neighbor
        for across in (-1, 0, 1):
            at = np.ix_(cell + down, cell + across)
            distance = (centre[0][at] - place[:, None]) ** 2 + (centre[1][at] - place) ** 2
            closer = distance < nearest
            nearest = np.where(closer, distance, nearest)
            found = np.where(closer, levels[at], found)
    return found


def _smooth_noise(random: np.random.Generator, size: int, slope: float) -> Floats:
    """Return noise [size, size], mean 0 and deviation 1, with power ~ frequency^−slope."""
    down, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(size, size))) * frequency ** (-slope / 2)
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray((noise - noise.mean()) / noise.std())


def _with_roads(random: np.random.Generator, level: Floats) -> Floats:
    size = len(level)
    down, across = np.mgrid[:size, :size]
    for _ in range(random.poisson(size * _ROADS_PER_PX)):
        angle = random.uniform(0, np.pi)
        through = random.uniform(0, size, 2)
        beside = (down - through[0]) * np.cos(angle) + (across - through[1]) * np.sin(angle)
        level = np.where(np.abs(beside) < random.uniform(0.8, 2.0), level + _ROAD_DB, level)
    return level


def _points(random: np.random.Generator, size: int) -> Floats:
    """Return the intensity of bright points, each spread over its neighbors."""
    count = random.poisson(size * size * _POINTS_PER_PX2)
    level = MEAN_DB + random.uniform(4.0, 10.0, count)
    points = np.zeros((size, size))
    np.add.at(points, tuple(random.integers(0, size, (2, count))), 10.0 ** (level / 10.0))
    spread = np.array([0.3, 1.0, 0.3])  # not normalised: the level is that of the peak
    for axis in (0, 1):
        points = sum(
            weight * np.roll(points, shift, axis)
            for shift, weight in zip((-1, 0, 1), spread, strict=True)
        )
    return points
