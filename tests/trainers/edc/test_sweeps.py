"""The shipped EDC sweeps: good files that mean what they say, for both presets."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Spec
from tests.trainers.edc.local_run import LocalRun
from trainers.base import build
from trainers.edc import metrics
from trainers.edc.config import METRICS, PRESETS, Config
from trainers.edc.train import train

SWEEPS = Path(__file__).parents[3] / "sweeps"
FILES = sorted(SWEEPS.glob("edc_*.yaml"))
NUMBERS = {"edc_weights": 3, "edc_lr_grid": 9, "edc_dropout": 6, "edc_quick": 8, "edc_failure": 2}

# What a sweep sets beside what its preset does, to show what it shows in a minute.
CHOSEN = {"edc_failure": {"batch_size", "rooms", "epochs"}, "edc_quick": {"epochs"}}


def configs(spec: Spec) -> list[Config]:
    found = islice(iter_configs(spec), 100)
    return [build(Config, PRESETS, trial.config) for trial in found]


def test_the_five_sweeps_are_here() -> None:
    assert {path.stem for path in FILES} == set(NUMBERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_sweep_is_a_good_file_without_warnings(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.warnings == ()
    assert spec.description
    assert count_trials(spec) == NUMBERS[path.stem]
    assert spec.resources.gpu_memory_bytes == 8 * 2**30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_sweep_ranks_by_a_metric_that_can_be_compared(path: Path) -> None:
    spec = load_spec(path)
    assert spec.metric is not None
    declared = METRICS[spec.metric.name]
    assert not declared.is_loss
    assert spec.metric.goal == declared.goal
    assert set(spec.targets) <= set(metrics.GOALS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("preset", ["small", "paper"])
def test_sizes_come_from_the_preset_in_every_trial(path: Path, preset: str) -> None:
    varied = {"lr", "lr_schedule", "dropout", "loss"}
    found = configs(load_spec(path, overrides=[f"preset={preset}"]))
    assert found
    for config in found:
        for name, value in PRESETS[preset].items():
            if name not in varied | CHOSEN.get(path.stem, set()):
                assert getattr(config, name) == value, name
        points = config.rate_hz * config.duration_s
        assert points == (96_000 if preset == "paper" else 1_000)


def test_the_failure_is_the_one_that_happened_and_its_mending_the_one_that_helped() -> None:
    failed, stabilised = configs(load_spec(SWEEPS / "edc_failure.yaml"))
    assert (failed.loss, failed.precision) == (stabilised.loss, stabilised.precision)
    assert (failed.loss, failed.precision) == ("auxiliary", 16)
    assert (failed.batch_size, failed.gradient_clip_val) == (2, None)
    assert (failed.aux_weight, failed.aux_temperature) == (0.3, 2.0)
    assert (stabilised.gradient_clip_val, stabilised.batch_size) == (1.0, 16)
    assert (stabilised.aux_weight, stabilised.aux_temperature) == (0.1, 1.0)


def test_the_weights_are_the_three_asked_for() -> None:
    spec = load_spec(SWEEPS / "edc_weights.yaml")
    weights = {
        name: tuple(trial.set[key] for key in ("edt_weight", "t20_weight", "c50_weight"))
        for name, trial in spec.trials.items()
    }
    assert weights == {
        "conservative": (1.5, 2.5, 2.0),
        "moderate": (1.5, 3.0, 2.5),
        "aggressive": (1.5, 4.0, 3.5),
    }
    assert {config.loss for config in configs(spec)} == {"weighted_edc"}
    for trial in spec.trials.values():
        assert trial.note
        assert trial.risk
        assert set(trial.expect) == {"t20_mae", "c50_mae"}


def test_the_weights_have_the_five_targets() -> None:
    targets = load_spec(SWEEPS / "edc_weights.yaml").targets
    assert {name: (bound.op, bound.limit) for name, bound in targets.items()} == {
        "mae": ("<=", 0.020),
        "edt_mae": ("<=", 0.020),
        "t20_mae": ("<=", 0.020),
        "c50_mae": ("<=", 0.90),
        "r2": (">=", 0.98),
    }


def test_trials_of_a_sweep_differ_in_what_it_is_about_alone() -> None:
    about = {
        "edc_weights": {"edt_weight", "t20_weight", "c50_weight"},
        "edc_lr_grid": {"lr", "lr_schedule"},
        "edc_dropout": {"dropout"},
        "edc_quick": {"lr", "dropout", "loss"},
        "edc_failure": {"batch_size", "gradient_clip_val", "aux_weight", "aux_temperature"},
    }
    for path in FILES:
        found = [vars(config) for config in configs(load_spec(path))]
        differing = {
            name for name in found[0] if len({json.dumps(values[name]) for values in found}) > 1
        }
        assert differing <= about[path.stem], path.stem


def test_the_quick_stage_uses_a_twentieth_of_the_data_on_the_same_configs() -> None:
    quick = configs(load_spec(SWEEPS / "edc_quick.yaml", stage="quick"))
    full = configs(load_spec(SWEEPS / "edc_quick.yaml", stage="full"))
    assert {config.data_fraction for config in quick} == {0.05}
    assert {config.data_fraction for config in full} == {1.0}
    assert max(config.epochs for config in quick) < min(config.epochs for config in full)

    def drawn(found: list[Config]) -> list[tuple[Any, ...]]:
        return [(config.lr, config.dropout, config.loss) for config in found]

    assert drawn(quick) == drawn(full)


@pytest.mark.cpu_isa
@pytest.mark.slow
def test_a_trial_of_a_shipped_sweep_learns_real_simulated_rooms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path))
    overrides = ["rooms=60", "epochs=40", "rate_hz=250.0"]
    spec = load_spec(SWEEPS / "edc_weights.yaml", overrides=overrides)
    run = LocalRun(tmp_path)
    train(configs(spec)[0], run)
    found = metrics.errors(*run.arrays["test"])
    assert run.arrays["test"][0].shape == (60, 500)
    assert found["r2"] > 0.9
    assert any("simulat" in text for text in run.said)
