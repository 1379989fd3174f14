"""The simulator: deterministic, plausible rooms, simulated once."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.cache import Interrupted, cache_folder
from trainers.edc import cache, rooms
from trainers.edc.acoustics import decay_parameters
from trainers.edc.rooms import BANDS_HZ, Room, decay_curve, draw_room, simulate
from trainers.edc.roomset import FEATURES, RoomSet

SMALL: dict[str, Any] = {"rooms": 4, "cases": 2, "rate_hz": 500.0, "duration_s": 0.5, "seed": 3}


@pytest.fixture(scope="module")
def simulated() -> RoomSet:
    return simulate(rooms=20, cases=3, rate_hz=500.0, duration_s=2.0, seed=0)


def test_shapes_and_curves(simulated: RoomSet) -> None:
    assert simulated.features.shape == (60, 16)
    assert simulated.curves.shape == (60, 1000)
    assert simulated.rooms.tolist() == [room for room in range(20) for _ in range(3)]
    assert np.all(simulated.curves[:, 0] == 1)
    assert np.all(np.diff(simulated.curves, axis=1) <= 0)
    assert np.all(simulated.curves >= 0)


def test_features_say_what_they_are(simulated: RoomSet) -> None:
    named = dict(zip(FEATURES, simulated.features.T, strict=True))
    for axis, side in (("X", "Length"), ("Y", "Width"), ("Z", "Height")):
        for place in ("Source", "Receiver"):
            assert np.all((named[f"{place}_{axis}"] > 0.5) & (named[f"{place}_{axis}"] < 12))
            assert np.all(named[f"{place}_{axis}"] < named[side])
    absorption = simulated.features[:, 9:]
    assert np.all((absorption >= 0.03) & (absorption <= 0.85))
    sizes = simulated.features[:, :3]
    for room in range(20):  # cases share the room and nothing else
        rows = simulated.rooms == room
        assert len(np.unique(sizes[rows], axis=0)) == 1
        assert len(np.unique(simulated.features[rows], axis=0)) == 3


def test_reverberation_agrees_with_sabine_and_eyring(simulated: RoomSet) -> None:
    t20 = decay_parameters(simulated.curves, 500.0)["t20_s"]
    assert np.isfinite(t20).all()
    assert t20.min() < 0.2
    assert t20.max() > 0.8
    length, width, height = simulated.features[:, :3].T
    surface = 2 * (length * width + height * (length + width))
    # The curve weights octaves by their width.
    absorption = simulated.features[:, 9:] @ (np.array(BANDS_HZ) / sum(BANDS_HZ))
    sabine = 0.161 * length * width * height / (surface * absorption)
    eyring = 0.161 * length * width * height / (-surface * np.log(1 - absorption))
    assert np.corrcoef(np.log(t20), np.log(sabine))[0, 1] > 0.9
    assert 0.7 < np.median(t20 / eyring) < 1.4
    assert np.all(t20 < 2.5 * sabine)
    assert np.all(t20 > 0.3 * eyring)


def test_energy_of_images_and_rays_agrees_with_the_theory_of_diffuse_fields() -> None:
    """Direct energy over all energy: (1/d²) / (1/d² + 16π(1 − α)/(Sα)), air aside."""
    room = Room(
        np.array([6.0, 5.0, 3.0]),
        np.array([1.0, 1.0, 1.5]),
        np.array([4.0, 3.0, 1.5]),
        np.full((3, 7), 0.2),
    )
    shares = [decay_curve(room, 2000.0, 2000, seed=(seed,))[2] for seed in range(5)]
    direct, reverberant = 1 / 13.0, 16 * np.pi * 0.8 / (126 * 0.2)
    assert np.mean(shares) == pytest.approx(reverberant / (direct + reverberant), rel=0.05)


def test_more_absorption_decays_faster() -> None:
    room = draw_room(seed=0, number=1, case=0)
    t20 = []
    for absorption in (0.05, 0.15, 0.4):
        damped = Room(room.size_m, room.source_m, room.receiver_m, np.full((3, 7), absorption))
        curve = decay_curve(damped, 500.0, 1000, seed=(0,))
        t20.append(float(decay_parameters(curve[None], 500.0)["t20_s"][0]))
    assert t20[0] > 1.5 * t20[1] > 2.25 * t20[2]


def test_a_seed_gives_the_same_curves_and_another_seed_others() -> None:
    first, again = simulate(**SMALL), simulate(**SMALL)
    np.testing.assert_array_equal(first.curves, again.curves)
    np.testing.assert_array_equal(first.features, again.features)
    other = simulate(**{**SMALL, "seed": 4})
    assert np.abs(other.curves - first.curves).max() > 0.01


def test_a_larger_set_begins_with_the_smaller() -> None:
    small, large = simulate(**SMALL), simulate(**{**SMALL, "rooms": 6})
    np.testing.assert_array_equal(large.curves[: len(small)], small.curves)


def test_the_rate_samples_the_same_curve() -> None:
    slow, fast = simulate(**SMALL), simulate(**{**SMALL, "rate_hz": 4000.0})
    np.testing.assert_allclose(fast.curves[:, ::8], slow.curves, atol=1e-6)


def test_progress_is_told() -> None:
    told: list[str] = []
    simulate(**SMALL, progress=told.append)
    assert told[0] == "simulating rooms: 0 of 8 curves (0 %)"
    assert "simulating rooms: 4 of 8 curves (50 %)" in told
    assert told[-1] == "simulated 8 curves of 4 rooms"


# The cache.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    real = rooms.simulate

    def counted(**settings: Any) -> RoomSet:
        made.append(settings)
        return real(**settings)

    monkeypatch.setattr(rooms, "simulate", counted)
    return made


def test_the_same_settings_are_simulated_once(folder: Path, calls: list[Any]) -> None:
    first, again = cache.simulated(**SMALL), cache.simulated(**SMALL)
    assert len(calls) == 1
    np.testing.assert_array_equal(first.curves, again.curves)
    np.testing.assert_array_equal(first.features, again.features)
    np.testing.assert_array_equal(first.rooms, again.rooms)
    assert again.rate_hz == 500.0
    assert [path.suffix for path in sorted(folder.iterdir())] == [".lock", ".npz"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("rooms", 5), ("cases", 1), ("rate_hz", 400.0), ("duration_s", 0.4), ("seed", 9)],
)
def test_every_setting_has_a_file_of_its_own(
    folder: Path, calls: list[Any], name: str, value: float
) -> None:
    cache.simulated(**SMALL)
    cache.simulated(**{**SMALL, name: value})
    assert len(calls) == 2


def test_another_version_is_simulated_anew(
    folder: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.simulated(**SMALL)
    monkeypatch.setattr(rooms, "VERSION", rooms.VERSION + 1)
    cache.simulated(**SMALL)
    assert len(calls) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "pickled"])
def test_a_damaged_file_is_made_anew(folder: Path, calls: list[Any], damage: str) -> None:
    first = cache.simulated(**SMALL)
    path = next(folder.glob("*.npz"))
    content = bytearray(path.read_bytes())
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(bytes(content[: len(content) // 2]))
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(bytes(content))
    elif damage == "text":
        path.write_text("not an archive")
    else:
        np.savez(path, curves=np.array([None]), allow_pickle=True)
    again = cache.simulated(**SMALL)
    assert len(calls) == 2
    np.testing.assert_array_equal(again.curves, first.curves)
    cache.simulated(**SMALL)
    assert len(calls) == 2


def test_what_a_killed_writer_left_is_cleared(folder: Path, calls: list[Any]) -> None:
    cache.simulated(**SMALL)
    path = next(folder.glob("*.npz"))
    path.unlink()
    left = folder / f".{path.name}.0123"
    left.write_bytes(b"half")
    cache.simulated(**SMALL)
    assert not left.exists()
    assert path.exists()


def test_a_folder_that_cannot_be_made_costs_only_the_cache(
    tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "file" / "cache"))
    told: list[str] = []
    assert len(cache.simulated(**SMALL, progress=told.append)) == 8
    assert "edc-rooms is not kept" in told[0]


def test_a_stop_is_obeyed_between_two_curves(folder: Path) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Interrupted):
        cache.simulated(**SMALL, should_stop=lambda: next(asked))
    assert not list(folder.glob("*.npz"))


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SWEEP_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "sweep"
    monkeypatch.setenv("SWEEP_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"


def _simulate_and_say(results: Any) -> None:
    told: list[str] = []
    found = cache.simulated(**{**SMALL, "rooms": 12}, progress=told.append)
    results.put((any(text.startswith("simulated") for text in told), float(found.curves.sum())))


@pytest.mark.slow
def test_of_two_processes_at_once_one_simulates(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    pair = [context.Process(target=_simulate_and_say, args=(results,)) for _ in range(2)]
    for process in pair:
        process.start()
    told = [results.get(timeout=120) for _ in pair]
    for process in pair:
        process.join(timeout=60)
    assert sorted(simulated for simulated, _ in told) == [False, True]
    assert told[0][1] == told[1][1]
