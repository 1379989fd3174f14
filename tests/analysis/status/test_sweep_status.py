from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from orchestrator.analysis.status.sweep_status import read_status
from orchestrator.analysis.status.trial_status import parse_time
from orchestrator.errors import NotFoundError
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepState, TrialState
from tests.analysis import made

START = datetime(2025, 11, 20, 12, 0, 0, tzinfo=UTC)
T0 = START.timestamp()


def iso(after_s: float) -> str:
    return datetime.fromtimestamp(T0 + after_s, UTC).isoformat(timespec="milliseconds")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[SweepDir]:
    """A sweep whose driver lives: its lock is held."""
    sweep = made.sweep(tmp_path, state=SweepState.RUNNING, n_trials=6, started_at=iso(0))
    with FileLock(sweep.lock_file):
        yield sweep


def running(sweep: SweepDir, number: int = 0, **more: Any) -> RunDir:
    settings: dict[str, Any] = {"attempt": 1, "started_at": iso(0), "total_steps": 10, **more}
    return made.trial(sweep, number, state=TrialState.RUNNING, **settings)


def test_counts_name_every_state_and_include_trials_yet_to_be_made(live: SweepDir) -> None:
    running(live, 0)
    made.trial(live, 1, state=TrialState.PRUNED)
    made.trial(live, 2, state=TrialState.WAITING)
    status = read_status(live)
    assert status.state == "RUNNING"
    assert not status.is_over
    assert status.counts == {"WAITING": 4, "RUNNING": 1, "COMPLETE": 0, "PRUNED": 1, "FAIL": 0}
    assert len(status.trials) == 3


def test_a_finished_sweep_has_nothing_yet_to_come(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, n_trials=6)
    made.trial(sweep, 0)
    status = read_status(sweep)
    assert status.counts["WAITING"] == 0
    assert status.is_over
    assert status.time_left_s is None


def test_running_under_a_dead_driver_is_waiting_interrupted(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, state=SweepState.RUNNING)
    running(sweep)
    (trial,) = (status := read_status(sweep)).trials
    assert status.state == "INTERRUPTED"
    assert (trial.state, trial.reason) == ("WAITING", "interrupted")
    assert status.counts["WAITING"] == 1


def test_the_last_report_is_shown_and_a_torn_line_is_not(live: SweepDir) -> None:
    run = running(live)
    made.report(run, 1, T0 + 10, train_loss=0.5)
    made.report(run, 2, T0 + 20, train_loss=float("nan"), val_loss=0.4)
    with run.metrics_file.open("a") as stream:
        stream.write('{"step": 3, "tim')
    (trial,) = read_status(live, at=T0 + 20).trials
    assert (trial.step, trial.total_steps) == (2, 10)
    assert trial.metrics["val_loss"] == 0.4
    assert trial.metrics["train_loss"] != trial.metrics["train_loss"]


def test_time_left_follows_the_pace_between_reports(live: SweepDir) -> None:
    run = running(live)
    # 60 s of preparation, then 5 s a step: preparation must not slow the estimate.
    for step in range(1, 5):
        made.report(run, step, T0 + 60 + 5 * step)
    (trial,) = read_status(live, at=T0 + 82).trials
    assert trial.time_left_s == pytest.approx(6 * 5 - 2)
    assert parse_time(trial.ends_at) == pytest.approx(T0 + 110, abs=1)


def test_preparation_is_no_pace_so_one_report_shows_none(live: SweepDir) -> None:
    made.report(running(live), 1, T0 + 300)
    status = read_status(live, at=T0 + 300)
    assert status.trials[0].time_left_s is None
    assert status.time_left_s is None


def test_before_a_trial_has_a_pace_it_takes_as_long_as_such_trials_took(live: SweepDir) -> None:
    whole: dict[str, Any] = {"attempt": 1, "total_steps": 20, "started_at": iso(0)}
    made.trial(live, 1, ended_at=iso(100), **whole)
    made.report(running(live, started_at=iso(100)), 1, T0 + 120)
    trial = read_status(live, at=T0 + 120).trials[0]
    assert trial.time_left_s == pytest.approx(100 / 20 * 10 - 20)
    made.report(RunDir(live.run_dir(0, "t0").path), 2, T0 + 121)
    trial = read_status(live, at=T0 + 121).trials[0]
    assert trial.time_left_s == pytest.approx(8), "its own pace counts once it is known"


def test_the_sweep_before_of_the_same_name_counts(tmp_path: Path) -> None:
    first = made.sweep(tmp_path)
    made.trial(first, 0, attempt=1, total_steps=10, started_at=iso(0), ended_at=iso(50))
    again = made.sweep(tmp_path, f"{first.name}-2", state=SweepState.RUNNING, n_trials=2)
    running(again)
    with FileLock(again.lock_file):
        status = read_status(again, at=T0 + 20)
    assert status.trials[0].time_left_s == pytest.approx(30)


