"""Files, the split by room and scaling."""

from __future__ import annotations

import csv
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from tests.shared_data import shared_data
from trainers.edc.data import Scaler, load, split_rooms
from trainers.edc.files import read_curves
from trainers.edc.roomset import FEATURES, RoomSet, room_codes

ROOMS, CASES, POINTS = 5, 3, 40
RANDOM = np.random.default_rng(0)
SIZES = RANDOM.uniform(2, 9, (ROOMS, 9))
TABLE = np.array(
    [[*SIZES[room], *RANDOM.uniform(0.1, 0.9, 7)] for room in range(ROOMS) for _ in range(CASES)],
    dtype=np.float32,
)
CURVES = np.exp(-np.arange(POINTS) / RANDOM.uniform(2, 20, (ROOMS * CASES, 1))).astype(np.float32)
RATE: dict[str, float] = {"rate_hz": 100.0, "duration_s": POINTS / 100.0}


def write_table(
    path: Path, *, header: list[str] | None = None, rows: int | None = None, **columns: list[Any]
) -> Path:
    names = [*columns, *(header or FEATURES)]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        for row in range(len(TABLE) if rows is None else rows):
            writer.writerow([values[row] for values in columns.values()] + TABLE[row].tolist())
    return path


IDS = [room + 1 for room in range(ROOMS) for _ in range(CASES)]
CASE = [case for _ in range(ROOMS) for case in range(CASES)]


# An archive with a table.


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    np.savez(tmp_path / "curves.npz", edc=CURVES, dt_s=np.array(0.002))
    write_table(tmp_path / "index.csv", ID=IDS)
    return tmp_path / "curves.npz"


def test_an_archive_and_the_table_beside_it(archive: Path) -> None:
    (archive.parent / "notes.csv").write_text("name,value\na,1\n")
    write_table(archive.parent / "other_rooms.csv", rows=4)
    found = read_curves(archive, None, **RATE)
    np.testing.assert_array_equal(found.curves, CURVES)
    np.testing.assert_array_equal(found.features, TABLE)
    assert found.rooms.tolist() == [room - 1 for room in IDS]
    assert found.rate_hz == 500.0


@pytest.mark.parametrize(
    ("arrays", "rate_hz"),
    [
        ({"curves": CURVES, "rate_hz": 48_000}, 48_000.0),
        ({"whatever": CURVES.astype(np.float64)}, 100.0),
        ({"edc": CURVES, "other": CURVES[:2]}, 100.0),
    ],
)
def test_names_of_arrays_and_rate(tmp_path: Path, arrays: dict[str, Any], rate_hz: float) -> None:
    np.savez(tmp_path / "c.npz", **arrays)
    found = read_curves(tmp_path / "c.npz", write_table(tmp_path / "t.csv", ID=IDS), **RATE)
    assert found.rate_hz == rate_hz
    np.testing.assert_array_equal(found.curves, CURVES)
    assert found.curves.dtype == np.float32


def test_an_archive_with_features_needs_no_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", curves=CURVES, features=TABLE, rooms=np.array(IDS))
    found = read_curves(tmp_path / "c.npz", None, **RATE)
    np.testing.assert_array_equal(found.features, TABLE)
    assert found.rooms.tolist() == [room - 1 for room in IDS]


def test_headers_may_be_spelled_freely(tmp_path: Path) -> None:
    header = [name.lower().replace("_", " ") for name in FEATURES]
    table = write_table(tmp_path / "t.csv", header=header, id=IDS)
    table.write_text("\ufeff" + table.read_text())  # as spreadsheets write it
    np.savez(tmp_path / "c.npz", edc=CURVES)
    np.testing.assert_array_equal(read_curves(tmp_path / "c.npz", table, **RATE).features, TABLE)


def test_missing_columns_are_named_with_the_nearest(archive: Path) -> None:
    header = [{"Width": "Widht", "f7": "abs8k"}.get(name, name) for name in FEATURES]
    table = write_table(archive.parent / "t.csv", header=header)
    with pytest.raises(ValueError, match=r"missing: Width \(nearest column: Widht\), f7"):
        read_curves(archive, table, **RATE)


