"""Every benchmark still works, at a tiny size."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import ranking, reading, scaling
from benchmarks.loglog import figure


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the folders that benchmarks set for their commands."""
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SWEEP_LEASES", str(tmp_path / "leases"))


def test_a_figure_has_a_line_for_each_series() -> None:
    text = figure("a & b", "trials", "s", {"<run>": [(1, 0.1), (1000, 90.0)], "status": [(5, 1)]})
    root = ElementTree.fromstring(text)
    assert len(root.findall("{*}polyline")) == 2
    assert {"a & b", "<run>"} <= {element.text for element in root.findall("{*}text")}


@pytest.mark.slow
def test_ranking(capsys: pytest.CaptureFixture[str]) -> None:
    assert ranking.main(["--runs", "3", "--shape", "20", "--times", "1", "--wait", "0"]) == 0
    assert capsys.readouterr().out.count("\n") == 9


@pytest.mark.slow
def test_reading(capsys: pytest.CaptureFixture[str]) -> None:
    assert reading.main(["--rows", "50", "--times", "1"]) == 0
    assert capsys.readouterr().out.count("\n") == 4


@pytest.mark.slow
def test_scaling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scaling.main(["--trials", "2", "--reports", "5", "--plots", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("\n") == 10
    assert len(list(tmp_path.glob("*.svg"))) == 4
