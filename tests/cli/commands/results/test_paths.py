"""Every way to write a path of results: the folder itself, the one above, and links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.runs.read import run_folders
from tests.analysis import made
from tests.cli.commands.results.test_compare import sweep

WAYS = (".", "./", "..", "../", "link", "link/", "../here", "../here/.", "./../here")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder with two runs of another tool, and a link to itself from above."""
    folder = tmp_path / "tree" / "here"
    for name in ("a", "b"):
        made.pair(folder / "runs" / name)
        (folder / "runs" / name / "metrics.csv").write_text("epoch,val_loss\n1,0.5\n2,0.4\n")
    (folder / "link").symlink_to(folder / "runs")
    (folder / "loop").symlink_to(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", ["compare", "audit"])
def test_tables_find_each_run_once(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, way: str
) -> None:
    assert sweep(command, way) == 0
    assert capsys.readouterr().out.startswith("2/2 complete")


@pytest.mark.parametrize("way", WAYS)
def test_doctor_and_report_and_diff_take_them(
    here: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    assert sweep("doctor", way) == 0
    assert sweep("report", way, "-o", "page.html") == 0
    assert "(2 runs" in capsys.readouterr().err
    assert sweep("diff", way, way) == 2
    assert "holds 2 runs" in capsys.readouterr().err
    below = {"link": "a", "link/": "a", "..": "here/runs/a", "../": "here/runs/a"}
    assert sweep("diff", str(Path(way) / below.get(way, "runs/a")), "runs/b/") == 0


@pytest.mark.parametrize("command", ["compare", "audit"])
def test_the_whole_machine_is_refused(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert sweep(command, "/") == 2
    assert "/: is the whole machine. Name the folder of the runs." in capsys.readouterr().err


def test_a_huge_tree_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folders, "_MOST_FOLDERS", 2)
    assert sweep("compare", ".") == 2
    assert "holds more than 2 folders or" in capsys.readouterr().err


def test_names_that_are_not_utf_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run", os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\xfe")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("epoch,val_loss\n1,0.5\n2,0.4\n")
        (folder / os.fsdecode(b"log\xff.csv")).write_text("a,b\n1,2\n")
    for words in (
        *(["compare", "runs"], ["compare", "runs", "--export", "md", "-o", "table.md"]),
        *(["audit", "runs"], ["doctor", "runs"], ["report", "runs", "-o", "page.html"]),
        *(["compare", "runs", "--json"], ["export", "runs", "--to", "tensorboard"]),
    ):
        assert sweep(*words) == 0, words
        capsys.readouterr().out.encode()  # any terminal can show it
    assert "udce9" in (tmp_path / "page.html").read_text(encoding="utf-8")
