"""The conductor without Ray or processes: the test plays the trials."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.engine.child.process import Attempt
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import SlotOptions
from orchestrator.engine.state.reruns import MOST_LOST
from orchestrator.files import atomic, jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, load_trials
from orchestrator.search.study import Study
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Domain, Spec
from tests.engine.machines import FakeMachine
from tests.engine.sweeps import cpu_plan, toy_spec


def make_conductor(
    folder: Path, spec: Spec, slots: int = 2, only: frozenset[str] = frozenset()
) -> Conductor:
    sweep = SweepDir(folder / "sweep")
    sweep.trials_dir.mkdir(parents=True, exist_ok=True)
    log = SweepLog(sweep, lambda event, record, details: None)
    machine = FakeMachine(cores=slots)
    allocator = SlotAllocator(spec, cpu_plan(slots), SlotOptions(), machine, log)
    return Conductor(
        spec,
        log,
        allocator,
        records={record.number: record for record in load_trials(sweep)},
        only=only,
    )


def start(conductor: Conductor, attempt_id: str) -> Attempt:
    attempt = conductor.next_attempt(attempt_id)
    assert attempt is not None
    return attempt


def play(conductor: Conductor, attempt_id: str, values: list[float], **metrics: Any) -> None:
    """Report `values` as loss and metric, as a trial does that notices nothing."""
    messages = [
        ["report", step, {"train_loss": value, "val_mae": value, **metrics}]
        for step, value in enumerate(values, 1)
    ]
    conductor.on_messages(attempt_id, messages)


def end(conductor: Conductor, attempt_id: str, message: list[Any] | None = None) -> None:
    conductor.on_messages(attempt_id, [message or ["done"]])
    conductor.on_gone(attempt_id)


def states(conductor: Conductor) -> Mapping[str, tuple[TrialState, str | None]]:
    return {record.name: (record.state, record.reason) for record in conductor.records.values()}


@pytest.fixture
def three(tmp_path: Path) -> Spec:
    return toy_spec(tmp_path, {"a": {"lr": 0.1}, "b": {"lr": 0.2}, "c": {"lr": 0.3}})


def test_no_trial_starts_without_a_slot(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    assert start(conductor, "1").slot["index"] != start(conductor, "2").slot["index"]
    assert conductor.next_attempt("3") is None
    assert not conductor.is_over
    end(conductor, "1")
    assert start(conductor, "3").name == "c"
    end(conductor, "2")
    assert conductor.next_attempt("4") is None
    assert not conductor.is_over, "the third still runs"
    end(conductor, "3")
    assert conductor.is_over


def test_the_slot_is_kept_until_the_process_has_gone(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, slots=1)
    start(conductor, "1")
    conductor.on_messages("1", [["done"]])
    assert conductor.next_attempt("2") is None
    conductor.on_gone("1")
    assert start(conductor, "2").name == "b"


def test_what_is_told_is_what_stands_in_the_folder(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, slots=3)
    for attempt_id in "123":
        start(conductor, attempt_id)
    play(conductor, "1", [0.5, 0.3, 0.4])
    end(conductor, "1")
    end(conductor, "2", ["failed", "the disk is full"])
    play(conductor, "3", [0.5, math.nan])
    end(conductor, "3")
    found = {record.name: record for record in load_trials(SweepDir(tmp_path / "sweep"))}
    assert (found["a"].state, found["a"].value) == (TrialState.COMPLETE, 0.3)
    assert (found["b"].state, found["b"].reason) == (TrialState.FAIL, "the disk is full")
    assert found["c"].state is TrialState.PRUNED
    assert found["c"].reason == "diverged: train_loss is nan since step 2"
    study = Study(tmp_path / "sweep" / "study.journal", "sweep", three)
    numbers = {name: record.optuna_number for name, record in found.items()}
    told = study.states()
    assert told[numbers["a"] or 0] == "COMPLETE"
    assert told[numbers["b"] or 0] == "FAIL"
    assert told[numbers["c"] or 0] == "PRUNED"


def test_an_exploding_loss_is_stopped_at_the_third_report(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    start(conductor, "1")
    play(conductor, "1", [1.0, 0.5, 10.0, 100.0])
    assert not conductor.is_ending("1")
    conductor.on_messages("1", [["report", 5, {"train_loss": 1000.0}]])
    assert conductor.is_ending("1")
    end(conductor, "1")
    state, reason = states(conductor)["a"]
    assert state is TrialState.PRUNED
    assert reason is not None
    assert reason.startswith("diverged: train_loss 1000 is more than twice its first value 1")


def test_a_transient_nan_in_validation_is_only_a_warning(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    start(conductor, "1")
    for step, val in enumerate([0.5, math.nan, math.nan, 0.4, 0.3], 1):
        metrics = {"train_loss": 1 / step, "val_loss": val, "val_mae": val}
        conductor.on_messages("1", [["report", step, metrics]])
    end(conductor, "1")
    record = conductor.records[0]
    assert (record.state, record.value) == (TrialState.COMPLETE, 0.3)
    assert record.warnings == [], "it passed"
    events = (tmp_path / "sweep" / "events.jsonl").read_text()
    assert events.count("val_loss is nan") == 1


def test_values_are_recomputed_from_validation_arrays(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    run = start(conductor, "1").run_dir
    targets = np.zeros((5, 2))
    for split, wrong in (("val", 0.25), ("test", 0.75)):
        np.save(run.predictions_file(split), targets + wrong)
        np.save(run.targets_file(split), targets)
    play(conductor, "1", [0.5, 0.01])
    end(conductor, "1")
    assert conductor.records[0].value == pytest.approx(0.25)


def test_stopping_leaves_trials_waiting_and_they_keep_their_numbers(
    tmp_path: Path, three: Spec
) -> None:
    conductor = make_conductor(tmp_path, three)
    start(conductor, "1")
    start(conductor, "2")
    end(conductor, "1")
    conductor.stop()
    assert conductor.next_attempt("3") is None
    end(conductor, "2", ["failed", "ended by SIGTERM"])
    assert conductor.is_over
    assert states(conductor)["b"] == (TrialState.WAITING, "interrupted")

    again = make_conductor(tmp_path, three)
    attempt = start(again, "4")
    assert (attempt.name, attempt.number, attempt.attempt) == ("b", 1, 2)
    assert start(again, "5").name == "c"
    end(again, "4")
    end(again, "5")
    assert again.is_over
    assert {state for state, _ in states(again).values()} == {TrialState.COMPLETE}


def test_a_trial_that_finishes_while_it_is_stopped_is_complete(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    run = start(conductor, "1").run_dir
    conductor.stop()
    run.metadata_file.write_text('{"status": "complete"}')
    end(conductor, "1")
    assert states(conductor)["a"] == (TrialState.COMPLETE, None)


def test_a_continued_trial_is_judged_with_what_it_reported_before(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {}})
    conductor = make_conductor(tmp_path, spec)
    run = start(conductor, "1").run_dir
    for step, loss in enumerate([1.0, 0.5, 10.0, 100.0], 1):
        record = {"step": step, "time": 0, "metrics": {"train_loss": loss, "val_mae": loss}}
        jsonl.append(run.metrics_file, record)
        conductor.on_messages("1", [["report", step, record["metrics"]]])
    conductor.stop()
    conductor.close()
    again = make_conductor(tmp_path, spec)
    start(again, "2")
    again.on_messages("2", [["report", 5, {"train_loss": 1000.0, "val_mae": 1000.0}]])
    assert again.is_ending("2"), "the third report of the explosion, two of them before the break"


def test_one_trial_can_be_stopped_while_it_runs_or_waits(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, slots=1)
    start(conductor, "1")
    conductor.stop_trial(0, "stopped by hand")
    end(conductor, "1", ["failed", "killed"])
    assert states(conductor)["a"] == (TrialState.PRUNED, "stopped by hand")
    assert start(conductor, "2").name == "b"


def test_an_attempt_whose_worker_is_lost_runs_again_but_not_for_ever(
    tmp_path: Path, three: Spec
) -> None:
    conductor = make_conductor(tmp_path, three)
    for count in range(MOST_LOST):
        assert start(conductor, str(count)).name == "a"
        conductor.on_gone(str(count))
        assert states(conductor)["a"] == (TrialState.WAITING, "its worker process was lost")
    assert start(conductor, "last").attempt == MOST_LOST + 1
    conductor.on_gone("last")
    assert states(conductor)["a"] == (TrialState.FAIL, "its worker process was lost")
    conductor.on_gone("last")
    conductor.on_messages("last", [["done"]])
    assert states(conductor)["a"][0] is TrialState.FAIL


def test_an_attempt_that_was_to_end_and_is_lost_is_not_run_again(
    tmp_path: Path, three: Spec
) -> None:
    conductor = make_conductor(tmp_path, three)
    start(conductor, "1")
    conductor.stop_trial(0, "stopped by hand")
    conductor.on_gone("1")
    assert states(conductor)["a"] == (TrialState.PRUNED, "stopped by hand")
    assert start(conductor, "2").name == "b"


def test_scripts_start_one_after_another_until_their_folder_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(path="train.py", outputs="experiments/*/", workdir=str(tmp_path))
    spec = toy_spec(tmp_path, {"a": {}, "b": {}}, trainer=None, program=program, metric=None)
    conductor = make_conductor(tmp_path, spec)
    start(conductor, "1")
    assert conductor.next_attempt("2") is None
    conductor.on_messages("1", [["adopted", "experiments/exp_1"]])
    assert conductor.next_attempt("2") is None, "it may name its folder by the second"
    monkeypatch.setattr("orchestrator.engine.conductor.NEXT_FOLDER_S", 0.0)
    assert start(conductor, "2").name == "b"


def test_only_runs_what_is_named(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, only=frozenset({"c"}))
    attempt = start(conductor, "1")
    assert (attempt.name, attempt.number) == ("c", 2)
    end(conductor, "1")
    assert conductor.is_over
    rest = make_conductor(tmp_path, three)
    assert [start(rest, "2").name, start(rest, "3").name] == ["a", "b"]


def test_only_takes_a_folders_name_too(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, only=frozenset({"0001-b"}))
    assert start(conductor, "1").name == "b"
    assert not conductor.trials.is_complete
    end(conductor, "1")
    assert conductor.is_over
    assert conductor.trials.is_complete


def test_a_sweep_that_is_stopped_when_all_is_done_is_complete(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, slots=3)
    for attempt_id in "123":
        start(conductor, attempt_id)
    conductor.stop()
    for attempt_id in "12":
        end(conductor, attempt_id)
    assert not conductor.trials.is_complete
    end(conductor, "3")
    assert conductor.trials.is_complete


def test_a_trial_that_waits_outside_the_choice_can_be_stopped(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    start(conductor, "1")
    conductor.stop()
    conductor.close()
    again = make_conductor(tmp_path, three, only=frozenset({"c"}))
    again.stop_trial(0, "stopped by hand")
    assert states(again)["a"] == (TrialState.PRUNED, "stopped by hand")
    again.stop_trial(0, "twice")
    again.stop_trial(99, "unknown")
    assert states(again)["a"] == (TrialState.PRUNED, "stopped by hand")


def test_a_run_folder_that_is_gone_does_not_stop_the_stopping(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    shutil.rmtree(start(conductor, "1").run_path)
    conductor.stop()
    end(conductor, "1", ["failed", "FileNotFoundError"])
    assert states(conductor)["a"] == (TrialState.WAITING, "interrupted")


def test_interrupted_trials_can_be_marked_without_the_study(
    tmp_path: Path, three: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    conductor = make_conductor(tmp_path, three)
    start(conductor, "1")
    start(conductor, "2")
    conductor.stop_trial(1, "stopped by hand")
    monkeypatch.setattr(conductor, "trials", None)
    monkeypatch.setattr(conductor, "_log", None)
    conductor.mark_interrupted()
    found = {record.name: record for record in load_trials(SweepDir(tmp_path / "sweep"))}
    assert (found["a"].state, found["a"].reason) == (TrialState.WAITING, "interrupted")
    assert (found["b"].state, found["b"].reason) == (TrialState.PRUNED, "stopped by hand")


def test_a_lost_record_shifts_no_numbers_of_bayes(tmp_path: Path) -> None:
    space = {"lr": Domain("log_uniform_values", low=1e-3, high=1.0)}
    spec = toy_spec(tmp_path, {}, method="bayes", parameters=space, run_cap=4)
    conductor = make_conductor(tmp_path, spec, slots=1)
    for count in range(4):
        start(conductor, str(count))
        end(conductor, str(count))
    shutil.rmtree(SweepDir(tmp_path / "sweep").run_dirs()[1].path)
    again = make_conductor(tmp_path, spec, slots=1)
    attempt = start(again, "5")
    assert attempt.number == 4, "3 is complete and must not be written over"
    end(again, "5")
    assert again.is_over


@pytest.mark.slow
def test_ten_thousand_trials_pass_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    names = {f"t{index}": {"lr": 0.1} for index in range(10_000)}
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, names, metric=None), slots=1)
    for count in range(500):
        start(conductor, str(count))
        end(conductor, str(count))
    assert len(load_trials(SweepDir(tmp_path / "sweep"))) == 500


def test_bayes_proposes_within_the_space_up_to_the_cap(tmp_path: Path) -> None:
    space = {"lr": Domain("log_uniform_values", low=1e-3, high=1.0)}
    spec = toy_spec(tmp_path, {}, method="bayes", parameters=space, run_cap=12, seed=3)
    conductor = make_conductor(tmp_path, spec, slots=1)
    drawn = []
    for count in range(12):
        attempt = start(conductor, str(count))
        drawn.append(attempt.config["lr"])
        play(conductor, str(count), [attempt.config["lr"]])
        end(conductor, str(count))
    assert conductor.is_over
    assert len(set(drawn)) == 12
    assert all(1e-3 <= lr <= 1.0 for lr in drawn)
    assert [record.number for record in conductor.records.values()] == list(range(12))


def test_a_median_pruner_stops_what_cannot_win(tmp_path: Path) -> None:
    names = {f"t{index}": {"lr": 0.1 + index} for index in range(7)}
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, names, pruner="median"), slots=1)
    for index in range(6):
        start(conductor, str(index))
        play(conductor, str(index), [1.0 / (step + 1) for step in range(8)])
        end(conductor, str(index))
    start(conductor, "last")
    play(conductor, "last", [2.0 - 0.01 * step for step in range(8)])
    end(conductor, "last")
    state, reason = states(conductor)["t6"]
    assert state is TrialState.PRUNED
    assert reason is not None
    assert "median" in reason


def test_an_unreadable_record_is_not_the_end(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three)
    run = start(conductor, "1").run_dir
    end(conductor, "1")
    run.state_file.write_text('{"number": 0, "na')
    assert TrialRecord.load(run) is None
    again = make_conductor(tmp_path, three)
    assert start(again, "2").name == "a"


def test_a_follower_starts_from_its_origins_checkpoint(tmp_path: Path, three: Spec) -> None:
    conductor = make_conductor(tmp_path, three, slots=4)
    origin = start(conductor, "1").run_dir
    origin.checkpoint_file.write_bytes(b"epoch 20")
    end(conductor, "1")
    for number, follows in ((7, 0), (8, 1)):
        conductor.trials.follow(
            TrialRecord(
                number, f"f{number}", {}, origin=follows, link="promoted", from_checkpoint=True
            )
        )
    attempt = start(conductor, "2")
    assert (attempt.number, attempt.attempt, attempt.from_checkpoint) == (7, 1, True)
    assert attempt.run_dir.checkpoint_file.read_bytes() == b"epoch 20"
    atomic.write_text(origin.checkpoint_file, "epoch 30")
    assert attempt.run_dir.checkpoint_file.read_bytes() == b"epoch 20", "it is its own"
    atomic.write_text(attempt.run_dir.checkpoint_file, "epoch 25")
    conductor.stop()
    conductor.close()

    again = make_conductor(tmp_path, three, slots=4)
    assert start(again, "3").run_dir.checkpoint_file.read_bytes() == b"epoch 25", "given once"
    assert start(again, "4").number == 8
    assert again.records[8].warnings == ["starts from scratch: trial 1 left no checkpoint"]
