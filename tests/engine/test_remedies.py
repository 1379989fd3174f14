"""Remedies through the conductor: the test plays the trials."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.conductor import Conductor
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, load_trials
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.course import Remedy
from orchestrator.sweepfile.model.spec import Bound, Constraint, Domain, Spec
from tests.engine.sweeps import toy_spec
from tests.engine.test_conductor import end, make_conductor, play, start

NAN = [0.5, 0.4, math.nan]


def lost(conductor: Conductor, attempt_id: str) -> None:
    play(conductor, attempt_id, NAN)
    end(conductor, attempt_id)


def with_remedy(folder: Path, symptom: str = "non-finite", **fields: Any) -> Spec:
    return toy_spec(
        folder, {"a": {"lr": 0.5}, "b": {"lr": 0.2}}, remedy={symptom: Remedy(**fields)}
    )


def test_a_chain_of_remedies_has_its_links_names_and_end(tmp_path: Path) -> None:
    spec = with_remedy(tmp_path, set={"lr": "*0.1", "weight": [0.5, 0.25]}, times=2)
    conductor = make_conductor(tmp_path, spec)
    start(conductor, "1")
    lost(conductor, "1")
    assert start(conductor, "2").name == "a → remedy 1: lr=0.05, weight=0.5"
    lost(conductor, "2")
    third = start(conductor, "3")
    assert third.name == "a → remedy 2: lr=0.005, weight=0.25"
    assert third.config == {"lr": 0.005, "weight": 0.25}
    lost(conductor, "3")
    assert start(conductor, "4").name == "b"
    end(conductor, "4")
    assert conductor.is_over
    records = {record.number: record for record in load_trials(SweepDir(tmp_path / "sweep"))}
    # The numbers 0 and 1 belong to what the file asks for, whenever it starts.
    assert sorted(records) == [0, 1, 2, 3]
    assert [records[n].origin for n in (0, 1, 2, 3)] == [None, None, 0, 2]
    assert {records[n].link for n in (2, 3)} == {"remedy"}
    assert records[0].symptom == "non-finite"
    assert records[3].change["set"] == {"lr": 0.005, "weight": 0.25}


def test_a_killed_driver_owes_the_answer_and_gives_it_once(tmp_path: Path) -> None:
    spec = with_remedy(tmp_path, set={"lr": 0.01})
    sweep = SweepDir(tmp_path / "sweep")
    conductor = make_conductor(tmp_path, spec)
    run = start(conductor, "1").run_dir
    play(conductor, "1", NAN)
    # Killed after the end was decided and before the trial was gone.
    conductor.mark_interrupted()
    assert [record.number for record in load_trials(sweep)] == [0]
    for _ in range(2):  # and killed again as soon as it had begun
        make_conductor(tmp_path, spec)
    records = load_trials(sweep)
    assert [(r.number, r.state, r.link) for r in records] == [
        (0, TrialState.PRUNED, None),
        (2, TrialState.WAITING, "remedy"),
    ]
    again = make_conductor(tmp_path, spec)
    assert start(again, "2").number == 2
    assert TrialRecord.load(run) == records[0]


def test_what_the_user_ended_is_not_answered(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, with_remedy(tmp_path, set={"lr": 0.01}))
    start(conductor, "1")
    conductor.stop_trial(0, "stopped by `sweep stop`")
    lost(conductor, "1")
    assert conductor.records[0].state is TrialState.PRUNED
    assert set(conductor.records) == {0}


def test_what_would_change_nothing_is_no_answer(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, with_remedy(tmp_path, set={"lr": 0.5}))
    start(conductor, "1")
    lost(conductor, "1")
    assert set(conductor.records) == {0}


@pytest.mark.parametrize(("condition", "answered"), [("lr > 0.3", True), ("lr > 0.6", False)])
def test_a_condition_decides(tmp_path: Path, condition: str, answered: bool) -> None:
    spec = with_remedy(tmp_path, set={"lr": 0.01}, condition=condition)
    conductor = make_conductor(tmp_path, spec)
    start(conductor, "1")
    lost(conductor, "1")
    assert (2 in conductor.records) is answered


def test_what_breaks_a_constraint_is_no_answer(tmp_path: Path) -> None:
    spec = with_remedy(tmp_path, set={"lr": ["*0.5", "*0.1"]}, times=2)
    conductor = make_conductor(tmp_path, replace(spec, constraints=(Constraint("lr >= 0.1"),)))
    start(conductor, "1")
    lost(conductor, "1")
    assert start(conductor, "2").config["lr"] == 0.25
    lost(conductor, "2")
    assert start(conductor, "3").name == "b"


def test_a_factor_counts_from_the_trainers_default(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, with_remedy(tmp_path, set={"epochs": "*2"}))
    run = start(conductor, "1").run_dir
    run.metadata_file.write_text('{"config": {"epochs": 5, "lr": 0.5}}')
    lost(conductor, "1")
    assert conductor.records[2].config == {"lr": 0.5, "epochs": 10}


def test_from_the_checkpoint_means_the_best_where_the_run_was_lost(tmp_path: Path) -> None:
    spec = with_remedy(tmp_path, set={"lr": 0.01}, start="checkpoint")
    conductor = make_conductor(tmp_path, spec, slots=3)
    first = start(conductor, "1")
    first.run_dir.checkpoint_file.write_bytes(b"exploded")
    first.run_dir.best_checkpoint_file.write_bytes(b"best")
    lost(conductor, "1")
    successor = start(conductor, "2")
    assert successor.from_checkpoint
    assert successor.run_dir.checkpoint_file.read_bytes() == b"best"


@pytest.mark.parametrize("keep", [None, {"last": 0, "best": 0}])
def test_without_a_checkpoint_it_starts_from_scratch_with_a_warning(
    tmp_path: Path, keep: dict[str, int] | None
) -> None:
    """It was deleted, or the trial was lost before it saved one."""
    spec = with_remedy(tmp_path, set={"lr": 0.01}, start="checkpoint")
    conductor = make_conductor(tmp_path, replace(spec, options={"keep": keep} if keep else {}))
    start(conductor, "1")
    lost(conductor, "1")
    start(conductor, "2")
    why = "left no checkpoint" + (", or `keep` has deleted it" if keep else "")
    assert conductor.records[2].warnings == [f"starts from scratch: trial 0 {why}"]
    events = (tmp_path / "sweep" / "events.jsonl").read_text()
    assert f"starts from scratch: trial 0 {why}" in events


def test_a_note_ends_a_run_only_where_that_leads_to_something(tmp_path: Path) -> None:
    spec = with_remedy(tmp_path, "plateau", set={"lr": "*3"}, condition="lr > 0.3")
    conductor = make_conductor(tmp_path, spec, slots=2)
    for attempt_id in ("1", "2"):
        start(conductor, attempt_id)
    for attempt_id in ("1", "2"):
        play(conductor, attempt_id, [1.0, *[0.9 + 0.01 * (n * 7 % 5) for n in range(40)]])
        end(conductor, attempt_id)
    ended, spared = conductor.records[0], conductor.records[1]
    assert ended.state is TrialState.PRUNED
    assert ended.reason is not None
    assert ended.reason.startswith("plateau: train_loss")
    assert conductor.records[2].config["lr"] == 1.5
    assert spared.state is TrialState.COMPLETE
    assert len([text for text in spared.warnings if "train_loss" in text]) == 1


def test_only_takes_the_answers_along(tmp_path: Path) -> None:
    spec = with_remedy(tmp_path, set={"lr": 0.01})
    conductor = make_conductor(tmp_path, spec, only=frozenset({"a"}))
    start(conductor, "1")
    play(conductor, "1", NAN)
    conductor.mark_interrupted()
    other = make_conductor(tmp_path, spec, only=frozenset({"b"}))
    assert start(other, "2").name == "b"
    end(other, "2")
    assert other.is_over
    again = make_conductor(tmp_path, spec, only=frozenset({"a"}))
    assert start(again, "3").number == 2


def test_an_answer_of_a_sampled_sweep_takes_the_next_number(tmp_path: Path) -> None:
    spec = toy_spec(
        tmp_path,
        {},
        method="bayes",
        run_cap=3,
        parameters={"lr": Domain("uniform", low=0.1, high=0.9)},
        remedy={"non-finite": Remedy(set={"lr": "*0.01"})},
    )
    conductor = make_conductor(tmp_path, spec)
    start(conductor, "1")
    lost(conductor, "1")
    # Its rate is out of the range that is searched: the study learns nothing wrong of it.
    assert start(conductor, "2").number == 1
    play(conductor, "2", [0.5, 0.4])
    end(conductor, "2")
    assert conductor.records[1].state is TrialState.COMPLETE


@pytest.mark.parametrize("order", [[1e-3, 3e-4, 1e-4], [1e-4, 3e-4, 1e-3]])
def test_the_five_epochs_of_a_user_restart_from_scratch_at_a_twentieth_of_the_rate(
    tmp_path: Path, order: list[float]
) -> None:
    shipped = load_spec(Path(__file__).parents[2] / "sweeps" / "signal_lr.yaml")
    trials = {f"lr{index}": {"lr": lr} for index, lr in enumerate(order)}
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, trials, remedy=shipped.remedy))
    number = order.index(1e-3)
    for attempt_id in map(str, range(1, number + 1)):  # those before it, which fall
        start(conductor, attempt_id)
        play(conductor, attempt_id, [0.3 * 0.9**step for step in range(30)])
        end(conductor, attempt_id)
    lucky = "7"
    assert start(conductor, lucky).name == f"lr{number}"
    play(conductor, lucky, [0.2847, 0.4056, 0.4111, 0.4625, 0.4580])
    assert conductor.is_ending(lucky)
    end(conductor, lucky)
    assert conductor.records[number].symptom == "rising"
    remedy = start(conductor, "8")
    assert remedy.config == {"lr": 5e-5}
    assert not conductor.records[remedy.number].from_checkpoint


HALF = "train_loss@3 > 0.1"
CALM = "train_loss@2 < 0.1 and jump.train_loss <= 0.2"


@pytest.mark.parametrize(
    ("losses", "condition", "lr"),
    [
        ([0.5, 0.4, 0.3], HALF, 3e-4),
        ([0.5, 0.09, 0.05, 0.04], CALM, 2.0),
        ([0.05, 0.09, 0.08, 0.07], None, None),  # it jumped by 80 %, and is below 0.1 at 3
        ([0.5, 0.4, 0.05, 0.04], None, None),
        ([0.5, math.inf, 0.05, 0.04], None, None),
    ],
)
def test_a_milestone_is_answered_once(
    tmp_path: Path, losses: list[float], condition: str | None, lr: float | None
) -> None:
    spec = toy_spec(
        tmp_path,
        {"a": {"lr": 1.0}},
        divergence={"non-finite": "ignore"},
        remedy={HALF: Remedy(set={"lr": 3e-4}), CALM: Remedy(set={"lr": "*2"})},
    )
    conductor = make_conductor(tmp_path, spec)
    for place, attempt_id in enumerate(("1", "2")):
        run = start(conductor, attempt_id).run_dir
        for count in range(len(losses)):
            log_of(run, losses[: count + 1])
            conductor.on_messages(attempt_id, [report_of(count + 1, losses[count])])
            if conductor.is_ending(attempt_id):
                break
        end(conductor, attempt_id)
        record = conductor.records[place]
        if condition is None or place:
            assert record.state is TrialState.COMPLETE
            break
        assert (record.state, record.symptom) == (TrialState.PRUNED, condition)
        assert record.reason is not None
        assert record.reason.startswith(f"milestone: {condition} (")
        assert f"train_loss@{count + 1} is {losses[count]:g}" in record.reason
    assert conductor.is_over
    assert [one.config["lr"] for one in conductor.records.values()][1:] == ([lr] if lr else [])


@pytest.mark.parametrize("losses", [[0.5, 0.4, 0.3], [0.5, 0.09, 0.05, 0.04]])
def test_a_milestone_that_was_passed_without_a_driver_is_answered_once_the_sweep_continues(
    tmp_path: Path, losses: list[float]
) -> None:
    bound = Bound("<", 0.08)
    spec = toy_spec(
        tmp_path,
        {"a": {"lr": 1.0}},
        remedy={HALF: Remedy(set={"lr": 3e-4})},
        expect={"train_loss@2": bound},
    )
    conductor = make_conductor(tmp_path, spec)
    run = start(conductor, "1").run_dir
    conductor.on_messages("1", [report_of(1, losses[0])])
    conductor.mark_interrupted()
    log_of(run, losses)  # what the trial reported when nobody listened
    again = make_conductor(tmp_path, spec)
    start(again, "2")
    again.on_messages("2", [report_of(len(losses) + 1, losses[-1])])
    assert again.is_ending("2") is (losses[2] > 0.1)
    [warning] = [text for text in again.records[0].warnings if "step 2" in text]
    assert warning == f"train_loss is {losses[1]} at step 2, but {bound} was expected there"


def test_a_milestone_without_a_report_is_named(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {"lr": 1.0}}, remedy={HALF: Remedy(set={"lr": 3e-4})})
    conductor = make_conductor(tmp_path, spec)
    start(conductor, "1")
    conductor.on_messages("1", [report_of(2, 0.5), report_of(4, 0.4)])
    assert conductor.records[0].warnings == [
        f"nothing was reported at step 3: '{HALF}' is not judged"
    ]


def report_of(step: int, loss: float) -> list[Any]:
    return ["report", step, {"train_loss": loss, "val_mae": loss}]


def log_of(run: RunDir, losses: list[float]) -> None:
    lines = [{"step": n, "metrics": {"train_loss": x}} for n, x in enumerate(losses, 1)]
    run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