def test_counts_that_differ(archive: Path) -> None:
    table = write_table(archive.parent / "t.csv", rows=7)
    with pytest.raises(ValueError, match=r"found 7 rows, and 15 curves in curves\.npz"):
        read_curves(archive, table, **RATE)


def test_no_table_or_several(archive: Path) -> None:
    write_table(archive.parent / "twin.csv", ID=IDS)
    with pytest.raises(ValueError, match=r"features_path: several CSVs fit .*index.csv.*twin.csv"):
        read_curves(archive, None, **RATE)
    for path in archive.parent.glob("*.csv"):
        path.unlink()
    with pytest.raises(ValueError, match="There is no CSV at all"):
        read_curves(archive, None, **RATE)
    write_table(archive.parent / "few.csv", rows=4)
    with pytest.raises(ValueError, match=r"15 rows of room features(.|\n)*few.csv: has 4 rows"):
        read_curves(archive, None, **RATE)


def test_values_that_are_no_numbers(archive: Path) -> None:
    table = archive.parent / "index.csv"
    lines = table.read_text().splitlines()
    lines[4] = lines[4].rsplit(",", 1)[0] + ",n/a"
    table.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"row 5: f7 must be a number \(found 'n/a'"):
        read_curves(archive, table, **RATE)
    lines[4] = "1,2"
    table.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"row 5 must have 17 values \(found 2"):
        read_curves(archive, table, **RATE)
    table.write_text("")
    with pytest.raises(ValueError, match="missing: Length"):
        read_curves(archive, table, **RATE)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a CSV of room features"):
        read_curves(archive, table, **RATE)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"edc": np.where(np.arange(POINTS) == 3, np.nan, CURVES)}, "must be finite \\(15 of 15"),
        ({"edc": 10 * np.log10(CURVES)}, r"row 0, from 0, starts at 0\). Are they in dB\?"),
        ({"edc": CURVES[:, :1]}, "two samples or more"),
        ({"a": CURVES, "b": CURVES}, "must contain the curves as 'edc' or 'curves'"),
        ({"notes": np.ones(3)}, r"found notes \(3,\)"),
        ({"edc": CURVES.astype(complex)}, "must be real numbers"),
        ({"edc": CURVES, "dt_s": np.array(0.0)}, "dt_s must be one number above 0"),
    ],
)
def test_archives_that_hold_no_curves(archive: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(archive, **arrays)
    with pytest.raises(ValueError, match=words):
        read_curves(archive, None, **RATE)


def test_archives_are_never_unpickled(archive: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (archive.parent / "was-run",)

    np.savez(archive, edc=np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="would have to be unpickled"):
        read_curves(archive, None, **RATE)
    archive.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"not an \.npz of arrays"):
        read_curves(archive, None, **RATE)
    assert not (archive.parent / "was-run").exists()


def test_a_path_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"neither an \.npz file nor a folder|must be an \.npz file or a folder"
    ):
        read_curves(tmp_path / "nowhere.npz", None, **RATE)
    (tmp_path / "a.txt").touch()
    with pytest.raises(
        ValueError, match=r"neither an \.npz file nor a folder|must be an \.npz file or a folder"
    ):
        read_curves(tmp_path / "a.txt", None, **RATE)
    with pytest.raises(ValueError, match="no curves named"):
        read_curves(tmp_path, None, **RATE)


# A folder of curves with a table.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "EDC").mkdir()
    for row, curve in enumerate(CURVES):
        np.save(tmp_path / "EDC" / f"RIR_{IDS[row]:03d}_case{CASE[row]}_edc.npy", curve)
    return tmp_path / "EDC"


def shuffled() -> tuple[list[int], np.ndarray]:
    order = np.random.default_rng(1).permutation(len(TABLE))
    return order.tolist(), TABLE[order]


