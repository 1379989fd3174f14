"""A tiny trainer for these tests, so that they do not depend on the parameters of a real one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trainers

CONFIG = """
from dataclasses import dataclass
from trainers.base import Metric, parameter

DATA_KIND = "sweep_toy_curve"

@dataclass(frozen=True)
class Config:
    preset: str = parameter("small", "sizes")
    lr: float = parameter(1e-3, "learning rate", low=0.0, high=10.0)
    epochs: int = parameter(5, "epochs", low=1, high=1000)
    amp: bool = parameter(False, "mixed precision")
    model: str = parameter("lstm", "network", choices=("lstm", "hybrid"))
    clip: float | None = parameter(1.0, "gradient clip", low=0.0)
    note: str = parameter("", "words")
    weight: float = parameter(1.0, "loss weight", low=0.0, alters_loss=True)
    data_fraction: float = parameter(1.0, "share", low=1e-6, high=1.0)
    seed: int = parameter(7, "seed", low=0, high=1000)

PRESETS = {"small": {"epochs": 5}, "heavy": {"epochs": 50, "weight": 3.0}}
METRICS = {
    "train_loss": Metric(is_loss=True),
    "val_loss": Metric(is_loss=True),
    "val_mae": Metric(),
    "val_r2": Metric(goal="maximize"),
    "lr": Metric(),
}
"""
METRICS = 'GOALS = {"mae": "minimize", "t20_mae": "minimize", "t20_r2": "maximize"}\n'


@pytest.fixture(autouse=True)
def sweep_toy_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a trainer next to the real ones, under a name that no real one would have."""
    folder = tmp_path / "more_trainers" / "sweep_toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "config.py").write_text(CONFIG)
    (folder / "metrics.py").write_text(METRICS)
    monkeypatch.setattr(trainers, "__path__", [*trainers.__path__, str(folder.parent)])
    yield
    for name in [name for name in sys.modules if name.startswith("trainers.sweep_toy")]:
        del sys.modules[name]
    if hasattr(trainers, "sweep_toy"):
        del trainers.sweep_toy


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a sweep file and returns its path."""

    def write_text(text: str) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_text
