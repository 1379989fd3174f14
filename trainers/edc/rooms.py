"""Simulated rooms: seeded shoeboxes, their features and energy decay curves.

pyroomacoustics computes early reflections from image sources and the late decay from traced rays.
The curve is integrated from their energies, band by band, not from a sampled impulse response:
this is the same Schroeder integral without the noise carrier, in a tenth of the time (about 10 ms
per curve).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.cache import Interrupted
from trainers.edc.roomset import FEATURES, RoomSet

VERSION: Final = 1
"""Increase it when the same settings give other curves, so that caches are made again."""

BANDS_HZ: Final = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)

# Reverberation times are log-uniform, so that short and long decays are equally frequent.
# Absorption follows by Sabine's formula, within the range of real materials.
_REVERBERATION_S: Final = (0.12, 1.6)
_ABSORPTION: Final = (0.03, 0.85)
_SPEED_M_S: Final = 343.0
_IMAGE_ORDER: Final = 3
_RAYS: Final = 1000
_RECEIVER_RADIUS_M: Final = 0.5
_SCATTERING: Final = 0.1
_RAY_END: Final = 1e-6  # a ray is dropped at −60 dB
_BIN_S: Final = 0.002
_ENGINE_RATE_HZ: Final = 32_000  # all seven octaves are below half of it

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Room:
    """One shoebox with its source, receiver and materials.

    Attributes:
        size_m: length, width, height.
        source_m: position of the source.
        receiver_m: position of the receiver.
        absorption: [3, 7], floor, ceiling and walls in `BANDS_HZ`, 0 to 1.
    """

    size_m: Floats
    source_m: Floats
    receiver_m: Floats
    absorption: Floats

    @property
    def features(self) -> Floats:
        """The 16 features, in the order of `FEATURES`; absorption is the mean by area."""
        shares = _areas_m2(self.size_m) / _areas_m2(self.size_m).sum()
        return np.concatenate(
            [self.size_m, self.source_m, self.receiver_m, shares @ self.absorption]
        )


def simulate(
    *,
    rooms: int,
    cases: int,
    rate_hz: float,
    duration_s: float,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RoomSet:
    """Return the decay curves of `rooms` random rooms, each with `cases` materials and positions.

    Every curve depends only on seed, room and case, so a larger set begins with the smaller one.
    Sets the random generators of pyroomacoustics.

    Args:
        rooms: number of rooms, from 1.
        cases: curves per room, from 1.
        rate_hz: samples per second.
        duration_s: length of a curve in seconds.
        seed: seed of all random numbers.
        progress: receives the progress every few percent.
        should_stop: checked before each curve.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    points = round(rate_hz * duration_s)
    total = rooms * cases
    features = np.empty((total, len(FEATURES)), dtype=np.float32)
    curves = np.empty((total, points), dtype=np.float32)
    step = max(1, total // 40)
    for row in range(total):
        if should_stop():
            raise Interrupted
        if row % step == 0:
            progress(f"simulating rooms: {row:,} of {total:,} curves ({100 * row // total} %)")
        number, case = divmod(row, cases)
        room = draw_room(seed=seed, number=number, case=case)
        features[row] = room.features
        curves[row] = decay_curve(room, rate_hz, points, seed=(seed, number, case))
    progress(f"simulated {total:,} curves of {rooms:,} rooms")
    return RoomSet(features, curves, np.repeat(np.arange(rooms), cases), float(rate_hz))


def draw_room(*, seed: int, number: int, case: int) -> Room:
    """Return case `case` of room `number`; the size depends on the room, all else on the case."""
    of_room = np.random.default_rng([seed, number])
    of_case = np.random.default_rng([seed, number, case, 1])
    size = np.array([of_room.uniform(3, 12), of_room.uniform(2.5, 8), of_room.uniform(2.4, 4.5)])
    # Farther from walls than the receiver's radius, at the height of mouths and ears.
    low, high = np.array([0.6, 0.6, 1.0]), np.array([size[0] - 0.6, size[1] - 0.6, 1.8])
    source = of_case.uniform(low, high)
    while True:
        receiver = of_case.uniform(low, high)
        if np.linalg.norm(receiver - source) >= 0.8:
            break
    areas = _areas_m2(size)
    wanted_s = math.exp(of_case.uniform(*np.log(_REVERBERATION_S)))
    mean = 0.161 * size.prod() / (areas.sum() * wanted_s)
    tilt = 2.0 ** (of_case.uniform(-0.15, 0.25) * (np.arange(len(BANDS_HZ)) - 3))
    surfaces = np.exp(of_case.normal(0, 0.2, (3, 1))) * np.exp(of_case.normal(0, 0.08, (3, 7)))
    return Room(size, source, receiver, np.clip(mean * tilt * surfaces, *_ABSORPTION))


def decay_curve(room: Room, rate_hz: float, points: int, *, seed: tuple[int, ...]) -> Floats:
    """Return the energy decay curve of `room` from the arrival of the direct sound.

    Args:
        room: the room to simulate.
        rate_hz: samples per second.
        points: number of samples.
        seed: seed of the rays' scattering.

    Returns:
        [points], 1.0 at the direct sound, never rising, never below 0. Bands are weighted by
        their width, as in a broadband impulse response.
    """
    import pyroomacoustics as pra  # noqa: PLC0415  (takes 0.7 s and is not needed for real data)

    pra.random.seed(numpy=list(seed), libroom=_mixed(seed))
    floor, ceiling, walls = (
        pra.Material({"coeffs": row.tolist(), "center_freqs": list(BANDS_HZ)}, _SCATTERING)
        for row in room.absorption
    )
    materials = {"floor": floor, "ceiling": ceiling}
    materials |= dict.fromkeys(("north", "south", "east", "west"), walls)
    engine = pra.ShoeBox(
        room.size_m,
        fs=_ENGINE_RATE_HZ,
        materials=materials,
        max_order=_IMAGE_ORDER,
        air_absorption=True,
        ray_tracing=True,
    )
    direct_m = float(np.linalg.norm(room.source_m - room.receiver_m))
    engine.set_ray_tracing(
        n_rays=_RAYS,
        receiver_radius=_RECEIVER_RADIUS_M,
        energy_thres=_RAY_END,
        time_thres=points / rate_hz + direct_m / _SPEED_M_S + 2 * _BIN_S,
        hist_bin_size=_BIN_S,
    )
    engine.add_source(room.source_m)
    engine.add_microphone(room.receiver_m)
    engine.image_source_model()
    engine.ray_tracing()
    return _integrate(engine, room, direct_m, np.arange(points) / rate_hz)


def _integrate(engine: Any, room: Room, direct_m: float, time_s: Floats) -> Floats:
    """Return the energy that arrives at or after each of `time_s` (after the direct sound)."""
    bands = len(BANDS_HZ)
    weights = np.array(BANDS_HZ) / sum(BANDS_HZ)  # an octave is as wide as its centre is high
    air = np.asarray(engine.air_absorption)[:bands, None]  # 1/m, of energy

    source = engine.sources[0]
    path_m = np.linalg.norm(source.images - room.receiver_m[:, None], axis=0)
    amplitude = np.asarray(source.damping)[:bands] / path_m
    arriving = weights @ (amplitude**2 * np.exp(-air * path_m))
    order = np.argsort(path_m, kind="stable")
    later = np.append(np.cumsum(arriving[order][::-1])[::-1], 0.0)
    delay_s = (path_m[order] - direct_m) / _SPEED_M_S
    images = later[np.searchsorted(delay_s, time_s - 1e-9)]

    # A bin's energy is spread evenly over the bin, so its remainder falls linearly.
    rays = np.asarray(engine.rt_histograms[0][0][0], dtype=np.float64)[:bands]
    edges_s = np.arange(rays.shape[1] + 1) * _BIN_S
    middle_m = (edges_s[:-1] + _BIN_S / 2) * _SPEED_M_S
    energy = weights @ (rays * np.exp(-air * middle_m))
    rest = np.append(np.cumsum(energy[::-1])[::-1], 0.0)
    late = np.interp(time_s + direct_m / _SPEED_M_S, edges_s, rest)

    curve = images + late
    return np.asarray(np.minimum.accumulate(curve / curve[0]))


def _areas_m2(size_m: Floats) -> Floats:
    """Return the areas of floor, ceiling and the sum of all walls."""
    length, width, height = size_m
    return np.array([length * width, length * width, 2 * height * (length + width)])


def _mixed(seed: tuple[int, ...]) -> int:
    return int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0])