@pytest.mark.parametrize("by", ["filename", "ID and case"])
def test_files_find_their_rows_by_name(
    folder: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, table = shuffled()
    columns: dict[str, list[Any]] = (
        {"filename": [f"RIR_{IDS[row]:03d}_case{CASE[row]}.wav" for row in order]}
        if by == "filename"
        else {"ID": [f"{IDS[row]}.0" for row in order], "case": [CASE[row] for row in order]}
    )
    monkeypatch.setattr(f"{__name__}.TABLE", table)
    write_table(folder.parent / "features.csv", **columns)
    monkeypatch.undo()
    found = read_curves(folder, None, **RATE)
    np.testing.assert_array_equal(found.features, TABLE)
    np.testing.assert_array_equal(found.curves, CURVES)
    assert found.rooms.tolist() == [room - 1 for room in IDS]
    assert found.rate_hz == 100.0


def test_rows_without_a_file_are_left_out(folder: Path) -> None:
    write_table(folder / "features.csv", ID=IDS, case=CASE)
    for path in folder.glob("RIR_002_*"):
        path.unlink()
    found = read_curves(folder, folder / "features.csv", **RATE)
    kept = [row for row in range(len(IDS)) if IDS[row] != 2]
    np.testing.assert_array_equal(found.features, TABLE[kept])
    np.testing.assert_array_equal(found.curves, CURVES[kept])


def test_a_file_without_a_row_is_an_error(folder: Path) -> None:
    np.save(folder / "RIR_099_case0_edc.npy", CURVES[0])
    table = write_table(folder / "features.csv", ID=IDS, case=CASE)
    with pytest.raises(ValueError, match=r"1 have none by filename .* RIR_099_case0_edc.npy"):
        read_curves(folder, table, **RATE)


def test_without_names_the_order_counts(folder: Path) -> None:
    """As the original pairs them: files by number and case (2 before 10), rows as they stand."""
    write_table(folder / "features.csv", ID=IDS)
    np.testing.assert_array_equal(read_curves(folder, None, **RATE).features, TABLE)
    for path in sorted(folder.glob("*case2*"), reverse=True):
        path.rename(path.with_name(path.name.replace("case2", "case10")))
    found = read_curves(folder, None, **RATE)
    np.testing.assert_array_equal(found.curves, CURVES)
    next(folder.glob("*.npy")).unlink()
    with pytest.raises(ValueError, match=r"14 curves \(found 15\), or columns filename"):
        read_curves(folder, folder / "features.csv", **RATE)


def test_curves_are_cut_and_end_in_zeros(folder: Path) -> None:
    write_table(folder / "features.csv", ID=IDS, case=CASE)
    longer = read_curves(folder, None, rate_hz=100.0, duration_s=0.5).curves
    np.testing.assert_array_equal(longer[:, :POINTS], CURVES)
    assert np.all(longer[:, POINTS:] == 0)
    assert longer.shape[1] == 50
    shorter = read_curves(folder, None, rate_hz=100.0, duration_s=0.3).curves
    np.testing.assert_array_equal(shorter, CURVES[:, :30])


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (np.array([None]), "would have to be unpickled"),
        (CURVES[:2], r"found float32 \(2, 40\)"),
        (np.zeros(0), "must be one decay curve"),
        (np.full(POINTS, np.inf), "must be finite"),
    ],
)
def test_files_that_are_no_curve(folder: Path, curve: np.ndarray, words: str) -> None:
    write_table(folder / "features.csv", ID=IDS, case=CASE)
    np.save(folder / "RIR_001_case1_edc.npy", curve, allow_pickle=True)
    with pytest.raises(ValueError, match=words):
        read_curves(folder, None, **RATE)


def test_names_of_rows_are_no_rooms() -> None:
    assert room_codes(list("aabbc"), TABLE[:5]).tolist() == [0, 0, 1, 1, 2]
    geometry = [0, 0, 0, 1, 1]
    assert room_codes([1, 2, 3, 4, 5], TABLE[:5]).tolist() == geometry
    assert room_codes(None, TABLE[:5]).tolist() == geometry


