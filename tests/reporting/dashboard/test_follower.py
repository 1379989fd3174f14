"""What a look at a sweep's folder finds, as drivers and trials write it."""

from __future__ import annotations

import math
from pathlib import Path

from orchestrator.files import jsonl, lock
from orchestrator.reporting.dashboard.follower import Changes, Follower
from orchestrator.runs import RunDir, SweepDir, SweepState, TrialState
from tests.analysis import made


def steps(changes: Changes, run: RunDir) -> list[int]:
    return [report.step for report in changes.reports.get(run, [])]


def test_only_what_is_new_is_found(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, state=SweepState.FINISHED)
    first = made.trial(sweep, 0, state=TrialState.COMPLETE)
    made.report(first, 1, 10.0, loss=1.0)
    follower = Follower(sweep)
    found = follower.look()
    assert list(found.records) == [first]
    assert found.reports == {}, "what was logged before is in the report"
    assert not follower.look()
    second = made.trial(sweep, 1, state=TrialState.COMPLETE)
    made.report(second, 1, 100.0, loss=math.nan)
    made.report(second, 2, 101.5, loss=2.0)
    found = follower.look()
    assert list(found.records) == [second]
    assert steps(found, second) == [1, 2]
    assert found.reports[second][1].seconds == 1.5
    assert not follower.look()


def test_a_running_trial_is_read_on_and_a_torn_line_waits(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, state=SweepState.RUNNING)
    run = made.trial(sweep, 0, state=TrialState.RUNNING)
    made.report(run, 1, 10.0, loss=1.0)
    held = lock.acquire(sweep.lock_file, timeout_s=1, holder="the sweep")
    follower = Follower(sweep)
    assert follower.look().state is SweepState.RUNNING
    made.report(run, 2, 12.0, loss=1.0)
    with run.metrics_file.open("a") as stream:
        stream.write('{"step": 3, "time": 1')
    assert steps(follower.look(), run) == [2]
    with run.metrics_file.open("a") as stream:
        stream.write('4.0, "metrics": {"loss": 0.5}}\n')
    found = follower.look()
    assert steps(found, run) == [3]
    assert found.reports[run][0].seconds == 4.0
    held.release()
    found = follower.look()
    assert (found.state, found.records) == (SweepState.INTERRUPTED, {})


def test_a_folder_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    follower = Follower(SweepDir(tmp_path / "later"))
    assert not follower.look().records
    run = made.trial(made.sweep(tmp_path, "later"), 0, state=TrialState.COMPLETE)
    assert list(follower.look().records) == [run]


def test_damaged_records_and_lines_are_left_out(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    follower = Follower(sweep)
    follower.look()
    run = made.trial(sweep, 0, state=TrialState.COMPLETE)
    run.metrics_file.write_text('nonsense\n[]\n{"step": "x"}\n{"step": 1, "metrics": {"a": "b"}}\n')
    jsonl.append(run.metrics_file, {"step": 2, "metrics": {"loss": 1.0}})
    (sweep.trials_dir / "0001-x").mkdir()
    (sweep.trials_dir / "0001-x" / "state.json").write_text("{")
    found = follower.look()
    assert list(found.records) == [run]
    assert steps(found, run) == [2]
    assert found.reports[run][0].seconds is None
