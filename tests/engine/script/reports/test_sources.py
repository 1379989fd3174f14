"""What a script writes into files while it runs becomes reports while it runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboardX import SummaryWriter

from orchestrator.engine.script.command_line import REPORTED_FILE
from orchestrator.engine.script.found_files import Arrays, ScriptFolder
from orchestrator.engine.script.reports.merge import HOLD_S, Reports
from orchestrator.engine.script.reports.sources import Sources
from orchestrator.sweepfile.model.program import MetricSources
from tests.runs.wandb_made import log_bytes


class Sink(Reports):
    def __init__(self) -> None:
        super().__init__()
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.facts: dict[str, Any] = {}
        self.warnings: list[str] = []

    def report(self, step: int, **metrics: float) -> None:
        super().report(step, **metrics)
        self.reports.append((step, metrics))

    def describe(self, *, total_steps: int) -> None:
        self.facts["total_steps"] = total_steps

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Followed:
    """Sources of a script that works in a folder of its own, with a clock that tests move."""

    def __init__(self, tmp_path: Path, *files: str, **known: Any) -> None:
        self.sink = Sink()
        self.here = tmp_path / "work"
        self.run = tmp_path / "run"
        self.here.mkdir(exist_ok=True)
        self.run.mkdir(exist_ok=True)
        self.now = 0.0
        self.folder = ScriptFolder(lambda: self.here, is_shared=known.pop("is_shared", False))
        apart = ("patterns", "config")
        more = {name: known.pop(name) for name in apart if name in known}
        self.sources = Sources(
            MetricSources(files=files, **known),
            self.folder,
            self.sink,
            directory=self.run,
            **more,
        )

    def look(self, wait_s: float = 2 * HOLD_S) -> list[tuple[int, dict[str, float]]]:
        """Return the reports that come at once and at two more looks after a while each."""
        before = len(self.sink.reports)
        self.sources.look(self.now)
        for _ in range(2):
            self.now += wait_s
            self.sources.look(self.now)
        return self.sink.reports[before:]

    def end(self) -> list[tuple[int, dict[str, float]]]:
        before = len(self.sink.reports)
        self.sources.close(self.now)
        return self.sink.reports[before:]

    def write(self, name: str, text: str, mode: str = "w") -> None:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as stream:
            stream.write(text)


def test_lightnings_table_is_followed_from_its_birth(tmp_path: Path) -> None:
    script = Followed(tmp_path, "lightning_logs/version_*/metrics.csv")
    log = "lightning_logs/version_0/metrics.csv"
    assert script.look() == []
    script.write(log, "epoch,step,train_loss\n0,9,0.9\n")
    assert script.look() == [(0, {"train_loss": 0.9})]
    script.write(log, "epoch,step,train_loss,val_loss\n0,9,0.9,\n0,9,,0.8\n1,19,0.7,\n1,19,,0.")
    assert script.look() == [(0, {"val_loss": 0.8}), (1, {"train_loss": 0.7})]
    script.write(log, "65", "a")
    assert script.end() == [(1, {"val_loss": 0.65})]
    assert script.sources.complaints() == []


def test_kerass_and_yolos_tables(tmp_path: Path) -> None:
    script = Followed(tmp_path, "training.log", "runs/*/results.csv", names={"map": "m/mAP50(B)"})
    script.write("training.log", "epoch,accuracy,loss\n0,0.5,1.5\n1,0.6,NA\n")
    script.write("runs/train/results.csv", "  epoch,   train/box_loss,  m/mAP50(B)\n 1, 0.3, 0.1\n")
    found = script.look() + script.end()
    assert (0, {"accuracy": 0.5, "loss": 1.5}) in found
    assert (1, {"accuracy": 0.6}) in found
    assert (1, {"train/box_loss": 0.3, "map": 0.1}) in found


def test_the_column_of_the_step_can_be_named(tmp_path: Path) -> None:
    script = Followed(tmp_path, "log.csv", step="step")
    script.write("log.csv", "epoch,step,loss\n0,10,1\n0,20,2\n")
    assert script.look() == [(10, {"loss": 1.0}), (20, {"loss": 2.0})]


@pytest.mark.parametrize(("first", "last"), [(0, 49), (1, 50)])
def test_the_config_tells_how_many_epochs_there_will_be(
    first: int, last: int, tmp_path: Path
) -> None:
    script = Followed(tmp_path, "log.csv", config={"max_epochs": 50})
    script.write("log.csv", f"epoch,loss\n{first},1\n{first + 1},2\n")
    script.look()
    assert script.sink.facts == {"total_steps": last}


def test_a_whole_training_within_one_epoch_is_warned_of(tmp_path: Path) -> None:
    script = Followed(tmp_path, "log.csv")
    rows = "".join(f"0,{step},{step / 7}\n" for step in range(300))
    script.write("log.csv", f"epoch,step,loss\n{rows}")
    script.look()
    (warning,) = script.sink.warnings
    assert "Write step: step" in warning


@pytest.mark.parametrize("name", ["log.jsonl", "log.txt", "result.json"])
def test_json_lines_under_any_name(name: str, tmp_path: Path) -> None:
    script = Followed(tmp_path, name)
    script.write(name, '{"epoch": 1, "max_epochs": 9, "val": {"mae": 0.5}}\n{"epo')
    first = script.look()
    script.write(name, 'ch": 2, "val": {"mae": NaN}}\n', "a")
    both = first + script.look() + script.end()
    assert [step for step, _ in both] == [1, 2]
    assert both[0][1] == {"val/mae": 0.5}
    assert np.isnan(both[1][1]["val/mae"])
    assert script.sink.facts == {"total_steps": 9}


def test_tensorboard_folders_with_a_split_each(tmp_path: Path) -> None:
    """As Keras writes them: the same names in a folder train and a folder validation."""
    script = Followed(tmp_path, "logs/")
    for split, value in (("train", 1.0), ("validation", 2.0)):
        with SummaryWriter(str(script.here / "logs" / split)) as writer:
            writer.add_scalar("epoch_loss", value, 3)
    assert sorted(script.look(), key=str) == [
        (3, {"train/epoch_loss": 1.0}),
        (3, {"validation/epoch_loss": 2.0}),
    ]


def test_final_results_belong_to_the_step_that_was_reached(tmp_path: Path) -> None:
    script = Followed(tmp_path, "log.csv", "out/results.json", names={"val_mae": "eval/mae"})
    script.write("log.csv", "epoch,loss\n7,0.1\n")
    script.look()
    script.write("out/results.json", '{"eval": {"mae": 0.25, "per_class": [1, 2]}, "ok": true}')
    assert script.look() == [(7, {"val_mae": 0.25})]


def test_a_history_of_lists_is_a_curve(tmp_path: Path) -> None:
    script = Followed(tmp_path, "history.json")
    script.write("history.json", '{"loss": [3, 2], "val_loss": [4, 3]}')
    expected = [(1, {"loss": 3.0, "val_loss": 4.0}), (2, {"loss": 2.0, "val_loss": 3.0})]
    assert script.look() == expected
    script.write("history.json", '{"loss": [3, 2, 1], "val_loss": [4, 3, 2]}')
    assert script.look() == [(3, {"loss": 1.0, "val_loss": 2.0})]


def test_each_checkpoint_of_hugging_face_adds_what_is_new(tmp_path: Path) -> None:
    script = Followed(tmp_path, "out/**/trainer_state.json", names={"val_loss": "eval_loss"})
    entries: list[dict[str, Any]] = [
        {"epoch": 0.5, "loss": 2.0, "step": 10},
        {"epoch": 1.0, "eval_loss": 1.5, "step": 20},
        {"epoch": 1.5, "loss": 1.0, "step": 30},
        {"epoch": 1.5, "train_loss": 1.5, "train_runtime": 1.0, "step": 30},
    ]
    found = []
    for name, count in (("checkpoint-20/", 2), ("", 4)):
        state = {"max_steps": 30, "log_history": entries[:count]}
        script.write(f"out/{name}trainer_state.json", json.dumps(state))
        found += script.look()
    assert found == [(10, {"loss": 2.0}), (20, {"val_loss": 1.5}), (30, {"loss": 1.0})]
    assert script.sink.facts == {"total_steps": 30}
    assert script.sink.warnings == []


def test_mlflows_file_store_without_runs_of_before(tmp_path: Path) -> None:
    before = Followed(tmp_path)
    before.write("mlruns/0/old/meta.yaml", "")
    before.write("mlruns/0/old/metrics/loss", "1 9 1\n")
    script = Followed(tmp_path, "mlruns")
    script.write("mlruns/0/new/meta.yaml", "")
    script.write("mlruns/0/new/metrics/loss", "1700000000000 0.5 1\n1700000000001 0.25 2\n")
    assert script.look() == [(1, {"loss": 0.5}), (2, {"loss": 0.25})]


def test_a_plain_text_log_is_read_with_the_patterns(tmp_path: Path) -> None:
    script = Followed(tmp_path, "train.log", patterns=[r"epoch (?P<step>\d+).*loss (?P<loss>\S+)"])
    script.write("train.log", "epoch 0: loss 9\n")
    script = Followed(tmp_path, "train.log", patterns=[r"epoch (?P<step>\d+).*loss (?P<loss>\S+)"])
    script.write("train.log", "\x1b[1mepoch 1\x1b[0m: loss 3\nepoch 2: loss 2", "a")
    assert script.look() + script.end() == [(1, {"loss": 3.0}), (2, {"loss": 2.0})]


def test_what_a_script_reports_itself_is_followed_without_being_named(tmp_path: Path) -> None:
    script = Followed(tmp_path)
    path = script.run / REPORTED_FILE
    path.write_text('{"step": 1, "val_mae": 0.5}\n{"step": 1, "val_r2": 1}\n{"val_mae": 0.4}\n')
    assert script.look(0.0) == [(1, {"val_mae": 0.5}), (1, {"val_r2": 1.0}), (1, {"val_mae": 0.4})]


def test_an_offline_log_of_wandb_is_followed_and_compared_with_the_config(tmp_path: Path) -> None:
    script = Followed(tmp_path)
    folder = script.run / "wandb" / "offline-run-1-x"
    folder.mkdir(parents=True)
    data = log_bytes({"lr": 0.5}, [(0, {"loss": 1.0}), (1, {"loss": 0.5, "epoch": 3.0})])
    (folder / "run-x.wandb").write_bytes(data)
    assert script.look() == [(0, {"loss": 1.0}), (1, {"loss": 0.5})]
    assert script.sources.differences({"lr": 0.1}) == ["asked lr 0.1, recorded 0.5"]


def test_a_source_without_metrics_is_warned_of(tmp_path: Path) -> None:
    script = Followed(tmp_path, "never.csv", "empty.csv")
    script.write("empty.csv", "epoch,loss\n")
    script.look()
    script.end()
    never, empty = script.sources.complaints()
    assert never == "metrics.files 'never.csv': the program wrote no new file that matches"
    assert empty.startswith("metrics.files 'empty.csv': no numbers in ")


def test_two_trials_do_not_follow_one_file(tmp_path: Path) -> None:
    first = Followed(tmp_path, "log.csv", is_shared=True)
    second = Followed(tmp_path, "log.csv", is_shared=True)
    try:
        first.write("log.csv", "epoch,loss\n1,0.5\n")
        assert first.look() == [(1, {"loss": 0.5})]
        assert second.look() + second.end() == []
        (told,) = second.sources.complaints()
        assert "another running trial writes" in told
        assert "workdir: copy" in told
    finally:
        first.folder.close()
        second.folder.close()


def test_arrays_come_under_our_names(tmp_path: Path) -> None:
    here, run = tmp_path / "work", tmp_path / "run"
    for folder in (here / "a", here / "b", run):
        folder.mkdir(parents=True)
    np.save(here / "a" / "y_pred.npy", np.zeros(2))
    wanted = {"predictions": "*/y_pred.npy", "targets": "all.npz:truth", "val_targets": "no.npy"}
    arrays = Arrays(wanted, ScriptFolder(lambda: here))
    np.save(here / "b" / "y_pred.npy", np.arange(3.0))
    np.savez(here / "all.npz", truth=np.arange(4.0), other=np.ones(1))
    (missing,) = arrays.keep(run)
    assert missing.startswith("metrics.val_targets 'no.npy': no file of this trial matches")
    assert np.load(run / "predictions.npy").tolist() == [0.0, 1.0, 2.0]
    assert np.load(run / "targets.npy").tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [("all.npz", ":pred", "it has no pred, but truth"), ("x.npy", "", "not an .npy array")],
)
def test_files_without_an_array_are_warned_of(
    name: str, key: str, words: str, tmp_path: Path
) -> None:
    arrays = Arrays({"targets": f"{name}{key}"}, ScriptFolder(lambda: tmp_path))
    np.savez(tmp_path / "all.npz", truth=np.ones(1))
    (tmp_path / "x.npy").write_text("no array")
    (problem,) = arrays.keep(tmp_path)
    assert problem.endswith(words)
    assert not (tmp_path / "targets.npy").exists()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
