from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.runs.records import TrialState
from tests.analysis import made
from tests.cli.commands.results.test_compare import sweep

Capture = pytest.CaptureFixture[str]
FILE = "version: 1\nname: {name}\nprogram: t.py\nparameters:\n  lr: {{values: {lr}}}\n"


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two trials that differ in lr, wd and the arrays; both used an lr of 0.1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_RESULTS", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    made_sweep = made.sweep(tmp_path / "results")
    for number, more in enumerate(({"lr": 0.1}, {"lr": 0.01, "wd": 1e-4})):
        run = made.trial(made_sweep, number, config={"batch": 8, **more})
        wanted = np.linspace(0, 1, 400).reshape(100, 4)
        noise = np.random.default_rng(number).normal(0, 0.1 * (number + 1), (100, 4))
        np.save(run.targets_file(), wanted)
        np.save(run.predictions_file(), wanted + noise)
        config = {"batch": 8, **more}
        made.metadata(
            run.path, config=config, effective={"lr": 0.1, "precision": 32}, epochs_done=6
        )
        for step in range(1, 7):
            loss = 1 / step + (0.1 * (step - 2) * number if step > 2 else 0)
            made.report(run, step, float(step), train_loss=loss, val_acc=step / 10)
    return tmp_path


def test_two_trials_side_by_side(trials: Path, capsys: Capture) -> None:
    assert sweep("diff", "0", "t1") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [
        "A: results/demo/trials/0000-t0 (COMPLETE)",
        "B: results/demo/trials/0001-t1 (COMPLETE)",
    ]
    assert "Config: 2 parameters differ, 1 is the same." in lines
    assert "lr 0.1 0.01" in lines
    assert "wd - 0.0001" in lines
    (mae,) = [line for line in lines if line.startswith("mae")]
    assert mae.endswith("A")
    assert "[+" in mae
    (loss,) = [line for line in lines if line.startswith("train_loss:")]
    assert loss.startswith("train_loss: the same until step 2; A is lower from step 3 on")
    assert "val_acc: the same at all 6 common steps." in lines
    assert "lr 0.1 0.1 0.01 0.1" in lines, "requested and effective"
    assert not any(line.startswith("precision") for line in lines)


def test_means_over_the_seeds_of_two_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    made_sweep = made.sweep(tmp_path / "results")
    for number in range(6):
        group = number // 3
        run = made.trial(
            made_sweep, number, config={"lr": group}, group=group, replicate=number % 3
        )
        made.report(run, 1, 1.0, val_mae=0.5 + group + 0.01 * (number % 3))
    assert sweep("diff", "0", "3") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at = lines.index("Means over the seeds of both configs (3 and 3):")
    assert lines[at + 3].startswith("val_mae 0.5100 1.510 +1 [+0.977, +1.02] A")
    assert sweep("diff", "0", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["seeds"] == [], "two seeds of one config"


def test_json_has_everything(trials: Path, capsys: Capture) -> None:
    assert sweep("diff", "demo/t0", "results/demo/trials/0001-t1/", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {pair["name"]: pair["only_in"] for pair in found["config"]} == {"lr": None, "wd": "b"}
    metrics = {pair["name"]: pair for pair in found["metrics"]}
    assert metrics["mae"]["difference"]["low"] > 0
    assert metrics["mae"]["better"] == "a"
    assert found["curves"]["train_loss"]["step"] == 3
    assert found["effective"][0] == {
        "name": "lr",
        "a_requested": 0.1,
        "a_effective": 0.1,
        "b_requested": 0.01,
        "b_effective": 0.1,
    }


def test_a_trial_that_has_no_arrays_yet_has_curves(trials: Path, capsys: Capture) -> None:
    run = made.trial(made.SweepDir(trials / "results" / "demo"), 2, state=TrialState.PRUNED)
    made.report(run, 1, 1.0, train_loss=2.0)
    made.report(run, 2, 2.0, train_loss=float("nan"))
    assert sweep("diff", "0", "2") == 0
    out = capsys.readouterr().out
    assert "train_loss: B is not finite from step 2 on." in out
    assert "Note: B: PRUNED" in out


def test_logs_and_folders_of_other_tools(tmp_path: Path, capsys: Capture) -> None:
    for name, gain in (("a", 0.0), ("b", 0.1)):
        (tmp_path / name).mkdir()
        lines = [f"{step},{0.5 + gain + step / 100}" for step in range(1, 6)]
        (tmp_path / name / "metrics.csv").write_text("\n".join(["epoch,val_acc", *lines]))
    assert sweep("diff", str(tmp_path / "a"), str(tmp_path / "b" / "metrics.csv")) == 0
    out = capsys.readouterr().out
    assert "B" in next(line for line in out.splitlines() if line.startswith("val_acc")).split()
    assert "val_acc: A is lower from step 1 on" in out


def test_sweep_files_and_sweeps(trials: Path, capsys: Capture) -> None:
    (trials / "t.py").write_text("")
    for name, lr in (("one", "[0.1, 0.2]"), ("two", "[0.1, 0.3]")):
        (trials / f"{name}.yaml").write_text(FILE.format(name=name, lr=lr))
    assert sweep("diff", "one.yaml", "two.yaml") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "parameters.lr.values [0.1, 0.2] [0.1, 0.3]" in lines
    assert "name one two" in lines
    assert sweep("diff", "one.yaml", "one.yaml") == 0
    assert "They mean the same." in capsys.readouterr().out
    assert sweep("diff", "demo", "demo") == 0
    assert "They mean the same." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0", "demo"), "0 is a run and demo is a sweep. Name two runs, or two sweeps."),
        (("0", "7"), "No trial '7' in sweep 'demo' (found: 0 (t0), 1 (t1))."),
        (("results", "0"), "results: holds 2 runs (t0, t1). Name one of their folders."),
        (("nosuch/0", "1"), "No sweep 'nosuch' in results/ (found: demo)."),
        (("0", "1", "--at", "worst"), "--at: expected best, last or step:N (found 'worst')."),
    ],
)
def test_mistakes(trials: Path, capsys: Capture, arguments: tuple[str, ...], message: str) -> None:
    assert sweep("diff", *arguments) == 2
    assert message in capsys.readouterr().err
