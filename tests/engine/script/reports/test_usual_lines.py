"""Metrics of programs whose sweep file names none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.probe.observe import Observed
from orchestrator.engine.script.output_text import Line
from orchestrator.engine.script.reports.usual_lines import UsualLines, reports_itself
from orchestrator.sweepfile.model.program import Program
from tests.engine.script.script_runner import run_trial


def followed(*lines: str) -> Observed:
    seen = Observed()
    reader = UsualLines(seen, ["dropout"])
    for line in lines:
        reader.line(Line(line), 0.0)
    reader.send()
    return seen


@pytest.mark.parametrize(
    ("lines", "steps", "values"),
    [
        (["epoch 1 val_loss: 0.5", "epoch 2 val_loss: 0.4"], {1, 2}, {"val_loss": [0.5, 0.4]}),
        (
            ["Epoch 3/9", "7/7 - 1s - loss: 0.5 - val_acc: 0.9"],
            {3},
            {"loss": [0.5], "val_acc": [0.9]},
        ),
        (
            ["Epoch 1, Step 10/20, Loss: 2.0", "Epoch 1, Step 20/20, Loss: 1.0"],
            {1},
            {"loss": [1.0]},
        ),
        (["{'eval_loss': 0.5, 'epoch': 1.0}"], {1}, {"val_loss": [0.5]}),
        (["Epoch 1: loss 0,750", "Epoch 2: loss 1,250"], {1, 2}, {"loss": [0.75, 1.25]}),
        (["RMSE: 3.5", "RMSE: 3.25"], {1, 2}, {"rmse": [3.5, 3.25]}),
        (["dropout: 0.5", "lr 0.1", "train 200 val 20", "it took 3.5 s"], set(), {}),
    ],
)
def test_lines(lines: list[str], steps: set[int], values: dict[str, list[float]]) -> None:
    seen = followed(*lines)
    assert (seen.steps, seen.values) == (steps, values)


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_lines(lines: list[str]) -> None:
    followed(*lines)


def test_a_script_that_reports_itself_is_not_followed(tmp_path: Path) -> None:
    file = tmp_path / "p.py"
    file.write_text("print('val_loss 0.5')")
    assert not reports_itself(Program(path=str(file)))
    file.write_text("import wandb")
    assert reports_itself(Program(path=str(file)))


def test_a_failure_names_command_and_folder(tmp_path: Path) -> None:
    file = tmp_path / "p.py"
    file.write_text("print('epoch 1 val_loss 0.5')\nraise SystemExit(3)")
    program = Program(path=str(file), workdir=str(tmp_path))
    trial = run_trial(program, {"lr": "a b"}, tmp_path / "run")
    assert trial.reports == [(1, {"val_loss": 0.5})]
    assert trial.error is not None
    assert f"{file} '--lr=a b'\nFolder: {tmp_path}\nLog: " in trial.error
    assert b"taken from the output: val_loss" in trial.log
