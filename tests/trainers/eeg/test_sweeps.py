"""The shipped EEG sweeps and the declarations that they rest on."""

from itertools import islice
from pathlib import Path

import pytest

from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from trainers.base import build, parameters
from trainers.eeg import metrics
from trainers.eeg.config import METRICS, PRESETS, Config

SWEEPS = Path(__file__).parents[3] / "sweeps"
FILES = sorted(SWEEPS.glob("eeg_*.yaml"))


def configs(path: Path) -> list[Config]:
    spec = load_spec(path)
    return [build(Config, PRESETS, trial.config) for trial in islice(iter_configs(spec), 100)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_sweep_is_a_good_file_that_ranks_by_what_can_be_compared(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.warnings == ()
    assert spec.description
    assert spec.metric is not None
    assert not METRICS[spec.metric.name].is_loss
    assert spec.metric.goal == METRICS[spec.metric.name].goal
    assert set(spec.targets) <= set(metrics.GOALS)
    for config in configs(path):
        assert config.subjects == PRESETS["small"]["subjects"]


def test_one_trial_alone_steps_wrongly_and_differs_from_the_published_one_in_that_alone() -> None:
    found = configs(SWEEPS / "eeg_onecycle.yaml")
    wrong = [config for config in found if config.step_per == "epoch"]
    assert len(wrong) == 1
    right = [vars(config) for config in found if config.step_per == "batch"]
    published = {**vars(wrong[0]), "step_per": "batch"}
    assert published in right
    assert len({(config.max_lr, config.pct_start) for config in found}) == len(found) - 1


def test_the_baseline_stands_beside_every_probe() -> None:
    assert count_trials(load_spec(SWEEPS / "eeg_probe.yaml")) == 8
    found = {(c.model, c.hidden, c.standardize) for c in configs(SWEEPS / "eeg_probe.yaml")}
    assert {("bandpower", 128, "train"), ("bandpower", 128, "subject")} <= found
    assert {("linear", 128, "train"), ("mlp", 128, "train"), ("mlp", 512, "train")} <= found


def test_the_paper_preset_is_the_published_probe() -> None:
    config = build(Config, PRESETS, {"preset": "paper"})
    published = {
        "width": 512,
        "hidden": 128,
        "dropout": 0.1,
        "channels": 20,
        "rate_hz": 256.0,
        "window_s": 4.0,
        "stride_s": 2.0,
        "max_lr": 3e-3,
        "pct_start": 0.1,
        "div_factor": 25.0,
        "final_div_factor": 1000.0,
        "weight_decay": 1e-4,
        "batch_size": 32,
        "gradient_clip_val": 1.0,
    }
    assert {name: getattr(config, name) for name in published} == published


def test_what_changes_sizes_is_marked_as_changing_memory() -> None:
    marked = {name for name, known in parameters(Config).items() if known.alters_memory}
    assert {"preset", "model", "width", "layers", "encode_batch_size", "data_path"} <= marked
    assert not marked & {"max_lr", "seed", "epochs", "dropout", "step_per"}
    altering = {name for name, known in parameters(Config).items() if known.alters_loss}
    assert altering == {"class_weights", "standardize"}
