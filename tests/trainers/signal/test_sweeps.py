"""The shipped signal sweeps, which mean what they say; and the page that describes them."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import pytest

from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from trainers.base import build
from trainers.signal.config import METRICS, PRESETS, Config
from trainers.signal.metrics import GOALS

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "sweeps").glob("signal_*.yaml"))
PAGE = ROOT / "docs" / "signal.md"


def test_the_two_sweeps_are_here() -> None:
    found = {path.stem: count_trials(load_spec(path)) for path in FILES}
    assert found == {"signal_lr": 4, "signal_size": 6}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_sweep_is_a_good_file_without_warnings(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.warnings == ()
    assert spec.description
    assert spec.metric is not None
    assert not METRICS[spec.metric.name].is_loss


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_sizes_come_from_the_preset_in_every_trial(path: Path, preset: str) -> None:
    spec = load_spec(path, overrides=[f"preset={preset}"])
    for trial in islice(iter_configs(spec), 10):
        config = build(Config, PRESETS, trial.config)
        for name, value in PRESETS[preset].items():
            assert getattr(config, name) == value
        assert config.rate_hz * config.duration_s == 10_000


def test_rates_remedies_milestones_and_tiers_are_those_that_people_use() -> None:
    spec = load_spec(ROOT / "sweeps" / "signal_lr.yaml")
    assert max(spec.parameters["lr"].values) == 1e-3
    assert min(spec.parameters["lr"].values) == 3e-5
    rising = spec.remedy["rising"]
    assert (rising.set, rising.start) == ({"lr": "*0.05"}, "scratch")
    restart, resume = spec.remedy["explosion"], spec.remedy["plateau"]
    assert "5e-05" in str(restart.set)
    assert "0.0003" in str(resume.set)
    assert {name: (bound.op, bound.limit) for name, bound in spec.expect.items()} == {
        "train_mse@5": ("<", 0.2),
        "train_mse@15": ("<", 0.05),
        "train_mse@25": ("<", 0.01),
    }
    assert list(spec.tiers) == ["minimum", "good", "excellent"]
    limits = [[bound.limit for bound in tier.values()] for tier in spec.tiers.values()]
    assert limits == [[0.01, 0.015, 1.5], [0.005, 0.007, 1.4], [0.001, 0.002, 1.2]]


def test_the_page_names_every_metric_and_sweep() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in {*GOALS, *(metric.removeprefix("val_") for metric in METRICS)} - {"lr"}:
        assert re.search(rf"`{name}`", text) or name == "grad_norm", name
    for path in FILES:
        assert f"`{path.name}`" in text
