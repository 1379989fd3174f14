"""Scaling, simulated scenes, files, and the split into patches."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tests.shared_data import shared_data
from trainers.base import build
from trainers.cache import Interrupted
from trainers.sar import data
from trainers.sar.config import PRESETS, Config
from trainers.sar.data import grouped, load
from trainers.sar.files import Image, read_images
from trainers.sar.metrics import local_looks
from trainers.sar.scaling import Limits
from trainers.sar.scenes import reflectivity_db, simulate

TINY = {"scenes": 8, "scene_size": 64, "patch_size": 32}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))


def config(**values: object) -> Config:
    return build(Config, PRESETS, {**TINY, **values})


# Scaling -----------------------------------------------------------------------------------------


def test_levels_become_shares_of_the_limits() -> None:
    limits = Limits(10.0, 30.0)
    found = limits.scaled(np.array([1.0, 10.0, 100.0, 1000.0, 1e9]), "linear")
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 1], atol=1e-6)
    np.testing.assert_allclose(limits.scaled(np.array([15.0, -3.0, 31.0]), "db"), [0.25, 0, 1])
    np.testing.assert_allclose(limits.scaled(np.array([0.3, 1.2]), "unit"), [0.3, 1.0])
    assert found.dtype == np.float32


@pytest.mark.parametrize("unit", ["linear", "db", "unit"])
def test_invalid_values_become_the_lower_limit(unit: str) -> None:
    bad = np.array([math.nan, -math.inf] + [0.0, -1.0] * (unit == "linear"))
    assert (Limits(-200.0 if unit == "db" else -30.0, 0.0).scaled(bad, unit) == 0).all()


@given(st.floats(-60, 60), st.floats(0.5, 80), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_an_intensity_within_the_limits_comes_back(low: float, span: float, share: float) -> None:
    limits = Limits(low, low + span)
    intensity = limits.intensity(np.array([share]))
    assert limits.scaled(intensity, "linear")[0] == pytest.approx(share, abs=1e-4)


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"db_max: must be above db_min = 5 dB \(found 5 dB\)"):
        Limits(5.0, 5.0)


# Simulated scenes --------------------------------------------------------------------------------


def test_a_scene_depends_on_its_arguments_alone() -> None:
    first = simulate(seed=1, number=2, size=64, looks=4)
    np.testing.assert_array_equal(first, simulate(seed=1, number=2, size=64, looks=4))
    for other in ({"seed": 2}, {"number": 3}, {"looks": 5}):
        values = {"seed": 1, "number": 2, "size": 64, "looks": 4, **other}
        assert not np.array_equal(first, simulate(**values))
    assert (first > 0).all()


@pytest.mark.parametrize("looks", [4, 16, 64])
def test_speckle_has_the_number_of_looks_asked_for(looks: int) -> None:
    size = 128
    scene = simulate(seed=0, number=0, size=size, looks=looks)
    clean = 10.0 ** (reflectivity_db(np.random.default_rng([0, 0, 0x5A2]), size) / 10.0)
    speckle = scene / clean
    assert speckle.mean() == pytest.approx(1.0, abs=0.01)
    assert speckle.mean() ** 2 / speckle.var() == pytest.approx(looks, rel=0.05)


def test_scenes_have_edges_and_lie_within_the_default_limits() -> None:
    scenes = np.stack([simulate(seed=0, number=n, size=128, looks=16) for n in range(4)])
    shares = Limits(Config.db_min, Config.db_max).scaled(scenes, "linear")
    assert np.mean((shares > 0) & (shares < 1)) > 0.8
    assert shares.std() > 0.15
    # Even fields are homogeneous, borders between them are not.
    windows = 4 * (128 - 14) ** 2
    found = len(local_looks(shares.astype(float), shares.astype(float))[1]) / windows
    assert 0.1 < found < 0.95


# Files -------------------------------------------------------------------------------------------


def places(images: list[Image]) -> list[str]:
    return [image.place for image in images]


def test_patches_of_one_place_are_known_by_their_names(tmp_path: Path) -> None:
    names = ["athens_003_012", "athens_004_001", "s1a_20200101", "oslo-patch7", "plain"]
    for name in names:
        np.save(tmp_path / f"{name}.npy", np.ones((20, 20), np.float32))
    assert places(read_images(tmp_path, "auto")) == ["athens", "athens", "oslo", "plain", "s1a"]


def test_a_folder_in_the_folder_is_a_place(tmp_path: Path) -> None:
    for place, name in (("rome", "a"), ("rome", "b"), ("oslo", "a")):
        (tmp_path / place).mkdir(exist_ok=True)
        np.save(tmp_path / place / f"{name}.npy", np.ones((20, 20)))
    assert places(read_images(tmp_path, "auto")) == ["oslo", "rome", "rome"]


def test_arrays_of_an_archive_are_images_of_one_place(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "spain.npz",
        vv_db=np.full((20, 30), -7.0),
        hh=np.ones((2, 20, 30)),
        resolution_m=np.array(10.0),
    )
    images = read_images(tmp_path / "spain.npz", "auto")
    assert places(images) == ["spain"] * 3
    assert [image.unit for image in images] == ["db", "linear", "linear"]
    assert [image.layer for image in images] == [None, 0, 1]
    assert all(image.window(4, 5, 6).shape == (6, 6) for image in images)
    assert {image.unit for image in read_images(tmp_path, "unit")} == {"unit"}


def test_a_window_of_a_file_is_the_window_of_the_array(tmp_path: Path) -> None:
    array = np.arange(3 * 20 * 30.0).reshape(3, 20, 30)
    np.save(tmp_path / "many.npy", array)
    image = read_images(tmp_path, "auto")[2]
    assert isinstance(image.source, Path)
    np.testing.assert_array_equal(image.window(4, 5, 6), array[2, 4:10, 5:11])


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    def refused(name: str, match: str) -> None:
        with pytest.raises(ValueError, match=match):
            read_images(tmp_path / name, "auto")

    refused("absent", "must be a folder of .npy or .npz images")
    (tmp_path / "empty").mkdir()
    refused("empty", "no .npy or .npz images")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    refused("objects.npy", "unpickled")
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    refused("torn.npy", "not an array")
    (tmp_path / "torn.npz").write_bytes(b"PK")
    refused("torn.npz", "not an archive")
    np.save(tmp_path / "row.npy", np.ones(5))
    refused("row.npy", r"found float64 \(5,\)")
    np.savez(tmp_path / "note.npz", text=np.array("hello"))
    refused("note.npz", "no images")
    np.save(tmp_path / "levels.npy", np.full((20, 20), -12.0))
    refused("levels.npy", "set data_scale: db")
    assert read_images(tmp_path / "levels.npy", "db")[0].unit == "db"


# Split -------------------------------------------------------------------------------------------


def made(*shapes: tuple[int, int], places: int | None = None) -> list[Image]:
    return [
        Image(np.zeros(shape), shape, "linear", f"place {n if places is None else n % places}")
        for n, shape in enumerate(shapes)
    ]


@given(
    st.lists(st.tuples(st.integers(10, 70), st.integers(10, 70)), min_size=3, max_size=12),
    st.integers(3, 6),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_no_place_is_in_two_splits(shapes: list[tuple[int, int]], places: int, seed: int) -> None:
    images = made(*shapes, places=places)
    usable = {im.place for im in images if min(im.shape) >= 16}
    if len(usable) < 3:
        return
    parts, split_by = grouped(images, 16, seed=seed)
    assert split_by == "place"
    seen = [{images[number].place for number in part[:, 0]} for part in parts]
    assert all(seen)
    assert sum(map(len, seen)) == len(set().union(*seen)) == len(usable)
    everything = np.concatenate(parts)
    assert len(np.unique(everything, axis=0)) == len(everything)
    assert len(everything) == sum((h // 16) * (w // 16) for h, w in shapes)


@pytest.mark.parametrize("seed", range(4))
def test_few_places_are_cut_into_regions_that_share_no_pixel(seed: int) -> None:
    images = made((64, 160), (64, 160), (160, 64), places=2)
    parts, split_by = grouped(images, 16, seed=seed)
    assert split_by == "region"
    for number, image in enumerate(images):
        axis = 1 if image.shape[0] > image.shape[1] else 2
        lines = [set(part[part[:, 0] == number][:, axis].tolist()) for part in parts]
        assert all(lines)
        assert len(set.union(*lines)) == sum(map(len, lines)) == 10
        for one in lines:  # each is one piece
            assert max(one) - min(one) == 16 * (len(one) - 1)
    # Two channels of one place are cut alike.
    first, third = ([part[part[:, 0] == n][:, 1:].tolist() for part in parts] for n in (0, 2))
    assert [len(a) for a in first] == [len(b) for b in third]


def test_too_little_for_three_splits_is_refused() -> None:
    with pytest.raises(ValueError, match="patch_size: must leave patches"):
        grouped(made((40, 40)), 32, seed=0)
    with pytest.raises(ValueError, match=r"multiple of 16 \(found 40"):
        load(config(patch_size=40), data_fraction=1.0)


def test_smaller_fractions_are_part_of_greater_ones() -> None:
    found = {f: load(config(), data_fraction=f) for f in (0.05, 0.2, 0.5, 1.0)}
    rows = {f: {tuple(tile) for tile in d.train.tiles.tolist()} for f, d in found.items()}
    assert rows[0.05] < rows[0.2] < rows[0.5] < rows[1.0]
    assert [len(rows[f]) for f in rows] == [1, 5, 12, 24]
    for part in ("val", "test"):
        tiles = [getattr(d, part).tiles for d in found.values()]
        assert all(np.array_equal(tiles[0], other) for other in tiles)


def test_patches_read_as_needed_are_those_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        scene = simulate(seed=0, number=number, size=48, looks=4)
        np.save(tmp_path / f"place{'abcde'[number]}.npy", scene)
    chosen = config(data_path=str(tmp_path), patch_size=16)
    kept = load(chosen, data_fraction=1.0)
    monkeypatch.setattr(data, "RESIDENT_BYTES", 0)
    read = load(chosen, data_fraction=1.0)
    assert (kept.train.resident, read.train.resident) == (True, False)
    rows = [3, 0, 26, 3]
    np.testing.assert_array_equal(kept.train.batch(rows), read.train.batch(rows))
    assert (kept.split_by, kept.places) == ("place", 5)


def test_scenes_are_simulated_once_and_a_stop_is_obeyed() -> None:
    said: list[str] = []
    with pytest.raises(Interrupted):
        load(config(), data_fraction=1.0, should_stop=lambda: True)
    first = load(config(), data_fraction=1.0, progress=said.append)
    assert any("simulating" in text for text in said)
    said.clear()
    again = load(config(), data_fraction=1.0, progress=said.append)
    assert not any("simulating" in text for text in said)
    np.testing.assert_array_equal(first.test.batch([0]), again.test.batch([0]))


def test_the_data_seed_decides_what_goes_where() -> None:
    one, other = (load(config(data_seed=seed), data_fraction=1.0) for seed in (0, 1))
    assert not np.array_equal(one.test.batch([0]), other.test.batch([0]))


def test_real_scenes_are_read_and_cut_into_regions() -> None:
    folder = shared_data("sar")
    chosen = config(data_path=str(folder), patch_size=64, db_min=-30, db_max=0)
    found = load(chosen, data_fraction=1.0)
    assert (found.split_by, found.places) == ("region", 2)
    # 14 × 16 tiles of three channels, 8 × 8 of two
    assert len(found.train) + len(found.val) + len(found.test) == 3 * 224 + 2 * 64
    images = found.test.batch(range(len(found.test)))
    assert 0.3 < images.mean() < 0.7
    assert np.mean((images > 0) & (images < 1)) > 0.8


def test_patches_are_grouped_by_place_or_by_block(tmp_path: Path) -> None:
    found = load(config(), data_fraction=1.0)
    assert found.split_by == "place"
    groups = found.train.groups
    images = found.train.tiles[:, 0]
    assert all(len({*groups[images == image]}) == 1 for image in images)
    assert len({*groups}) == len({*images})
    one = np.random.default_rng(0).gamma(4, 20, (2, 160, 480)).astype(np.float32)
    np.savez(tmp_path / "bay.npz", hh=one[0], vv=one[1])
    region = load(config(data_path=str(tmp_path / "bay.npz")), data_fraction=1.0)
    assert region.split_by == "region"
    whole = region.test
    # Both polarizations of a tile, and the tiles of its block of 2 by 2, are one group.
    for group in np.unique(whole.groups):
        tiles = whole.tiles[whole.groups == group]
        assert {*tiles[:, 0]} == {0, 1}
        assert len(tiles) <= 8
        assert (np.ptp(tiles[:, 1:], axis=0) <= 32).all()
    assert len(whole.sample(2).groups) == 2
