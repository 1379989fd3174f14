"""A metric is one record: a new one is checked, computed, shown and ranked by, and documented."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainers
from orchestrator import metrics
from orchestrator.analysis.table import compare
from orchestrator.cli import main
from orchestrator.metrics import regression
from orchestrator.sweepfile import load_spec
from tests.analysis import made

DOCS = Path(__file__).parents[2] / "docs"

BIAS = """
from orchestrator.metrics import Metric

def bias(pair):
    return abs(float((pair.predictions - pair.targets).mean()))

METRIC = Metric("mean_bias", "minimize", "distance of the means", bias, unit="K")
"""
CONFIG = """
from dataclasses import dataclass
from trainers.base import Metric, parameter

DATA_KIND = "coin"

@dataclass(frozen=True)
class Config:
    lr: float = parameter(1e-3, "learning rate", low=0.0, high=10.0)

METRICS = {"val_loss": Metric(is_loss=True), "val_heads": Metric(goal="maximize", unit="%")}
"""
COIN = """
GOALS = {"heads": "maximize"}

def evaluate(predictions, targets):
    return {"heads": 100.0 * float((predictions > 0.5).mean())}
"""


@pytest.fixture
def bias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a module with one metric into the package of the metrics of any arrays."""
    folder = tmp_path / "more_metrics"
    folder.mkdir()
    (folder / "mean_bias.py").write_text(BIAS)
    monkeypatch.setattr(regression, "__path__", [*regression.__path__, str(folder)])
    yield
    sys.modules.pop("orchestrator.metrics.regression.mean_bias", None)


@pytest.fixture
def coin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a trainer with data of a kind of its own next to those that ship."""
    folder = tmp_path / "more_trainers" / "coins"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "config.py").write_text(CONFIG)
    (folder / "metrics.py").write_text(COIN)
    monkeypatch.setattr(trainers, "__path__", [*trainers.__path__, str(folder.parent)])
    yield
    for name in [name for name in sys.modules if name.startswith("trainers.coins")]:
        del sys.modules[name]
    if hasattr(trainers, "coins"):
        del trainers.coins


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_metric_of_any_arrays_is_known_everywhere(
    bias: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = load_spec(write(tmp_path, "trainer: signal\ntargets: {mean_bias: <= 0.1}\n"))
    assert "mean_bias" in spec.targets
    sweep = made.sweep(tmp_path / "results", targets={"mean_bias": "<= 0.1"})
    for number, error in enumerate((0.3, 0.2)):
        run = made.trial(sweep, number, error=error, val_error=0.1)
        made.metadata(run.path, data={"kind": "regression"})
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(sweep.path), "--sort-by", "mean_bias"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "ranked by mean_bias, lowest first" in shown
    assert "Target mean_bias <= 0.1: met by 2 of 2." in shown
    assert list(metrics.known_metrics())[:3] == ["mae", "rmse", "r2"]
    assert "mean_bias" in metrics.known_metrics()
    assert metrics.unit("val_mean_bias") == "K"


def test_a_kind_is_found_by_its_trainer(coin: None, tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "trainer: coins\ntargets: {heads: '>= 40'}\n"))
    assert "heads" in spec.targets
    run = made.trial(made.sweep(tmp_path / "results"), 0, error=0.1)
    made.metadata(run.path, data={"kind": "coin"})
    found = compare([tmp_path / "results"], sort_by="heads")
    assert (found.goal, found.rows[0].metrics["heads"]) == ("maximize", 50.0)
    assert metrics.unit("val_heads", "coin") == "%"
    assert {"coin", "coins"} <= set(metrics.kind_names())


def test_every_metric_of_any_arrays_is_described() -> None:
    text = (DOCS / "files.md").read_text(encoding="utf-8")
    for metric in metrics.known_metrics().values():
        row = f"| `{metric.name}` | {metric.definition} | {metric.goal}"
        assert row in text, f"docs/files.md needs a row that begins with {row}"
