"""The shipped SAR sweeps, and the page that describes the trainer."""

from pathlib import Path

import pytest

from orchestrator.errors import SweepError
from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Spec
from trainers.base import build, parameters
from trainers.sar import metrics
from trainers.sar.config import METRICS, PRESETS, Config

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "sweeps").glob("sar_*.yaml"))
NUMBERS = {"sar_loss_weights": 5, "sar_quick_full": 8}


def configs(spec: Spec) -> list[Config]:
    return [build(Config, PRESETS, trial.config) for trial in iter_configs(spec)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_sweep_is_a_good_file_that_ranks_by_psnr(path: Path) -> None:
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.warnings == ()
    assert count_trials(spec) == NUMBERS[path.stem]
    assert spec.metric is not None
    assert (spec.metric.name, spec.metric.goal) == ("val_psnr", "maximize")
    assert not METRICS[spec.metric.name].is_loss
    assert set(spec.targets) <= set(metrics.GOALS)


def test_both_sweeps_are_here() -> None:
    assert {path.stem for path in FILES} == set(NUMBERS)


def test_a_sweep_over_weights_cannot_rank_by_the_loss() -> None:
    with pytest.raises(SweepError, match="val_loss"):
        load_spec(ROOT / "sweeps" / "sar_loss_weights.yaml", overrides=["metric=val_loss"])


def test_trials_of_the_weights_differ_in_their_weights_alone() -> None:
    found = [vars(config) for config in configs(load_spec(FILES[0]))]
    differing = {name for name in found[0] if len({str(values[name]) for values in found}) > 1}
    assert differing == {"mse_weight", "ssim_weight"}
    shares = {name: round(c["mse_weight"] / c["ssim_weight"], 6) for name, c in enumerate(found)}
    assert shares[3] == shares[4], "the last two ask for the same in other units"


def test_the_stages_are_the_published_budgets_on_the_same_configs() -> None:
    path = ROOT / "sweeps" / "sar_quick_full.yaml"
    quick, full = (configs(load_spec(path, stage=stage)) for stage in ("quick", "full"))
    assert {(c.data_fraction, c.epochs) for c in quick} == {(0.05, 20)}
    assert {(c.data_fraction, c.epochs) for c in full} == {(0.20, 30)}
    assert [(c.model, c.lr) for c in quick] == [(c.model, c.lr) for c in full]
    assert {c.model for c in quick} == set(parameters(Config)["model"].choices)


def test_the_defaults_are_the_published_ones() -> None:
    config = build(Config, PRESETS, {"preset": "paper"})
    published = {
        "patch_size": 256,
        "latent_channels": 16,
        "db_min": 14.77,
        "db_max": 24.54,
        "optimizer": "adamw",
        "weight_decay": 1e-5,
        "lr": 5e-5,
        "warmup_epochs": 3.0,
        "gradient_clip_val": 0.5,
        "mse_weight": 0.5,
        "ssim_weight": 0.5,
        "epochs": 30,
    }
    assert {name: getattr(config, name) for name in published} == published


def test_parameters_that_change_what_a_loss_means_are_marked() -> None:
    marked = {name for name, known in parameters(Config).items() if known.alters_loss}
    assert marked == {"mse_weight", "ssim_weight", "db_min", "db_max", "data_scale", "looks"}


def test_every_metric_and_sweep_is_described() -> None:
    text = (ROOT / "docs" / "sar.md").read_text(encoding="utf-8")
    for name in (*metrics.GOALS, *(path.name for path in FILES)):
        assert f"`{name}`" in text, f"docs/sar.md: {name} is missing"
