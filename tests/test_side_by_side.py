"""A tiny run of the comparison with other tools, of those that need no installation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from benchmarks.side_by_side.__main__ import run_case, table


def test_tools_run_and_their_trials_are_timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIDE_BY_SIDE_TORCH", "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # another comparison may run
    printed = run_case("one", ["sweep, script", "shell loop", "Guild"], tmp_path, 2, repeats=1)
    assert "failed" in printed.splitlines()[-3], "it is not installed there"
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| s")]
    assert [row[0] for row in rows] == ["| sweep, script", "| shell loop"]
    assert all(0 < float(row[1]) <= float(row[3]) for row in rows), capsys.readouterr().err


def test_medians_and_ratios_are_of_the_same_run() -> None:
    found = {"sweep": [{"s": 1.0}, {"s": 2.0}, {"s": 9.0}], "other": [{"s": 2.0}, {"s": 6.0}]}
    assert table("T", found, {}).splitlines()[4:6] == [
        "| sweep | 2 | 1.00 |",
        "| other | 4 | 2.50 |",
    ]
