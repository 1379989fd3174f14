"""Append-only logs: what was written is read, whatever was torn between."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.files import jsonl

RECORDS = st.lists(st.dictionaries(st.text(), st.integers() | st.text()), min_size=1, max_size=6)


def encode(records: list[dict[str, Any]]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        for record in records:
            jsonl.append(path, record)
        return path.read_bytes()


@given(RECORDS, st.data())
def test_a_torn_end_costs_the_last_record_and_no_other(
    records: list[dict[str, Any]], data: st.DataObject
) -> None:
    content = encode(records)
    assert jsonl.parse(content) == records
    last = len(content.splitlines(keepends=True)[-1])
    torn = content[: len(content) - data.draw(st.integers(2, last))]
    assert jsonl.parse(torn) == records[:-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        path.write_bytes(torn)
        jsonl.append(path, {"next": 1})
        assert jsonl.read(path) == [*records[:-1], {"next": 1}]
        assert jsonl.read_last(path) == {"next": 1}


@given(RECORDS, st.lists(st.binary(max_size=30), max_size=4))
def test_garbage_between_lines_costs_itself_only(
    records: list[dict[str, Any]], garbage: list[bytes]
) -> None:
    noise = [b"\n" + b"!" + piece.replace(b"\n", b"") + b"\n" for piece in garbage]
    lines = [encode([record]) for record in records]
    mixed = [
        part for pair in zip(lines, [*noise, *[b""] * len(lines)], strict=False) for part in pair
    ]
    assert jsonl.parse(b"".join(mixed)) == records


@pytest.mark.parametrize(
    "line", [b"\x00" * 512, b"[" * 100_000, b"3", b"\xff\xfe", b'{"a": 1', b'"text"']
)
def test_lines_without_an_object_are_left_out(line: bytes) -> None:
    assert jsonl.parse(line + b'\n{"a": 1}\n') == [{"a": 1}]


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert jsonl.read(tmp_path / "none") == []
    assert jsonl.read_last(tmp_path / "none") is None
    with pytest.raises(FileNotFoundError):
        jsonl.append(tmp_path / "none" / "log", {})


def test_the_last_record_is_found_in_the_tail_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for step in range(2000):
        jsonl.append(path, {"step": step})
    assert jsonl.read_last(path, tail_bytes=64) == {"step": 1999}


def test_many_writers_do_not_tear_each_other(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from orchestrator.files import jsonl\n"
        "for step in range(200):\n"
        "    jsonl.append(Path(sys.argv[1]), {'who': sys.argv[2], 'step': step})\n"
    )
    path = tmp_path / "log"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = jsonl.read(path)
    for who in "ab":
        assert [r["step"] for r in found if r["who"] == who] == list(range(200))


def test_a_full_disk_is_an_error_and_not_a_silent_half_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    jsonl.append(path, {"a": 1})

    def limit() -> None:
        # A limit on the size of files takes a part of a write, as a disk that fills up does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, resource.RLIM_INFINITY))

    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path\n"
        "from orchestrator.files import jsonl\n"
        "try:\n"
        "    jsonl.append(Path(sys.argv[1]), {'b': 'long enough to be cut'})\n"
        "except OSError:\n"
        "    sys.exit(9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(path)], preexec_fn=limit, check=False
    )
    assert done.returncode == 9
    assert os.path.getsize(path) == len(b'{"a": 1}\n') + 5
    jsonl.append(path, {"c": 3})
    assert jsonl.read(path) == [{"a": 1}, {"c": 3}]
