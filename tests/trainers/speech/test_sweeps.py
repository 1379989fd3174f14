"""The shipped speech sweeps: good files that mean what they say, for both presets."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Spec
from trainers.base import build
from trainers.speech import metrics
from trainers.speech.config import METRICS, PRESETS, Config

SWEEPS = Path(__file__).parents[3] / "sweeps"
FILES = sorted(SWEEPS.glob("speech_*.yaml"))


def configs(spec: Spec) -> list[Config]:
    return [build(Config, PRESETS, trial.config) for trial in islice(iter_configs(spec), 50)]


def test_the_two_sweeps_are_here() -> None:
    assert [path.stem for path in FILES] == ["speech_lr_eps", "speech_recovery"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_sweep_is_a_good_file_without_warnings(path: Path) -> None:
    spec = load_spec(path)
    assert (spec.name, spec.trainer) == (path.stem, "speech")
    assert spec.warnings == ()
    assert spec.description
    assert spec.metric is not None
    assert spec.metric.goal == METRICS[spec.metric.name].goal
    assert set(spec.targets) <= set(metrics.GOALS)


def test_the_grid_holds_every_pair_of_rate_and_eps() -> None:
    spec = load_spec(SWEEPS / "speech_lr_eps.yaml")
    found = configs(spec)
    assert count_trials(spec) == len(found) == 12
    pairs = {(config.lr, config.eps) for config in found}
    assert len(pairs) == 12
    # The published pair, Adam's usual eps, and the pair that was changed at once.
    assert {(0.02, 0.1), (0.02, 1e-8), (1e-3, 1e-8)} <= pairs
    rest = [{**vars(config), "lr": 0, "eps": 0} for config in found]
    assert all(values == rest[0] for values in rest)


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_each_change_differs_from_the_baseline_in_one_thing(preset: str) -> None:
    spec = load_spec(SWEEPS / "speech_recovery.yaml", overrides=[f"preset={preset}"])
    baseline, *changed = (vars(config) for config in configs(spec))
    assert (baseline["lr"], baseline["eps"], baseline["gradient_clip_val"]) == (1e-3, 1e-8, 5.0)
    assert (baseline["white_noise"], baseline["constant_offset"]) == (0.0, 0.0)
    found: list[dict[str, Any]] = [
        {name: value for name, value in config.items() if value != baseline[name]}
        for config in changed
    ]
    assert found == [
        {"lr_schedule": "plateau"},
        {"lr_schedule": "plateau", "plateau_patience": 12},
        {"optimizer": "adamw", "weight_decay": 1e-4},
        {"time_mask_prob": 0.05},
        {"dropout": 0.3},
        {"dropout": 0.4},
        {"dropout": 0.5},
        {"precision": 16},
    ]
