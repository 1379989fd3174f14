"""Replacing files in one step, and values in types that strict JSON knows."""

from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.files import atomic

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.fractions()
    | st.binary(max_size=4)
    | st.floats(width=32).map(np.float32)
    | st.floats(width=64).map(np.longdouble)
    | st.integers(-128, 127).map(np.int8)
    | st.lists(st.floats(), max_size=3).map(np.array)
    | st.just(Path("a/b"))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.floats(), inner, max_size=3)
    ),
    max_leaves=8,
)


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is no strict JSON")


@given(VALUES)
def test_plain_values_are_strict_json_that_comes_back_as_it_is(value: Any) -> None:
    plain = atomic.plain(value)
    text = json.dumps(plain, allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert json.loads(text, parse_constant=refuse) == plain
    assert atomic.plain(plain) == plain


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (np.float32("inf"), "inf"),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (np.longdouble(1.5), 1.5),
        (np.array([[1.0, math.nan]]), [[1.0, "nan"]]),
        (np.array(2.5), 2.5),
        (np.datetime64("2020-01-01"), "2020-01-01"),
        (Fraction(1, 4), 0.25),
        ({1: (Path("x"), {2})}, {"1": ["x", [2]]}),
        ("café", "café"),
        (os.fsdecode(b"caf\xe9.wav"), "caf\\udce9.wav"),
    ],
)
def test_plain_values(value: Any, plain: Any) -> None:
    found = atomic.plain(value)
    assert found == plain
    assert type(found) is type(plain)


def test_torch_tensors_are_plain_too() -> None:
    torch = pytest.importorskip("torch")
    assert atomic.plain(torch.tensor(2)) == 2
    assert atomic.plain(torch.ones(2, requires_grad=True)) == [1.0, 1.0]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    atomic.write_json(path, {"n": 1})
    with atomic.replacing(path) as stream:
        stream.write(b'{"n": 2')
        assert atomic.read_json(path) == {"n": 1}
        stream.write(b"}")
    assert atomic.read_json(path) == {"n": 2}
    with pytest.raises(TypeError), atomic.replacing(path) as stream:
        stream.writelines([b"half", None])
    assert atomic.read_json(path) == {"n": 2}
    assert os.listdir(tmp_path) == ["state.json"]


def test_the_users_mask_decides_who_may_read(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "os.umask(0o027)\n"
        "from pathlib import Path\n"
        "from orchestrator.files import atomic\n"
        "atomic.write_text(Path(sys.argv[1]), '')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    assert atomic.read_json(path) is None
    path.write_bytes(content)
    assert atomic.read_json(path) is None
    assert atomic.read_json(tmp_path) is None


def test_a_killed_writer_leaves_a_file_that_its_successor_removes(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.files import atomic\n"
        "with atomic.replacing(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in ("check[0].pt", "state.json"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
    assert len(os.listdir(tmp_path)) == 2
    atomic.remove_leftovers(tmp_path, ["check[0].pt", "metadata.json"])
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".state.json."), "its writer is another, who may be in the midst"
