"""What the reports of trials lead to, with all that the sweep file can say about it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.conductor import Conductor
from orchestrator.errors import UsageError
from orchestrator.runs.records import TrialState
from orchestrator.sweepfile.model.course import EarlyTerminate, Remedy
from orchestrator.sweepfile.model.spec import Bound, MetricGoal, Spec
from tests.engine.sweeps import toy_spec
from tests.engine.test_conductor import end, make_conductor, play, start

RISING = [1.0, 1.3, 1.4, 1.5, 1.6, 1.7]
FALLING = [0.9**n for n in range(12)]
PLATEAU = [1.0, *[0.9 + 0.01 * (n * 7 % 5) for n in range(40)]]


def spec_of(folder: Path, **fields: Any) -> Spec:
    return toy_spec(folder, {"a": {"lr": 0.1}, "b": {"lr": 0.2}, "c": {"lr": 0.3}}, **fields)


def reason(conductor: Conductor, number: int) -> str:
    return conductor.records[number].reason or ""


def test_a_rising_loss_is_stopped_once_another_trial_has_shown_that_it_can_fall(
    tmp_path: Path,
) -> None:
    conductor = make_conductor(tmp_path, spec_of(tmp_path), slots=2)
    start(conductor, "1")
    start(conductor, "2")
    play(conductor, "1", RISING)
    assert not conductor.is_ending("1")
    assert len(conductor.records[0].warnings) == 1, "told once"
    play(conductor, "2", FALLING)
    conductor.on_messages("1", [["report", 7, {"train_loss": 1.8}]])
    assert conductor.is_ending("1")
    end(conductor, "1")
    assert reason(conductor, 0).startswith("diverged: train_loss")
    assert conductor.records[0].symptom == "rising"


def test_trials_of_an_earlier_driver_count_too(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    first = make_conductor(tmp_path, spec)
    run = start(first, "1").run_dir
    play(first, "1", FALLING)
    lines = [
        json.dumps({"step": step, "metrics": {"train_loss": value}})
        for step, value in enumerate(FALLING, 1)
    ]
    run.metrics_file.write_text("\n".join(lines) + "\n")  # as the trial itself does
    end(first, "1")
    second = make_conductor(tmp_path, spec)
    start(second, "2")
    play(second, "2", RISING)
    assert second.is_ending("2")


@pytest.mark.parametrize(
    ("policy", "values", "ends"),
    [
        ({}, [0.5, math.nan], True),
        ({"non-finite": "warn"}, [0.5, math.nan, 0.4, math.nan, 0.3], False),
        ({"explosion": "warn"}, [0.5, 0.4, 4.0, 5.0, 6.0, 7.0], False),
        ({}, [0.5, 0.4, 4.0, 5.0, 6.0, 7.0], True),
        ({"plateau": "stop"}, PLATEAU, True),
        ({}, PLATEAU, False),
        ({"plateau": "ignore"}, PLATEAU, False),
    ],
)
def test_the_policy_of_the_file(
    tmp_path: Path, policy: dict[str, str], values: list[float], ends: bool
) -> None:
    conductor = make_conductor(tmp_path, spec_of(tmp_path, divergence=policy))
    attempt = start(conductor, "1")
    assert attempt.stops_at_non_finite is (policy.get("non-finite") != "warn")
    assert (attempt.rule is None) is bool(policy), "of another policy the child knows nothing"
    play(conductor, "1", values)
    assert conductor.is_ending("1") is ends
    end(conductor, "1")
    told = bool(conductor.records[0].warnings)
    assert told is (not ends and policy.get("plateau") != "ignore")


def test_a_rising_loss_is_ended_for_an_action_of_the_file_without_siblings(
    tmp_path: Path,
) -> None:
    for action in ("stop", "remedy"):
        answers = {"rising": Remedy({"lr": "*0.05"})} if action == "remedy" else {}
        spec = spec_of(tmp_path, divergence={"rising": action}, remedy=answers)
        conductor = make_conductor(tmp_path / action, spec)
        start(conductor, "1")
        play(conductor, "1", RISING)
        assert conductor.is_ending("1")


def test_a_warning_is_withdrawn_once_the_curve_refutes_it(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, spec_of(tmp_path))
    start(conductor, "1")
    bump = [0.5 * 0.97**n + (0.15 if 20 < n < 35 else 0.0) for n in range(60)]
    for step, val in enumerate(bump):
        metrics = {"train_loss": 0.95**step, "val_loss": val}
        conductor.on_messages("1", [["report", step, metrics]])
        if step == 33:
            assert "val_loss rose from" in conductor.records[0].warnings[0]
    assert conductor.records[0].warnings == []
    events = (tmp_path / "sweep" / "events.jsonl").read_text()
    assert events.count("val_loss rose from") == 1, "it stays in the event log"


def test_a_policy_that_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"explosoin.*Did you mean"):
        make_conductor(tmp_path, spec_of(tmp_path, divergence={"explosoin": "stop"}))
    with pytest.raises(UsageError, match="lr_schedule"):
        make_conductor(tmp_path, spec_of(tmp_path, lr_schedule={"cosin": {"lr": 1}}))


def test_too_slow_for_each_target_and_a_milestone_that_was_missed(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        metric=MetricGoal("val_mae"),
        targets={"mae": Bound("<=", 0.01), "acc": Bound(">=", 0.9)},
        expect={"train_loss@5": Bound("<", 0.2), "train_loss@6": Bound("<", 2.0)},
    )
    conductor = make_conductor(tmp_path, spec)
    start(conductor, "1")
    conductor.on_messages("1", [["total_steps", 40]])
    for step in range(1, 30):
        metrics = {"train_loss": 0.99**step, "val_mae": 0.99**step, "val_acc": 0.001 * step}
        conductor.on_messages("1", [["report", step, metrics]])
    told = "\n".join(conductor.records[0].warnings)
    assert "val_mae is" in told
    assert "misses its target 0.01" in told
    assert "misses its target 0.9" in told
    assert "train_loss is 0.951 at step 5, but < 0.2 was expected there" in told
    assert "step 6" not in told
    # Of a trial that has ended well the table tells what came of them.
    end(conductor, "1")
    assert conductor.records[0].state is TrialState.COMPLETE
    assert not [text for text in conductor.records[0].warnings if "target" in text]
    assert not [text for text in conductor.records[0].warnings if "expected there" in text]


@pytest.mark.parametrize("described", [False, True])
def test_a_schedule_that_never_moves_is_said_during_the_run(
    tmp_path: Path, described: bool
) -> None:
    raw = {"cosine": {"lr": 0.1, "total": 40}, "per": "epoch"}
    spec = spec_of(tmp_path, lr_schedule={} if described else raw)
    conductor = make_conductor(tmp_path, spec)
    run = start(conductor, "1").run_dir
    if described:
        run.metadata_file.write_text(json.dumps({"lr_schedule": raw}))
    conductor.on_messages("1", [["total_steps", 40]])
    told_at = None
    for step in range(1, 21):
        conductor.on_messages("1", [["report", step, {"train_loss": 0.9**step, "lr": 0.1}]])
        if conductor.records[0].warnings and told_at is None:
            told_at = step
    assert told_at is not None
    assert 4 <= told_at <= 20, "after the first tenth, and before the end"
    assert "lr never moved" in conductor.records[0].warnings[0]


def test_a_rate_that_the_sweep_varies_is_no_fault_of_the_schedule(tmp_path: Path) -> None:
    raw = {"cosine": {"lr": 0.1, "total": 40}, "per": "epoch"}
    conductor = make_conductor(tmp_path, spec_of(tmp_path, lr_schedule=raw), slots=2)
    start(conductor, "1")
    attempt = start(conductor, "2")
    assert attempt.config == {"lr": 0.2}
    conductor.on_messages("2", [["total_steps", 40]])
    for step in range(1, 41):
        rate = 0.1 * (1 + math.cos(math.pi * step / 40))
        conductor.on_messages("2", [["report", step, {"train_loss": 0.9**step, "lr": rate}]])
    assert conductor.records[1].warnings == []


def test_divergence_comes_before_bands_and_pruner(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, early_terminate=EarlyTerminate(min_iter=4, eta=3))
    conductor = make_conductor(tmp_path, spec, slots=3)
    for attempt_id in "123":
        start(conductor, attempt_id)
    play(conductor, "1", [0.9, 0.5, 0.4, 0.3])
    # At its fourth report it is worst of all at the band, and exploding for the third time.
    play(conductor, "2", [0.9, 3.0, 4.0, 5.0])
    play(conductor, "3", [0.9, 0.89, 0.88, 0.87])
    for attempt_id in "123":
        end(conductor, attempt_id)
    assert reason(conductor, 1).startswith("diverged:")
    assert conductor.records[1].symptom == "explosion"
    assert reason(conductor, 2).startswith("early_terminate:")
    assert conductor.records[2].symptom is None
    assert conductor.records[0].state is TrialState.COMPLETE


def test_a_trial_that_ended_itself_over_a_value_is_pruned(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, spec_of(tmp_path))
    run = start(conductor, "1").run_dir
    run.metadata_file.write_text('{"status": "stopped", "lost": "train_loss is nan since step 3"}')
    end(conductor, "1")
    record = conductor.records[0]
    assert (record.state, record.symptom) == (TrialState.PRUNED, "non-finite")
    assert record.reason == "diverged: train_loss is nan since step 3"
