"""Arrays are read without unpickling, and every bad file gets its own sentence."""

from __future__ import annotations

import contextlib
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.errors import SweepError
from orchestrator.metrics import ArrayProblem, check_pair, metric
from orchestrator.metrics.metric import blocks
from orchestrator.runs.read import arrays
from orchestrator.runs.read.arrays import load_array


class Trap:
    """An object whose unpickling would leave a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


@pytest.fixture(params=[True, False])
def mapping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are mapped into memory, or read at once."""
    if request.param:
        monkeypatch.setattr(arrays, "_MAP_FROM_BYTES", 0)


@pytest.mark.usefixtures("mapping")
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype=np.float16).reshape(3, 4)),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
        np.float32(3.5),
        np.zeros((0, 5)),
    ],
    ids=str,
)
def test_good_arrays_come_back(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    loaded = load_array(tmp_path / "a.npy")
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


def test_only_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_MAP_FROM_BYTES", 1000)
    np.save(tmp_path / "a.npy", np.arange(500.0))
    np.save(tmp_path / "b.npy", np.arange(50.0))
    assert isinstance(load_array(tmp_path / "a.npy"), np.memmap)
    assert not isinstance(load_array(tmp_path / "b.npy"), np.memmap)


@pytest.mark.usefixtures("mapping")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing"),
        (b"", "is empty"),
        (b"epoch,loss\n1,0.2\n", "is not an .npy file"),
        (b"PK\x03\x04 and so on", "is an .npz archive"),
        (pickle.dumps([1.0, 2.0]), "would have to be unpickled"),
    ],
)
def test_files_that_are_no_arrays(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "predictions.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArrayProblem, match=f"predictions.npy.*{words}") as caught:
        load_array(path)
    assert isinstance(caught.value, SweepError)


@pytest.mark.usefixtures("mapping")
def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    array = np.empty(1, dtype=object)
    array[0] = Trap(trace)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap(trace)))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ArrayProblem, match="would have to be unpickled"):
            load_array(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "b"]),
        np.zeros(3, dtype=complex),
        np.zeros(3, dtype="M8[s]"),
        np.zeros(3, dtype=[("x", float)]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_only_real_numbers(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ArrayProblem, match="not real numbers"):
        load_array(tmp_path / "a.npy")


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(ArrayProblem, match="is no file"):
        load_array(tmp_path / "a.npy")


@pytest.mark.usefixtures("mapping")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(keep=st.integers(1, 128 + 8 * 24 - 1))
def test_a_file_cut_short_anywhere_is_a_problem(tmp_path: Path, keep: int) -> None:
    whole = tmp_path / "whole.npy"
    np.save(whole, np.arange(24.0).reshape(4, 6))
    cut = tmp_path / "cut.npy"
    cut.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(ArrayProblem):
        load_array(cut)


@pytest.mark.usefixtures("mapping")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(place=st.integers(6, 127), byte=st.integers(0, 255))
def test_a_damaged_header_never_escapes_as_another_error(
    tmp_path: Path, place: int, byte: int
) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(24.0).reshape(4, 6))
    content = bytearray(path.read_bytes())
    content[place] = byte
    path.write_bytes(bytes(content))
    # Any error but ArrayProblem leaves the block and fails the test.
    with contextlib.suppress(ArrayProblem):
        assert load_array(path).dtype.kind in "biuf"


def test_pairs_that_cannot_be_compared() -> None:
    good = np.ones((2, 3))
    with pytest.raises(ArrayProblem, match="predictions 2×3, targets 3×2"):
        check_pair(good, good.T)
    with pytest.raises(ArrayProblem, match="arrays are empty"):
        check_pair(good[:0], good[:0])
    with pytest.raises(ArrayProblem, match="predictions are not real numbers"):
        check_pair(good.astype(complex), good)
    bad = good.copy()
    bad[0, 0], bad[1, 2] = np.nan, np.inf
    with pytest.raises(ArrayProblem, match="2 of 6 predictions are not"):
        check_pair(bad, good)
    with pytest.raises(ArrayProblem, match="2 of 6 predictions and 2 of 6 targets are not"):
        check_pair(bad, bad)
    check_pair(good, good.astype(np.int8))
    check_pair(good > 0, good.astype(np.float32))


def test_every_count_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric, "_BLOCK", 64)
    predictions = np.zeros((37, 51), dtype=np.float32)
    predictions[::5] = np.nan
    with pytest.raises(ArrayProblem, match=f"{8 * 51} of 1,887 predictions"):
        check_pair(predictions, np.zeros((37, 51)))


@given(
    shape=st.lists(st.integers(1, 7), min_size=0, max_size=3),
    orders=st.tuples(st.sampled_from("CF"), st.sampled_from("CF")),
    dtype=st.sampled_from(["f2", "f4", "f8", ">f4", "i8", "?"]),
)
def test_blocks_pair_the_same_elements_in_any_memory_order(
    shape: list[int], orders: tuple[str, str], dtype: str
) -> None:
    numbers = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) % 100
    first = np.array(numbers.astype(dtype), order=orders[0])  # type: ignore[call-overload]
    second = np.array(numbers, order=orders[1])  # type: ignore[call-overload]
    pairs = []
    for one, other in blocks(first, second):
        assert one.dtype == other.dtype == np.float64
        pairs += list(zip(one.tolist(), other.tolist(), strict=True))
    expected = zip(first.astype(float).ravel(), second.ravel(), strict=True)
    assert sorted(pairs) == sorted(expected)


def test_a_scan_takes_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_MAP_FROM_BYTES", 0)
    np.save(tmp_path / "a.npy", np.ones((500, 8000), dtype=np.float32))  # 16 MB
    np.save(tmp_path / "b.npy", np.ones((500, 8000), dtype=np.float32, order="F"))
    pair = load_array(tmp_path / "a.npy"), load_array(tmp_path / "a.npy")
    mixed = load_array(tmp_path / "a.npy"), load_array(tmp_path / "b.npy")
    for predictions, targets in (pair, mixed):
        tracemalloc.start()
        check_pair(predictions, targets)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 << 20
