from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analysis import made
from tests.cli.running import sweep

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    made.pair(tmp_path / "good", 0.1)
    made.metadata(tmp_path / "bad", config={"lr": 0.1})
    return tmp_path


def test_it_counts_runs_and_lists_what_they_lack(runs: Path, capsys: Capture) -> None:
    assert sweep("audit", str(runs)) == 0
    out = capsys.readouterr().out
    assert out.startswith("1/2 complete\n")
    assert "predictions.npy; targets.npy" in out


def test_json_holds_the_same(runs: Path, capsys: Capture) -> None:
    assert sweep("audit", str(runs), "--json", "--missing") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["total"]) == (1, 2)
    (run,) = found["runs"]
    assert (run["has"], run["complete"]) == (["config"], False)


def test_no_folder_is_one_message(tmp_path: Path, capsys: Capture) -> None:
    assert sweep("audit", str(tmp_path / "nowhere")) == 2
    assert "no such file or folder. Name a folder with runs" in capsys.readouterr().err
