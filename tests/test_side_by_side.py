"""A tiny run of the comparison with other tools, of those that need no installation."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks.side_by_side.__main__ import run_case, table
from benchmarks.side_by_side.cases import CASES
from benchmarks.side_by_side.peers import EPOCHS, TRAININGS, Tool


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


@pytest.mark.slow
def test_a_training_runs_in_a_sweep_and_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {
        name: replace(tool, command=partial(_with_one_epoch, tool))
        for name, tool in TRAININGS.items()
    }
    monkeypatch.setitem(CASES, "trainings", replace(CASES["trainings"], tools=short))
    monkeypatch.setattr("benchmarks.side_by_side.cases.TRAININGS_RUN", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    printed = run_case("trainings", ["sweep", "shell loop", "Guild"], tmp_path, 1, repeats=1)
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| s")]
    assert [float(row[1]) > 0 for row in rows] == [True, True], capsys.readouterr().err


def _with_one_epoch(tool: Tool, python: str, trials: int, parallel: int) -> list[str]:
    words = tool.command(python, trials, parallel)
    return [
        word.replace(f"epochs: {EPOCHS}", "epochs: 1").replace(f".py {EPOCHS}", ".py 1")
        for word in words
    ]


def test_medians_and_ratios_are_of_the_same_run() -> None:
    found = {"sweep": [{"s": 1.0}, {"s": 2.0}, {"s": 9.0}], "other": [{"s": 2.0}, {"s": 6.0}]}
    assert table("T", found, {}).splitlines()[4:6] == [
        "| sweep | 2 | 1.00 |",
        "| other | 4 | 2.50 |",
    ]
