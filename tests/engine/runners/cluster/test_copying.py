"""Copies of a folder that changes while it is copied, piece by piece."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.runners.cluster.copying import LARGE_BYTES, Piece, Source, Target

KEPT = frozenset({"state.json"})

names = st.sampled_from(["log.txt", "metrics.jsonl", "a.pt", "x/b.ckpt", "p.npy"])
steps = st.one_of(
    st.tuples(st.just("append"), names, st.binary(max_size=40)),
    st.tuples(st.just("replace"), names, st.binary(max_size=40)),
    st.tuples(st.just("rewrite"), names, st.binary(max_size=40)),
    st.tuples(st.just("remove"), names, st.just(b"")),
    st.tuples(st.just("copy"), names, st.just(b"")),
)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in KEPT and not path.name.endswith(".tmp")
    }


def change(folder: Path, kind: str, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "append":
        with path.open("ab") as stream:
            stream.write(data)
    elif kind == "rewrite":
        path.write_bytes(data)
    elif kind == "replace":
        other = path.with_name(f".{path.name}.new.tmp")
        other.write_bytes(data)
        other.replace(path)
    elif kind == "remove":
        path.unlink(missing_ok=True)


@given(
    before=st.lists(steps, max_size=6), after=st.lists(steps, max_size=20), limit=st.integers(1, 50)
)
def test_the_copy_is_equal_in_the_end_whatever_happened(
    before: list[tuple[str, str, bytes]], after: list[tuple[str, str, bytes]], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        here, there = Path(root) / "here", Path(root) / "there"
        here.mkdir()
        for step in before:
            change(here, *step)
        shutil.copytree(here, there)
        (there / "state.json").write_text("the driver's")
        source, target, now = Source(here, KEPT), Target(there), 0.0
        for kind, name, data in after:
            now += 1.0
            change(here, kind, name, data)
            if kind == "copy":
                target.apply(source.take(now, limit=limit))
        for _ in range(10_000):
            pieces = source.take(now, at_end=True, limit=limit)
            target.apply(pieces)
            if not pieces:
                break
        assert content(there) == content(here)
        assert (there / "state.json").read_text() == "the driver's"


def test_logs_arrive_at_once_checkpoints_whole_and_arrays_at_the_end(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    source, target = Source(here, KEPT), Target(there)
    (here / "metrics.jsonl").write_text("1\n")
    (here / "checkpoint.pt").write_bytes(b"a" * 3 * LARGE_BYTES)
    (here / "predictions.npy").write_bytes(b"b")
    target.apply(source.take(0.0, limit=LARGE_BYTES))
    assert content(there) == {"metrics.jsonl": b"1\n"}, "of the rest nothing is complete"
    with (here / "metrics.jsonl").open("a") as stream:
        stream.write("2\n")
    pieces = source.take(1.0, limit=LARGE_BYTES)
    assert Piece("metrics.jsonl", 2, b"2\n") in pieces
    target.apply(pieces)
    for second in range(2, 5):
        target.apply(source.take(second, limit=LARGE_BYTES))
    assert content(there).keys() == {"metrics.jsonl", "checkpoint.pt"}
    (here / "checkpoint.pt").write_bytes(b"c" * 3 * LARGE_BYTES)
    assert source.take(6.0) == [], "large files wait between two versions"
    target.apply(source.take(60.0))
    target.apply(source.take(60.0, at_end=True))
    assert content(there) == content(here)


def test_a_path_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    for path in ("../x", "/etc/x", "a/../../x"):
        with pytest.raises(ValueError, match="not in the run folder"):
            Target(tmp_path).apply([Piece(path, data=b"x", whole=1)])


def test_a_file_that_is_written_in_place_meanwhile_is_sent_anew(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    source = Source(here, frozenset())
    (here / "log.txt").write_bytes(b"ab")
    Target(there).apply(source.take(1.0, limit=1))
    (here / "log.txt").write_bytes(b"c")
    while pieces := source.take(2.0, at_end=True, limit=1):
        Target(there).apply(pieces)
    assert content(there) == {"log.txt": b"c"}


def test_what_only_its_owner_may_read_stays_so(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    source = Source(here, frozenset())
    (here / "config.json").write_text("{}")
    (here / "config.json").chmod(0o600)
    (here / "log.txt").write_text("open")
    (here / "log.txt").chmod(0o644)
    before = os.umask(0o022)
    try:
        while pieces := source.take(0.0, at_end=True):
            Target(there).apply(pieces)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in there.iterdir()}
    assert modes == {"config.json": 0o600, "log.txt": 0o644}
