from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from orchestrator.analysis.table import compare
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.runs.read import find_runs
from orchestrator.runs.records import SweepState, TrialState
from tests.analysis import made


def names(root: Path) -> list[str]:
    return [str(run.path.relative_to(root)) for run in find_runs([root])]


def test_runs_are_found_at_any_depth_in_natural_order(tmp_path: Path) -> None:
    for place in ("run10", "run2", "a/b/c/run1", "."):
        made.pair(tmp_path / place)
    assert names(tmp_path) == [".", "a/b/c/run1", "run2", "run10"]


@pytest.mark.parametrize(
    "file", ["predictions.npy", "targets.npy", "metadata.json", "metrics.csv", "predictions.pkl"]
)
def test_any_of_its_files_makes_a_run_and_the_rest_is_missing(tmp_path: Path, file: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / file).touch()
    (run,) = find_runs([tmp_path])
    assert run.missing == [n for n in ("predictions.npy", "targets.npy") if n != file]


def test_an_empty_leaf_counts_only_beside_runs(tmp_path: Path) -> None:
    made.pair(tmp_path / "a" / "run1")
    (tmp_path / "a" / "run2").mkdir()
    (tmp_path / "a" / "run3").mkdir()
    (tmp_path / "a" / "run3" / ".DS_Store").touch()
    (tmp_path / "a" / "code").mkdir()
    (tmp_path / "a" / "code" / "train.py").touch()
    (tmp_path / "a" / "run1" / "checkpoints").mkdir()
    (tmp_path / "b" / "empty").mkdir(parents=True)
    assert names(tmp_path) == ["a/run1", "a/run2", "a/run3"]


def test_an_empty_tree_has_no_runs(tmp_path: Path) -> None:
    assert find_runs([tmp_path]) == []


def test_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    made.pair(tmp_path / ".cache" / "run")
    made.pair(tmp_path / "run")
    assert names(tmp_path) == ["run"]


def test_a_run_that_is_reached_twice_is_listed_once_under_its_own_name(tmp_path: Path) -> None:
    made.pair(tmp_path / "run3")
    (tmp_path / "latest").symlink_to(tmp_path / "run3")
    found = find_runs([tmp_path, tmp_path / "run3", tmp_path])
    assert [run.path.name for run in found] == ["run3"]


def test_links_out_are_followed_and_links_up_are_not(tmp_path: Path) -> None:
    made.pair(tmp_path / "elsewhere" / "far")
    made.pair(tmp_path / "results" / "near")
    (tmp_path / "results" / "shared").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "results" / "near" / "up").symlink_to(tmp_path)
    (tmp_path / "results" / "near" / "self").symlink_to(tmp_path / "results" / "near")
    (tmp_path / "results" / "dead").symlink_to(tmp_path / "nothing")
    (tmp_path / "results" / "round").symlink_to(tmp_path / "results" / "round")
    assert names(tmp_path / "results") == ["near", "shared/far"]


def test_pipes_and_links_to_nowhere_are_no_arrays_and_nobody_waits_for_them(tmp_path: Path) -> None:
    made.pair(tmp_path / "run")
    made.pair(tmp_path / "torn")
    for name in ("metadata.json", "metrics.jsonl", "val_predictions.npy", "val_targets.npy"):
        os.mkfifo(tmp_path / "run" / name)
    (tmp_path / "torn" / "targets.npy").unlink()
    os.mkfifo(tmp_path / "torn" / "targets.npy")
    (tmp_path / "torn" / "metrics.csv").symlink_to(tmp_path / "nothing")
    found = {run.path.name: run.missing for run in find_runs([tmp_path])}
    assert found == {"run": [], "torn": ["targets.npy"]}
    comparison = compare([tmp_path])
    (row,) = comparison.rows
    assert row.trial == "run"
    assert row.warnings == ()
    assert [item.missing for item in comparison.incomplete] == [("targets.npy",)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    made.pair(tmp_path / "run")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    found = {run.path.name: run.error for run in find_runs([tmp_path])}
    assert found == {"run": None, "closed": "cannot be read: Permission denied"}


def test_a_folder_that_fails_to_open_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.pair(tmp_path / "run")
    made.pair(tmp_path / "torn")
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == "torn":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = {run.path.name: run.error for run in find_runs([tmp_path])}
    assert found == {"run": None, "torn": "cannot be read: Permission denied"}


def test_a_path_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file or folder"):
        find_runs([tmp_path / "nothing"])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: .*there are no learning curves"):
        find_runs([tmp_path / "file"])


def test_trials_of_ours_carry_their_sweep_and_record(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, metric="val_r2", goal="maximize", targets={"mae": "<= 0.1"})
    made.trial(sweep, 0, error=0.1)
    made.trial(sweep, 1, state=TrialState.PRUNED, reason="diverged: train_loss is nan")
    (sweep.path / "requests").mkdir()
    first, second = find_runs([tmp_path])
    assert first.sweep is not None
    assert (first.sweep.name, first.sweep.metric, first.sweep.goal) == (
        "demo",
        "val_r2",
        "maximize",
    )
    assert first.sweep.targets == {"mae": "<= 0.1"}
    assert (first.name, first.state) == ("t0", "COMPLETE")
    assert (second.name, second.state) == ("t1", "PRUNED")
    assert second.missing == ["predictions.npy", "targets.npy"]


def test_a_sweep_is_known_from_within_its_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made.trial(made.sweep(tmp_path), 0, error=0.1)
    monkeypatch.chdir(run.path)
    (found,) = find_runs([Path()])
    assert found.sweep is not None
    assert (found.sweep.name, found.name) == ("demo", "t0")


def test_a_trial_that_a_dead_driver_left_running_waits_interrupted(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, state=SweepState.RUNNING)
    made.trial(sweep, 0, state=TrialState.RUNNING)
    (run,) = find_runs([tmp_path])
    assert (run.state, run.reason) == ("WAITING", "interrupted")
    with FileLock(sweep.lock_file):
        (run,) = find_runs([tmp_path])
        assert (run.state, run.reason) == ("RUNNING", None)


def test_a_trial_whose_record_is_torn_is_still_a_run_of_its_sweep(tmp_path: Path) -> None:
    run = made.trial(made.sweep(tmp_path), 0)
    run.state_file.write_text('{"number": 0, "na')
    (found,) = find_runs([tmp_path])
    assert found.record is None
    assert found.sweep is not None
    assert found.sweep.name == "demo"


def test_the_current_folder_may_hold_runs_of_other_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.pair(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert [run.path for run in find_runs([Path()])] == [Path("run")]
