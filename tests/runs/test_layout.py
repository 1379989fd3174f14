"""Paths of sweeps and runs, and finding them again by what people call them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.errors import NotFoundError
from orchestrator.runs.layout import (
    RunDir,
    SweepDir,
    find_sweep,
    safe_name,
)


def make_sweep(results: Path, name: str, age_s: float = 0) -> SweepDir:
    sweep = SweepDir(results / name)
    sweep.path.mkdir(parents=True)
    sweep.state_file.write_text("{}")
    when = sweep.state_file.stat().st_mtime - age_s
    os.utime(sweep.state_file, (when, when))
    return sweep


@given(st.text())
def test_every_name_is_one_part_of_a_path(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 240
    assert not safe.startswith(".")
    assert len(Path(safe).parts) == 1
    assert (Path("results") / safe).parent == Path("results")
    assert not set(safe) & set('/\\:*?"<>| \n\t\x00')
    assert safe_name(safe) == safe or len(name) > 60


@given(st.integers(0, 10**7), st.text(min_size=1))
def test_a_run_directory_tells_its_number_and_is_called_by_it(number: int, name: str) -> None:
    run = SweepDir(Path("s")).run_dir(number, name)
    assert run.number == number
    assert RunDir.is_called(run.path.name, number, name)
    assert RunDir.is_called(str(number), number, name)
    assert RunDir.is_called(name, number, name)


def test_other_names_mean_other_trials() -> None:
    assert RunDir.is_called("0003-lr=0.1", 3, "lr=0.1")
    assert RunDir.is_called("0003-a b", 3, "a b")
    assert RunDir.is_called("0003-a_b", 3, "a b")
    assert not RunDir.is_called("0004-lr=0.1", 3, "lr=0.1")
    assert not RunDir.is_called("33", 3, "lr=0.1")
    assert not RunDir.is_called("", 3, "lr=0.1")


def test_letters_of_any_script_stay() -> None:
    assert safe_name("größe 学习/a") == "größe_学习_a"
    assert safe_name("../..") == "trial"
    assert safe_name("lr=1e-05,b=(1, 2)") == "lr=1e-05_b=_1_2"


def test_runs_are_ordered_by_number_and_other_folders_are_left_out(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    assert sweep.run_dirs() == []
    for name in ("10000-z", "0002-b", "9999-y", "notes", "12-short"):
        (sweep.trials_dir / name).mkdir(parents=True)
    (sweep.trials_dir / "0001-file").touch()
    assert [run.path.name for run in sweep.run_dirs()] == ["0002-b", "9999-y", "10000-z"]
    assert RunDir(tmp_path / "notes").number is None


def test_the_newest_sweep_is_meant_unless_it_is_named(tmp_path: Path) -> None:
    old = make_sweep(tmp_path, "größe_1", age_s=100)
    new = make_sweep(tmp_path, "b")
    (tmp_path / "no sweep").mkdir()
    (tmp_path / "file").touch()
    assert SweepDir.all_in(tmp_path) == [new, old]
    assert find_sweep(tmp_path) == new
    assert find_sweep(tmp_path, "größe_1") == old
    assert find_sweep(tmp_path, "größe 1") == old, "by the name in the sweep file"
    assert find_sweep(tmp_path / "elsewhere", str(old.path)) == old
    with pytest.raises(NotFoundError, match=r"Did you mean 'größe_1'\?"):
        find_sweep(tmp_path, "größe_2")
    with pytest.raises(NotFoundError, match="No sweep in "):
        find_sweep(tmp_path / "elsewhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_a_folder_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    mine = make_sweep(tmp_path, "mine")
    theirs = make_sweep(tmp_path, "theirs")
    theirs.path.chmod(0)
    try:
        assert SweepDir.all_in(tmp_path) == [mine]
    finally:
        theirs.path.chmod(0o755)
