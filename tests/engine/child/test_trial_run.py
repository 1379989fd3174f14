"""What a trial writes into its run directory."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.engine.child.main import run_attempt
from orchestrator.engine.child.process import Message
from orchestrator.engine.child.trial_run import TrialRun
from orchestrator.errors import TrialError
from orchestrator.files import jsonl
from tests.engine.sweeps import toy_attempt


class Heard:
    """A channel that keeps what was said, other than of memory."""

    should_stop = False

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> None:
        if message[0] != "memory":
            self.messages.append(message)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def open_run(folder: Path, heard: Heard, attempt: int = 1, **config: Any) -> TrialRun:
    return TrialRun(toy_attempt(folder, attempt, **config), heard)


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
    return found


def test_reports_are_logged_before_they_are_judged(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard)
    run.report(1, train_loss=torch.tensor(0.5), val_mae=np.float32(0.25), epoch_ok=True)
    run.report(2, train_loss=math.inf)
    assert heard.messages[0] == ["report", 1, {"train_loss": 0.5, "val_mae": 0.25, "epoch_ok": 1.0}]
    logged = jsonl.read(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in logged] == [1, 2]
    assert logged[1]["metrics"] == {"train_loss": "inf"}


def test_a_loss_that_is_not_finite_ends_the_loop_at_once(tmp_path: Path, heard: Heard) -> None:
    attempt = replace(toy_attempt(tmp_path), stops_at_non_finite=True)
    run = TrialRun(attempt, heard)
    for step, loss in enumerate([0.5, 0.3, 0.4, math.nan], 1):
        assert not run.should_stop
        run.report(step, train_loss=loss, val_loss=math.nan)
        run.checkpoint({"step": step})
    assert run.should_stop
    run.finish("stopped")
    assert metadata(tmp_path)["lost"] == "train_loss is nan since step 4"
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    best = torch.load(tmp_path / "checkpoint_best.pt", weights_only=True)
    assert (saved["step"], best["step"]) == (3, 2)


def test_a_loss_that_is_not_finite_is_allowed_by_default(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard)
    run.report(1, train_loss=math.nan)
    assert not run.should_stop
    run.finish("complete")
    assert "lost" not in metadata(tmp_path)


@pytest.mark.parametrize("new", [False, True])
def test_a_new_schedule_leaves_the_old_one_out_of_what_was_inherited(
    tmp_path: Path, heard: Heard, new: bool
) -> None:
    origin = TrialRun(toy_attempt(tmp_path), heard)
    origin.checkpoint({"epoch": 3, "scheduler": {"step": 30}})
    attempt = replace(toy_attempt(tmp_path), number=7, from_checkpoint=True, new_schedule=new)
    run = TrialRun(attempt, heard)
    expected = {"epoch": 3} if new else {"epoch": 3, "scheduler": {"step": 30}}
    assert run.restore() == expected
    # What it saves itself it goes on with.
    run.checkpoint({"epoch": 4, "scheduler": {"step": 1}})
    again = TrialRun(replace(attempt, attempt=2), heard)
    assert again.restore() == {"epoch": 4, "scheduler": {"step": 1}}


def test_a_metric_that_is_no_number_names_itself(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(TrialError, match=r"metric 'note' is not a number \(found str\)"):
        open_run(tmp_path, heard).report(1, note="fine")


@pytest.mark.parametrize("step", [-1, 1.5, math.nan, "3", None, [1]])
def test_a_step_is_a_whole_number(tmp_path: Path, heard: Heard, step: Any) -> None:
    run = open_run(tmp_path, heard)
    with pytest.raises(TrialError, match="is not a whole number from 0"):
        run.report(step, train_loss=1.0)
    assert heard.messages == []
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("step", [2, np.int64(2), 2.0, torch.tensor(2)])
def test_steps_of_other_libraries_are_numbers_too(tmp_path: Path, heard: Heard, step: Any) -> None:
    open_run(tmp_path, heard).report(step, train_loss=1)
    ((_, sent, _),) = heard.messages
    assert type(sent) is int
    assert sent == 2


@pytest.mark.parametrize("name", ["größe", "a b/c", "loss=0.1", "", "0", "x\ny", "__class__"])
def test_metrics_may_have_any_name(tmp_path: Path, heard: Heard, name: str) -> None:
    open_run(tmp_path, heard).report(1, **{name: 0.5})
    assert heard.messages == [["report", 1, {name: 0.5}]]
    assert jsonl.read(tmp_path / "metrics.jsonl")[0]["metrics"] == {name: 0.5}


def test_a_metric_beyond_all_floats_is_no_number(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(TrialError, match=r"is not a number \(found int\)"):
        open_run(tmp_path, heard).report(1, loss=10**400)


def test_a_warning_is_sent_once(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard)
    for _ in range(3):
        run.warn("the learning rate is stepped twice")
    assert heard.messages == [["warn", "the learning rate is stepped twice"]]
    assert metadata(tmp_path)["warnings"] == ["the learning rate is stepped twice"]


def test_falling_steps_do_not_spoil_the_end(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard)
    run.report(5, train_loss=1.0)
    run.report(4, train_loss=1.0)
    run.finish("complete")
    assert metadata(tmp_path)["status"] == "complete"


def test_a_clock_that_is_set_back_shortens_nothing(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tmp_path, heard)
    monkeypatch.setattr("orchestrator.engine.child.trial_run.time.time", lambda: 0.0)
    run.report(1, train_loss=1.0)
    run.finish("complete")
    found = metadata(tmp_path)
    assert found["duration_s"] >= 0
    assert found["seconds_per_epoch"] >= 0


def test_facts_are_merged_and_survive_the_end(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard, lr=0.2)
    run.describe(effective={"lr": 0.2}, total_steps=7)
    run.describe(effective={"precision": 32}, parameters=12)
    run.progress("simulating rooms")
    assert metadata(tmp_path)["progress"] == "simulating rooms"
    run.warn("asked t20_weight 3.0, recorded 1.5")
    run.report(3, train_loss=1.0)
    run.finish("complete")
    found = metadata(tmp_path)
    assert found["effective"] == {"lr": 0.2, "precision": 32}
    assert (found["parameters"], found["total_steps"], found["epochs_done"]) == (12, 7, 3)
    assert found["warnings"] == ["asked t20_weight 3.0, recorded 1.5"]
    assert "progress" not in found
    assert found["duration_s"] >= 0
    assert ["total_steps", 7] in heard.messages


def test_arrays_appear_whole_or_not_at_all(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard)
    run.save_predictions(torch.ones(3, 2, requires_grad=True), np.zeros((3, 2)), split="val")
    assert np.load(tmp_path / "val_predictions.npy").tolist() == [[1, 1]] * 3
    with pytest.raises(TrialError, match="differ in shape"):
        run.save_predictions(np.ones((3, 2)), np.ones((2, 3)))
    with pytest.raises(TrialError, match=r"not numeric \(dtype object\)"):
        run.save_predictions(np.array([None, {}]), np.array([None, {}]))
    with pytest.raises(TrialError, match=r"unknown split\. Choices: test, val, train"):
        run.save_predictions(np.ones(3), np.ones(3), split="../tset")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"metadata.json", "val_predictions.npy", "val_targets.npy"}


def test_a_checkpoint_is_for_the_next_attempt(tmp_path: Path, heard: Heard) -> None:
    run = open_run(tmp_path, heard)
    run.checkpoint({"epoch": 4, "weights": {"w": torch.arange(3)}})
    assert run.restore() is None, "the first attempt has nothing to go on from"
    state = open_run(tmp_path, heard, attempt=2).restore()
    assert state is not None
    assert state["epoch"] == 4
    assert state["weights"]["w"].tolist() == [0, 1, 2]
    follower = TrialRun(replace(toy_attempt(tmp_path), from_checkpoint=True), heard)
    inherited = follower.restore()
    assert inherited is not None
    assert inherited["epoch"] == 4


def test_a_checkpoint_that_could_not_be_read_is_refused_at_once(
    tmp_path: Path, heard: Heard
) -> None:
    run = open_run(tmp_path, heard)
    with pytest.raises(TrialError, match=r"\(it holds numpy\._core\.multiarray\.scalar\)\. Turn"):
        run.checkpoint({"epoch": 1, "best": np.float64(0.5)})
    assert not (tmp_path / "checkpoint.pt").exists()
    run.checkpoint({"epoch": 1, "best": 0.5})
    assert open_run(tmp_path, heard, attempt=2).restore() == {"epoch": 1, "best": 0.5}


def test_an_error_of_a_shipped_trainer_has_no_traceback(
    tmp_path: Path, heard: Heard, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {"data_path": str(tmp_path / "none.npz")}
    attempt = replace(toy_attempt(tmp_path), trainer="speech", config=config)
    outcome, message = run_attempt(attempt, heard)
    assert outcome == "failed"
    assert message.startswith("data_path: ")
    assert "is not a file. Name an .npz file." in message
    said = capfd.readouterr().err
    assert said == f"Error: {message}\n"


def test_the_share_of_the_data_is_the_configs(tmp_path: Path, heard: Heard) -> None:
    assert open_run(tmp_path / "a", heard).data_fraction == 1.0
    assert open_run(tmp_path / "b", heard, data_fraction=0.05).data_fraction == 0.05


@pytest.mark.parametrize(("steps", "done"), [((0, 1, 2), 3), ((1, 2, 3), 3), ((0, 100, 200), 200)])
def test_steps_that_count_from_0(
    tmp_path: Path, heard: Heard, steps: tuple[int, ...], done: int
) -> None:
    run = open_run(tmp_path, heard, lr=0.2)
    for step in steps:
        run.report(step, train_loss=1.0)
    run.finish("complete")
    assert metadata(tmp_path)["epochs_done"] == done