def test_without_names_no_other_place_in_the_same_room_is_another_room() -> None:
    moved = TABLE[[0, 3, 6, 9, 0, 3]].copy()
    moved[4:, 3:9] += 0.5
    assert room_codes(None, moved).tolist() == [0, 1, 2, 3, 0, 1]
    assert room_codes(list("abcdef"), moved).tolist() == [0, 1, 2, 3, 0, 1]
    # Of fewer than three sizes no split can be made: then places are told apart.
    one_room = moved.copy()
    one_room[:, :3] = moved[0, :3]
    assert len(set(room_codes(None, one_room).tolist())) == 6


# The split.


def room_set(sizes: list[int]) -> RoomSet:
    rooms = np.repeat(np.arange(len(sizes)), sizes)
    features = np.zeros((len(rooms), 16), dtype=np.float32)
    features[:, 0], features[:, 1] = rooms, np.arange(len(rooms))
    return RoomSet(features, np.ones((len(rooms), 4), np.float32), rooms, 500.0)


def rooms_of(features: np.ndarray) -> set[int]:
    return set(features[:, 0].astype(int).tolist())


@given(
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=40),
    seed=st.integers(0, 1000),
    fraction=st.floats(0.01, 1.0),
)
def test_no_room_is_in_two_splits_and_every_row_is_in_one(
    sizes: list[int], seed: int, fraction: float
) -> None:
    data = room_set(sizes)
    whole = split_rooms(data, seed=seed)
    train, val, test = (
        rooms_of(part) for part in (whole.train_features, whole.val_features, whole.test_features)
    )
    assert train | val | test == set(range(len(sizes)))
    assert len(train) + len(val) + len(test) == len(sizes)
    rows = np.concatenate([whole.train_features, whole.val_features, whole.test_features])
    assert sorted(rows[:, 1].tolist()) == list(range(len(data)))
    part = split_rooms(data, seed=seed, data_fraction=fraction)
    np.testing.assert_array_equal(part.val_features, whole.val_features)
    np.testing.assert_array_equal(part.test_features, whole.test_features)
    assert rooms_of(part.train_features) <= train
    assert len(rooms_of(part.train_features)) == max(1, round(fraction * len(train)))


@given(low=st.floats(0.01, 1.0), high=st.floats(0.01, 1.0))
def test_a_smaller_fraction_is_part_of_a_greater(low: float, high: float) -> None:
    data = room_set([2] * 60)
    low, high = sorted((low, high))
    small = split_rooms(data, seed=0, data_fraction=low).train_features
    large = split_rooms(data, seed=0, data_fraction=high).train_features
    assert rooms_of(small) <= rooms_of(large)


def test_shares_and_seeds() -> None:
    data = room_set([3] * 100)
    first = split_rooms(data, seed=0)
    assert len(first.train_features) == 180
    assert len(first.val_features) == len(first.test_features) == 60
    assert rooms_of(first.test_features) != rooms_of(split_rooms(data, seed=1).test_features)


@given(sizes=st.lists(st.integers(1, 9), min_size=3, max_size=20), most=st.integers(3, 120))
def test_max_samples_takes_whole_rooms(sizes: list[int], most: int) -> None:
    found = split_rooms(room_set(sizes), seed=0, max_samples=most)
    parts = [found.train_features, found.val_features, found.test_features]
    assert 3 <= sum(map(len, parts)) <= most
    assert all(len(part) for part in parts)
    if most >= sum(sizes):
        assert sum(map(len, parts)) == sum(sizes)
    rooms = [room for part in parts for room in rooms_of(part)]
    assert len(rooms) == len(set(rooms)) >= 3
    if len(rooms) > 3:
        taken = np.concatenate(parts)[:, 0].astype(int)
        assert all(np.count_nonzero(taken == room) == sizes[room] for room in rooms)


def test_numbers_out_of_range() -> None:
    data = room_set([2] * 5)
    for fraction in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="data_fraction: must be above 0 and at most 1"):
            split_rooms(data, seed=0, data_fraction=fraction)
    with pytest.raises(ValueError, match=r"max_samples: must be at least 3 \(found 2"):
        split_rooms(data, seed=0, max_samples=2)
    with pytest.raises(ValueError, match=r"rooms: at least 3 are needed.*found 2"):
        split_rooms(room_set([4, 4]), seed=0)


# Scaling.