@pytest.mark.parametrize(("fixed", "left"), [({"depth": 2}, 30), ({"depth": 9}, None)])
def test_an_earlier_sweep_of_equal_trials_counts_whatever_its_name(
    fixed: dict[str, int], left: float | None, tmp_path: Path
) -> None:
    first = made.sweep(tmp_path, "first", program="a.py", spec={"fixed": {"depth": 2}})
    made.trial(first, 0, attempt=1, total_steps=10, started_at=iso(0), ended_at=iso(50))
    other = made.sweep(
        tmp_path,
        "other",
        program="a.py",
        spec={"fixed": fixed},
        state=SweepState.RUNNING,
        n_trials=2,
    )
    running(other)
    with FileLock(other.lock_file):
        status = read_status(other, at=T0 + 20)
    assert status.trials[0].time_left_s == (None if left is None else pytest.approx(left))


def test_a_resumed_attempt_is_judged_by_its_own_reports(live: SweepDir) -> None:
    run = running(live, attempt=2, started_at=iso(1000))
    for step in range(1, 6):
        made.report(run, step, T0 + step)
    made.report(run, 6, T0 + 1010)
    (trial,) = read_status(live, at=T0 + 1010).trials
    assert trial.time_left_s is None
    made.report(run, 7, T0 + 1012)
    (trial,) = read_status(live, at=T0 + 1012).trials
    assert trial.time_left_s == pytest.approx(3 * 2)


def test_time_left_is_unknown_without_a_total_or_a_report(live: SweepDir) -> None:
    running(live, 0)
    made.report(running(live, 1, total_steps=None), 1, T0 + 5)
    first, second = read_status(live, at=T0 + 9).trials
    assert (first.time_left_s, second.time_left_s) == (None, None)
    assert (first.step, second.step) == (None, 1)


def test_before_the_first_report_the_progress_and_total_of_the_child_are_shown(
    live: SweepDir,
) -> None:
    run = running(live, total_steps=None)
    made.metadata(run.path, progress="simulating rooms 12/100", total_steps=40)
    (trial,) = read_status(live).trials
    assert (trial.progress, trial.total_steps) == ("simulating rooms 12/100", 40)
    made.report(run, 1, T0)
    (trial,) = read_status(live).trials
    assert (trial.progress, trial.total_steps) == (None, 40)


def test_a_new_attempt_tells_its_progress_though_the_one_before_has_reported(
    live: SweepDir,
) -> None:
    run = running(live, attempt=2, started_at=iso(1000))
    made.metadata(run.path, progress="simulating rooms 12/100")
    made.report(run, 6, T0 + 10)
    (trial,) = read_status(live, at=T0 + 1005).trials
    assert (trial.progress, trial.time_left_s) == ("simulating rooms 12/100", None)


def test_the_sweep_ends_when_its_waiting_trials_have_had_their_turn(live: SweepDir) -> None:
    made.trial(live, 0, attempt=1, started_at=iso(0), ended_at=iso(100))
    for number in (1, 2):
        run = running(live, number, started_at=iso(100))
        for step in (1, 5):
            made.report(run, step, T0 + 100 + 10 * step)
    # 3 of 6 are still to come at 100 s each, 50 s are left in both that run, two at a time.
    status = read_status(live, at=T0 + 150)
    assert status.time_left_s == pytest.approx((50 + 50 + 3 * 100) / 2)
    assert status.elapsed_s == pytest.approx(150)


def test_the_value_at_the_end_is_the_sweeps_metric(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    run = made.trial(sweep, 0, attempt=1, value=0.25)
    made.report(run, 10, T0, val_mae=0.3, lr=1e-3)
    (trial,) = read_status(sweep).trials
    assert trial.metrics == {"val_mae": 0.25, "lr": 1e-3}


def test_json_is_strict(live: SweepDir) -> None:
    made.report(running(live, config={"lr": float("inf")}), 1, T0, val_loss=float("nan"))

    def refuse(word: str) -> float:
        raise AssertionError(word)

    found = json.loads(json.dumps(read_status(live).to_dict()), parse_constant=refuse)
    assert set(found) >= {"sweep", "state", "counts", "trials"}
    assert set(found["trials"][0]) >= {
        *("number", "name", "state", "reason", "step", "total_steps", "metrics", "config")
    }
    assert found["trials"][0]["metrics"]["val_loss"] == "nan"


def test_a_long_log_is_read_from_its_end(live: SweepDir) -> None:
    run = running(live, total_steps=3000)
    for step in range(1, 2001):
        made.report(run, step, T0 + step, train_loss=1 / step)
    (trial,) = read_status(live, at=T0 + 2000).trials
    assert trial.step == 2000
    assert trial.time_left_s == pytest.approx(1000)


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"state\.json"):
        read_status(SweepDir(tmp_path))
    (tmp_path / "state.json").write_text("[]")
    with pytest.raises(NotFoundError, match="cannot be read"):
        read_status(SweepDir(tmp_path))


def test_damaged_reports_are_no_crash(live: SweepDir) -> None:
    run = running(live)
    run.metrics_file.write_text(
        '[1]\n{"step": "x", "time": null, "metrics": [1]}\n{"step": true}\n'
    )
    (trial,) = read_status(live).trials
    assert (trial.step, trial.metrics) == (None, {})
