from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.analysis import made
from tests.cli.running import SWEEP


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A sweep whose table holds marks that Latin-1 lacks, and names that ASCII lacks."""
    sweep = made.sweep(tmp_path / "results", targets={"mae": "<= 0.15"})
    made.trial(sweep, 0, name="größer", error=0.1, val_error=0.3)
    return tmp_path / "results"


def run(
    results: Path, *words: str, stdout: int = subprocess.PIPE, **more: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [SWEEP, *words],
        env={**os.environ, "SWEEP_RESULTS": str(results), "COLUMNS": "160", **more},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )


def test_letters_that_the_terminal_lacks_are_no_crash(results: Path) -> None:
    done = run(results, "compare", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stderr
    assert "größer  " in done.stdout.decode("latin-1")
    assert "0.1000 ?" in done.stdout.decode("latin-1")


@pytest.mark.parametrize("words", [("compare", "--json"), ("status", "--json")])
def test_json_is_the_same_in_every_encoding(results: Path, words: tuple[str, ...]) -> None:
    done = run(results, *words, PYTHONIOENCODING="latin-1")
    found = json.loads(done.stdout.decode("ascii"))
    assert "größer" in [
        row.get("trial", row.get("name")) for row in found.get("rows") or found["trials"]
    ]


@pytest.mark.parametrize("words", [("compare",), ("status",), ("schema",), ("plan", "--help")])
def test_a_reader_who_has_gone_is_no_failure(results: Path, words: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = run(results, *words, stdout=theirs)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [("compare",), ("status", "--json")])
def test_a_full_disk_is_one_error_line(results: Path, words: tuple[str, ...]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = run(results, *words, stdout=full)
    finally:
        os.close(full)
    assert done.returncode == 1
    assert done.stderr == b"Error: cannot write output: No space left on device.\n"
