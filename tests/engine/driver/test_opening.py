"""Opening a sweep's folder: new, continued, changed, busy; requests; detached starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.engine.driver import control
from orchestrator.engine.driver.opening import open_sweep
from orchestrator.errors import BusyError, ChangedSpecError
from orchestrator.files import atomic, jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState
from orchestrator.sweepfile.model.spec import MetricGoal, Spec
from tests.engine.sweeps import toy_spec


def open_and_close(spec: Spec, results: Path, *, new: bool = False) -> SweepDir:
    with open_sweep(spec, results, new=new) as (folder, records):
        if not records:
            TrialRecord(0, "a", {}, TrialState.COMPLETE).save(folder.run_dir(0, "a"))
        return folder


def test_a_sweep_without_a_trial_takes_a_corrected_spec(tmp_path: Path) -> None:
    first = toy_spec(tmp_path, {"a": {"lr": 0.1}})
    with open_sweep(first, tmp_path) as (folder, _):
        folder.study_file.write_text("of the former spec")
    with open_sweep(toy_spec(tmp_path, {"a": {"lr": 0.2}}), tmp_path) as (again, _):
        assert again == folder
        assert not folder.study_file.exists()
    kept = atomic.read_json(folder.spec_file)
    assert kept is not None
    assert kept["trials"]["a"]["set"] == {"lr": 0.2}


def test_a_folder_is_made_and_opened_again(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {"lr": 0.1}})
    with open_sweep(spec, tmp_path / "results") as (folder, _):
        TrialRecord(0, "a", {"lr": 0.1}, TrialState.COMPLETE).save(folder.run_dir(0, "a"))
    with open_sweep(spec, tmp_path / "results") as (again, records):
        assert again == folder
        assert records[0].state is TrialState.COMPLETE


def test_a_changed_spec_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_and_close(toy_spec(tmp_path, {"a": {"lr": 0.1}}), tmp_path)
    changed = toy_spec(tmp_path, {"a": {"lr": 0.2}})
    with pytest.raises(ChangedSpecError) as caught:
        open_and_close(changed, tmp_path)
    assert "was 0.1, is 0.2" in str(caught.value)
    assert "--new to start 'toy-2'" in str(caught.value)
    kept = atomic.read_json(tmp_path / "toy" / "spec.json")
    assert kept is not None
    assert kept["trials"]["a"]["set"] == {"lr": 0.1}
    assert open_and_close(changed, tmp_path, new=True).name == "toy-2"


def test_a_sweep_beside_another_goes_on(tmp_path: Path) -> None:
    quick = toy_spec(tmp_path, {"a": {}}, stage="quick")
    full = toy_spec(tmp_path, {"a": {}}, stage="full")
    other = toy_spec(tmp_path, {"b": {}}, name="toy-7")
    for spec, new in ((quick, False), (full, True), (other, False), (full, True)):
        open_and_close(spec, tmp_path, new=new)
    (tmp_path / "toy-99").mkdir()
    for spec, name in ((full, "toy-3"), (quick, "toy"), (other, "toy-7")):
        assert open_and_close(spec, tmp_path).name == name
    with pytest.raises(ChangedSpecError, match="'toy-4' next to it"):
        open_and_close(toy_spec(tmp_path, {"c": {}}), tmp_path)


def test_what_may_change_may_change(tmp_path: Path) -> None:
    open_and_close(toy_spec(tmp_path, {"a": {}}, run_cap=3), tmp_path)
    open_and_close(toy_spec(tmp_path, {"a": {}}, run_cap=5, description="more"), tmp_path)


def test_two_drivers_cannot_hold_one_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.engine.driver.opening.LOCK_TIMEOUT_S", 0.1)
    spec = toy_spec(tmp_path, {"a": {}})
    with (
        open_sweep(spec, tmp_path),
        pytest.raises(BusyError, match="another process holds the sweep 'toy'"),
    ):
        open_and_close(spec, tmp_path)
    open_and_close(spec, tmp_path)


def test_a_name_cannot_leave_the_results_folder(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {}}, name="../../escape")
    folder = open_and_close(spec, tmp_path / "results")
    assert folder.path.resolve().parent == (tmp_path / "results").resolve()


def test_requests_are_taken_once_and_in_order(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    assert control.take(sweep) == []
    sweep.request_stop(3)
    sweep.request_stop(None)
    (sweep.requests_dir / "torn.json").write_text('{"sto')
    assert sorted(control.take(sweep), key=str) == [3, None]
    assert control.take(sweep) == []


def test_a_corrected_goal_judges_ended_trials_again(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {}}, metric=MetricGoal("val_acc", "minimize"))
    with open_sweep(spec, tmp_path) as (folder, _):
        run = folder.run_dir(0, "a")
        TrialRecord(0, "a", {}, TrialState.COMPLETE, value=0.1).save(run)
        for step, value in enumerate((0.1, 0.9, float("nan"), 0.4)):
            jsonl.append(run.metrics_file, {"step": step, "metrics": {"val_acc": value}})
    corrected = replace(spec, metric=MetricGoal("val_acc", "maximize"))
    with open_sweep(corrected, tmp_path) as (again, records):
        assert again == folder
        assert records[0].value == 0.9
    open_and_close(replace(spec, name="b", method="bayes"), tmp_path)
    with pytest.raises(ChangedSpecError, match=r"metric\.goal: was minimize, is maximize"):
        open_and_close(replace(corrected, name="b", method="bayes"), tmp_path)
