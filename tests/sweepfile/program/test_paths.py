"""Parameters that are paths start at the sweep file's folder, or where they were typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.program import paths
from orchestrator.sweepfile.space.grid import grid_values

FILE = """
trainer: edc
fixed: {data_path: data/curves.npz, rooms: 20}
trials:
  plain: {}
  other: {set: {data_path: ../elsewhere.npz}}
parameters:
  features_path: {values: [a.csv, null, a.csv]}
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sweeps"
    (folder / "data").mkdir(parents=True)
    for name in ("sweeps/data/curves.npz", "elsewhere.npz", "sweeps/a.csv", "typed.npz"):
        (tmp_path / name).touch()
    (folder / "edc.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return folder / "edc.yaml"


def test_paths_start_at_the_files_folder(sweep: Path) -> None:
    spec = load_spec(sweep, need_program=True)
    assert spec.fixed["data_path"] == str(sweep.parent / "data/curves.npz")
    assert Path(spec.trials["other"].set["data_path"]).samefile(
        sweep.parent.parent / "elsewhere.npz"
    )
    features = spec.parameters["features_path"]
    assert list(grid_values(features)) == [str(sweep.parent / "a.csv"), None]
    assert spec.warnings == ()


def test_a_typed_path_starts_where_it_was_typed(sweep: Path) -> None:
    spec = load_spec(sweep, overrides=["data_path=typed.npz"], need_program=True)
    assert spec.overrides["data_path"] == str(sweep.parent.parent / "typed.npz")


def test_a_missing_file_is_an_error_of_run_and_a_warning_of_plan(sweep: Path) -> None:
    (sweep.parent / "data/curves.npz").unlink()
    with pytest.raises(SpecError) as caught:
        load_spec(sweep, need_program=True)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, "fixed.data_path")
    assert "no file or folder /" in problem.message
    spec = load_spec(sweep)
    assert "fixed.data_path" in spec.warnings[0]


@pytest.mark.parametrize(("content", "words"), [
    ("{}", "cannot be read as a notebook"),
    ('{"cells": [{"metadata": {"tags": ["other"]}}, {}]}', "no cell with the tag parameters"),
    ('{"cells": [{"metadata": {"tags": ["parameters"]}}]}', ""),
])  # fmt: skip
def test_a_notebook_is_checked_before_it_starts(
    content: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "find_spec", lambda name: name)
    (tmp_path / "train.ipynb").write_text(content)
    file = tmp_path / "sweep.yaml"
    file.write_text("program: train.ipynb\nparameters: {lr: {values: [1, 2]}}\n")
    assert [words in text for text in load_spec(file).warnings] == [True] * bool(words)
    monkeypatch.setattr(paths, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match="a notebook needs papermill and ipykernel"):
        load_spec(file, need_program=True)