finite = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 8)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(values=finite, kind=st.sampled_from(["standard", "minmax", "none"]))
def test_scaling_is_undone_exactly(values: np.ndarray, kind: str) -> None:
    scaler = Scaler.fit(values, kind)
    assert np.all(scaler.scale > 0)
    scaled = scaler.transform(values)
    assert np.isfinite(scaled).all()
    size = np.abs(values).max() + 1
    np.testing.assert_allclose(scaler.inverse(scaled), values, rtol=0, atol=1e-12 * size)


@given(values=finite)
def test_minmax_stays_between_0_and_1(values: np.ndarray) -> None:
    scaled = Scaler.fit(values, "minmax").transform(values)
    assert scaled.min() >= 0
    assert scaled.max() <= 1 + 1e-12


def test_standard_scaling_is_by_column_on_training_data() -> None:
    values = np.random.default_rng(0).normal([5, -3], [2, 0.5], (500, 2)).astype(np.float32)
    scaler = Scaler.fit(values)
    scaled = scaler.transform(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-9)
    moved = scaler.transform(values.astype(np.float64) + 1)
    np.testing.assert_allclose(moved, scaled + 1 / scaler.scale, atol=1e-9)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_constant_columns_and_constant_tables(kind: str) -> None:
    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    values[:, 1] = 0.1
    assert np.all(Scaler.fit(values, kind).transform(values)[:, 1] == pytest.approx(0, abs=1e-9))
    flat = Scaler.fit(np.full((3, 2), 0.1, dtype=np.float32), kind)
    np.testing.assert_array_equal(flat.scale, 1)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_the_faint_end_of_a_curve_is_not_blown_up(kind: str) -> None:
    """A few short decays to learn from, a long one to judge: no scaled value is absurd."""
    time = np.arange(1000) / 500
    short = np.exp(-13.8 * time / np.array([[0.1], [0.15], [0.2]]))
    long = np.exp(-13.8 * time / np.array([[1.5]]))
    assert np.abs(Scaler.fit(short, kind).transform(long)).max() < 5000
    assert np.abs(Scaler.fit(short, kind, floor=0.0).transform(long)).max() > 1e9


def test_kinds_and_rows() -> None:
    with pytest.raises(ValueError, match=r"must be standard, minmax or none \(found 'robust'"):
        Scaler.fit(np.ones((2, 2)), "robust")
    with pytest.raises(ValueError, match="no rows to fit"):
        Scaler.fit(np.ones((0, 2)))


# All of it.


@dataclass(frozen=True)
class Settings:
    data_path: str | None = None
    features_path: str | None = None
    rooms: int = 6
    cases_per_room: int = 2
    rate_hz: float = 100.0
    duration_s: float = 0.4
    max_samples: int | None = None


def test_load_simulates_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path))
    told: list[str] = []
    data = load(Settings(), seed=0, data_fraction=1.0, progress=told.append)
    assert data.train_curves.shape == (8, 40)
    assert data.val_features.shape == data.test_features.shape == (2, 16)
    assert data.rate_hz == 100.0
    assert any("simulating" in text for text in told)
    again = load(Settings(), seed=0, data_fraction=0.5)
    np.testing.assert_array_equal(again.test_curves, data.test_curves)
    assert len(again.train_curves) == 4


def test_load_reads_the_real_sample() -> None:
    settings = Settings(data_path=str(shared_data("edc", "edc_resimulated_2ms.npz")))
    data = load(settings, seed=0, data_fraction=1.0)
    total = len(data.train_curves) + len(data.val_curves) + len(data.test_curves)
    assert total == 2760
    assert data.train_curves.shape[1] == 1000
    assert data.rate_hz == 500.0
    geometry = [
        {tuple(row) for row in part[:, :9].tolist()}
        for part in (data.train_features, data.val_features, data.test_features)
    ]
    assert sum(map(len, geometry)) == len(set.union(*geometry))
    assert len(data.val_curves) == len(data.test_curves) == 550
    quick = load(settings, seed=0, data_fraction=0.05)
    assert len(quick.train_curves) == 80
    np.testing.assert_array_equal(quick.val_curves, data.val_curves)
