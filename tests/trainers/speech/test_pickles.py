"""Pickles are data: arrays come out whole, and nothing that a pickle says is done."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from trainers.speech.pickles import PickleError, load_arrays, loads_arrays

TYPES = st.sampled_from(
    ["?", "<i8", ">i4", "u1", "<i2", "<f8", ">f4", "<f2", "<U5", "S3", ">U2", "<u8"]
)
ARRAYS = TYPES.flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3))
)


def read(content: Any, protocol: int) -> Any:
    return loads_arrays(io.BytesIO(pickle.dumps(content, protocol=protocol)))


def read_bytes(content: bytes) -> Any:
    return loads_arrays(io.BytesIO(content))


@settings(max_examples=60, deadline=None)
@given(array=ARRAYS, protocol=st.integers(0, 5), fortran=st.booleans())
def test_arrays_come_out_as_they_went_in(array: np.ndarray, protocol: int, fortran: bool) -> None:
    kept = np.asfortranarray(array) if fortran else array
    (found,) = read([kept], protocol)
    assert found.dtype == kept.dtype
    assert found.shape == kept.shape
    assert found.tobytes() == kept.tobytes()


@pytest.mark.parametrize("protocol", range(6))
def test_maps_lists_numbers_texts_and_object_arrays(protocol: int) -> None:
    objects = np.empty((2, 2), dtype=object)
    objects[:] = [[np.arange(3), "a"], [None, 2.5]]
    content = {
        "days": [{"x": np.ones((2, 2), np.float32)}, {}],
        "n": (1, 2.5, True, None, b"raw", "text"),
        "number": np.float64(2.5),
        "whole": np.int32(7),
        "objects": objects,
    }
    found = read(content, protocol)
    assert found["n"] == content["n"]
    assert (found["number"], found["whole"]) == (2.5, 7)
    assert found["days"][0]["x"].tolist() == [[1, 1], [1, 1]]
    (first, letter), (nothing, last) = found["objects"]
    assert first.tolist() == [0, 1, 2]
    assert (letter, nothing, last) == ("a", None, 2.5)


def test_what_is_shared_stays_one_and_a_ring_is_refused() -> None:
    row = np.arange(4)
    found = read([row, row], 4)
    assert found[0] is found[1]
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(PickleError, match="RecursionError"):
        read(ring, 4)


class Calls:
    """Pickles as the call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch MARK",)),
        (subprocess.Popen, (["touch", "MARK"],)),
        (eval, ("open('MARK', 'w')",)),
        (getattr, ("", "upper")),
        (np.load, ("MARK",)),
        (np.fromfile, ("MARK",)),
        (OrderedDict, ()),
        (bytearray, (10,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_any_other_name_is_refused_and_nothing_is_run(
    function: Any, arguments: Any, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (
        [Calls(function, *arguments)],
        {"sentenceDat": [np.ones(2), Calls(function, *arguments)]},
    ):
        with pytest.raises(PickleError, match="may contain only arrays, lists, maps and numbers"):
            read(content, protocol)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        # What `codecs.encode` could be asked to unpack.
        (b"c_codecs\nencode\n(S'abc'\nS'zip'\ntR.", "may use only the encoding latin-1"),
        # Attributes of a class, a stand-in or its instances.
        (b"cnumpy\ndtype\n}S'finish'\nI1\nsb.", "not a whole pickle"),
        (
            b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i4'\ntRS'abcd'\ntR}b.",
            "may not change",
        ),
        (b"cnumpy\ndtype\n.", "may not hold a type"),
        (b"cnumpy\ndtype\n(S'i4'\ntR.", "may not hold a type by itself"),
        # Types that are no plain ones.
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "the type 'V8'"),
        (b"cnumpy\ndtype\n(S'S99999999999'\ntR.", "the type"),
        # Arrays without content, or with other than their shape says.
        (b"cnumpy.core.multiarray\n_reconstruct\n(tR.", "without content"),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n(tR"
            b"(I1\n(I1000000000\ntcnumpy\ndtype\n(S'i4'\ntRI00\nS'abcd'\ntb.",
            "4 bytes where int32",
        ),
        (
            b"cnumpy.core.multiarray\n_reconstruct\n(tR"
            b"(I1\n(I-1\ntcnumpy\ndtype\n(S'i4'\ntRI00\nS''\ntb.",
            "whose shape is",
        ),
        (b"P1\n.", "outside"),
        (b"", "not a whole pickle"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "not a whole pickle"),
    ],
)
def test_pickles_that_were_written_by_hand(content: bytes, words: str) -> None:
    with pytest.raises(PickleError, match=words):
        read_bytes(content)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_pickle_never_escapes_as_another_error(data: st.DataObject) -> None:
    whole = pickle.dumps({"a": [np.arange(6.0).reshape(2, 3), "x"], "b": np.float32(1)}, protocol=4)
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(PickleError):
        read_bytes(bytes(damaged[:cut]) if cut < len(damaged) // 2 else bytes(damaged))


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([np.arange(3)]))
    assert load_arrays(path)[0].tolist() == [0, 1, 2]
