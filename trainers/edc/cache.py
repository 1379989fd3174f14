"""Cache simulated rooms, so that a sweep simulates them once."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

from trainers.cache import Arrays, cached
from trainers.edc import rooms as simulator
from trainers.edc.roomset import RoomSet

Progress = Callable[[str], None]


def simulated(
    *,
    rooms: int,
    cases: int,
    rate_hz: float,
    duration_s: float,
    seed: int,
    progress: Progress = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RoomSet:
    """Return the result of `rooms.simulate`, from the cache if it is there.

    Args:
        rooms: number of rooms.
        cases: curves per room.
        rate_hz: samples per second.
        duration_s: length of a curve in seconds.
        seed: seed of all random numbers.
        progress: receives status messages.
        should_stop: checked while rooms are simulated or another process simulates them.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    settings: dict[str, Any] = {
        "rooms": rooms,
        "cases": cases,
        "rate_hz": float(rate_hz),
        "duration_s": float(duration_s),
        "seed": seed,
        "version": simulator.VERSION,
        "pyroomacoustics": metadata.version("pyroomacoustics"),
    }

    def make() -> Arrays:
        found = simulator.simulate(
            rooms=rooms,
            cases=cases,
            rate_hz=rate_hz,
            duration_s=duration_s,
            seed=seed,
            progress=progress,
            should_stop=should_stop,
        )
        return {"features": found.features, "curves": found.curves, "rooms": found.rooms}

    arrays = cached("edc-rooms", settings, make, progress=progress, should_stop=should_stop)
    found = RoomSet(arrays["features"], arrays["curves"], arrays["rooms"], float(rate_hz))
    return found.checked("simulated rooms")
