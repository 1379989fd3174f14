"""Every shipped trainer keeps the contract; and the test of it finds whoever does not."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sweepfile.trainer_schemas import trainer_names
from trainers.conformance import _PROMISES, conformance, main
from trainers.loading import Trainer, load_trainer

PLAIN = """
import numpy as np
from dataclasses import dataclass
from trainers.base import Metric, parameter

@dataclass(frozen=True)
class Config:
    epochs: int = parameter(6, "epochs", low=1)
    seed: int = parameter(0, "seed")

METRICS = {"train_loss": Metric(is_loss=True), "val_mae": Metric()}

def data(split, count, share=1.0):
    values = np.random.default_rng(["train", "val", "test"].index(split)).normal(size=(count, 2))
    return values[: max(1, int(share * count))]

def train(config, run):
    random = np.random.default_rng(config.seed)
    state = run.restore() or {"epoch": 0, "weight": 0.0, "rng": [str(random.bit_generator.state)]}
    random.bit_generator.state = eval(state["rng"][0])
    weight, epoch = state["weight"], state["epoch"]
    targets = {split: data(split, 12, run.data_fraction if split == "train" else 1.0)
               for split in ("train", "val", "test")}
    while epoch < config.epochs:
        if run.should_stop:
            run.checkpoint({"epoch": epoch, "weight": weight,
                            "rng": [str(random.bit_generator.state)]})
            return
        weight += float(random.normal())
        epoch += 1
        error = float(np.abs(weight - targets["val"]).mean())
        run.report(epoch, train_loss=abs(weight), val_mae=error)
        run.checkpoint({"epoch": epoch, "weight": weight,
                        "rng": [str(random.bit_generator.state)]})
    for split, wanted in targets.items():
        run.save_predictions(np.full_like(wanted, weight), wanted, split=split)
"""


def quick(name: str) -> dict[str, Any]:
    """Return the settings for a short training, which are next to the trainer's other tests."""
    settings: dict[str, Any] = importlib.import_module(f"tests.trainers.{name}.quick").QUICK
    return settings


def made(tmp_path: Path, text: str) -> Trainer:
    module = f"held_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    return load_trainer(f"{module}:train", tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "runs"
    path.mkdir()
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", trainer_names())
def test_a_shipped_trainer_keeps_every_promise(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    report = conformance(load_trainer(name), quick(name), folder)
    assert not report.broken, str(report)
    assert not report.unseen, str(report)


def test_a_module_of_ones_own_that_keeps_every_promise(tmp_path: Path, folder: Path) -> None:
    report = conformance(made(tmp_path, PLAIN), {"epochs": 5}, folder)
    assert not report.broken, str(report)
    assert report.kept == list(_PROMISES)


@pytest.mark.parametrize(
    ("old", "new", "promise", "seen"),
    [
        ("np.random.default_rng(config.seed)", "np.random.default_rng()", "the same config", ""),
        ('"weight": weight,\n                        "rng"', '"weight": 0, "rng"', "from any", ""),
        ('random.bit_generator.state = eval(state["rng"][0])', "pass", "from any", "instead of"),
        ("        if run.should_stop:", "        if False:", "stops when", "never looks"),
        ("        if run.should_stop:", "        if run.should_stop and 0:", "stops when", "asked"),
        ("val_mae=error)", "val_mae=error, val_rmse=1.0)", "reports every", "val_rmse"),
        ("val_mae=error)", "val_mae=error, accuracy=1.0)", "steps rise", "accuracy"),
        ("run.report(epoch,", "run.report(epoch // 2 + 1,", "steps rise", "rise from 1"),
        ('"val_mae": Metric()}', '"val_mae": Metric(), "val_r2": Metric()}', "reports every", "r2"),
        ("np.full_like(wanted, weight)", "np.full_like(wanted, 9.0)", "validation arr", "val_mae"),
        ('run.data_fraction if split == "train" else 1.0', "run.data_fraction", "data_frac", "val"),
        ("values[: max(1, int(share * count))]", "values * share", "data_frac", "not part"),
        ('{"epoch": epoch, "weight": weight,\n                        "rng"',
         '{"x": Config(), "epoch": epoch, "weight": weight,\n                        "rng"',
         "from any", ".Config"),
        ('    random = np.random.default_rng(config.seed)',
         '    import subprocess; subprocess.Popen(["sleep", "9"])\n'
         '    random = np.random.default_rng(config.seed)', "trains", "left 1 processes"),
        ("    random = ", "    raise KeyError('no data')\n    random = ", "trains", "KeyError"),
    ],
)  # fmt: skip
def test_a_promise_that_is_not_kept_is_seen(
    old: str,
    new: str,
    promise: str,
    seen: str,
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainers.recording.ENDS_WITHIN_S", 0.2)
    assert old in PLAIN
    report = conformance(made(tmp_path, PLAIN.replace(old, new)), {}, folder)
    found = [text for name, text in report.broken.items() if name.startswith(promise)]
    assert found, str(report)
    assert seen in found[0]


def test_the_command_says_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = made(tmp_path, PLAIN)
    place = ["--folder", str(tmp_path)]
    assert main([trainer.name, *place, "--set", "epochs=3"]) == 0
    assert "yes      stops when requested" in capsys.readouterr().out
    made(tmp_path, PLAIN.replace("def train", "def other"))
    assert main([trainer.name, *place, "--set", "epochs=x"]) == 2
    assert "--set epochs: must be int (found 'x'" in capsys.readouterr().err
    assert main(["nothing_of_mine:train", *place]) == 2
    assert "no module nothing_of_mine" in capsys.readouterr().err
