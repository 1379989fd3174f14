"""Records of sweeps and trials: written whole, read back, and distrusted where they are torn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.files import jsonl, lock
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import (
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    load_trials,
    log_event,
    read_reports,
    results_folder,
)

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
CONFIGS = st.dictionaries(
    WORDS, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
)


@given(
    number=st.integers(0, 10**6),
    name=WORDS,
    config=CONFIGS,
    state=st.sampled_from(TrialState),
    reason=st.none() | WORDS,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    warnings=st.lists(WORDS, max_size=3),
)
def test_a_trial_is_read_back_as_it_was(tmp_path_factory: Any, **fields: Any) -> None:
    run = RunDir(tmp_path_factory.mktemp("run") / "0000-a")
    fields["config"] = {
        key: value
        for key, value in fields["config"].items()
        if value not in (float("inf"), -float("inf"))
    }
    record = TrialRecord(**fields)
    record.save(run)
    assert TrialRecord.load(run) == record
    assert [path.name for path in run.path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"number": 0}',
        '{"number": "0", "name": "a", "config": {}}',
        '{"number": 0, "name": "a", "config": {}, "state": "HAPPY"}',
        '{"number": 0, "name": "a", "config": []}',
        '{"number": true, "name": "a", "config": {}}',
        '{"number": 0, "name": "a", "config": {}, "st',
    ],
)
def test_a_record_that_cannot_be_trusted_is_none(tmp_path: Path, content: str) -> None:
    run = RunDir(tmp_path)
    run.state_file.write_text(content)
    assert TrialRecord.load(run) is None


def test_fields_of_later_versions_are_left_out(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.state_file.write_text('{"number": 0, "name": "a", "config": {}, "mood": "fine"}')
    record = TrialRecord.load(run)
    assert record is not None
    assert record.state is TrialState.WAITING


def test_trials_come_by_number_and_unreadable_ones_are_left_out(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    for number in (11, 2, 7):
        TrialRecord(number, f"t{number}", {}).save(sweep.run_dir(number, f"t{number}"))
    sweep.run_dir(7, "t7").state_file.write_text("{")
    (sweep.trials_dir / "0001-empty").mkdir()
    assert [record.number for record in load_trials(sweep)] == [2, 11]


def test_reports_are_read_whatever_stands_between_them(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    lines = [
        '{"step": 1, "metrics": {"train_loss": "nan", "größe": 2}}',
        '{"step": 2}',
        '{"step": "x", "metrics": {}}',
        '{"step": -1, "metrics": {}}',
        '{"step": 3, "metrics": [1]}',
        '{"step": 4, "metrics": {"a": null}}',
        '{"step": 5, "met',
        '{"step": 6, "metrics": {"a": 1}}',
        '{"step": 7, "metrics": {"a": 1}',
    ]
    run.metrics_file.write_text("\n".join(lines))
    (first, metrics), last = read_reports(run)
    assert first == 1
    assert str(metrics["train_loss"]) == "nan"
    assert metrics["größe"] == 2
    assert last == (6, {"a": 1.0})


def test_a_driver_that_was_killed_left_running_behind(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    SweepRecord("s", n_trials=None).save(sweep)
    record = SweepRecord.load(sweep)
    assert record is not None
    held = lock.acquire(sweep.lock_file, timeout_s=0, holder="s")
    assert record.state_now(sweep) is SweepState.RUNNING
    held.release()
    assert record.state_now(sweep) is SweepState.INTERRUPTED
    record.state = SweepState.FINISHED
    assert record.state_now(sweep) is SweepState.FINISHED


def test_a_forecast_is_for_a_trial_that_runs() -> None:
    forecast = "val_mae is 0.5 at step 30 of 100; at this pace it ends at 0.4 and misses its target"
    record = TrialRecord(0, "a", {}, warnings=[forecast, "train_loss rises"])
    assert record.warnings_now(runs=True) == record.warnings
    assert record.warnings_now(runs=False) == ["train_loss rises"]


def test_a_trials_record_is_no_sweeps_record(tmp_path: Path) -> None:
    TrialRecord(0, "a", {}).save(RunDir(tmp_path))
    assert SweepRecord.load(SweepDir(tmp_path)) is None


def test_events_are_lines_of_strict_json(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    log_event(sweep, "trial_ended", value=float("nan"), state=TrialState.FAIL)
    (event,) = jsonl.read(sweep.events_file)
    assert (event["event"], event["value"], event["state"]) == ("trial_ended", "nan", "FAIL")
    assert event["time"].endswith("+00:00")
    json.loads(sweep.events_file.read_text(), parse_constant=pytest.fail)


def test_results_stand_where_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWEEP_RESULTS", raising=False)
    assert results_folder() == Path("results")
    monkeypatch.setenv("SWEEP_RESULTS", "/data/sweeps")
    assert results_folder() == Path("/data/sweeps")
    assert results_folder(Path("here")) == Path("here")
