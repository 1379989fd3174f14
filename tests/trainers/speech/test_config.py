from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainers.base import Parameter, build, parameters
from trainers.speech import metrics
from trainers.speech.config import METRICS, PRESETS, Config

DECLARED = parameters(Config)
ROOT = Path(__file__).parents[3]


def allowed(parameter: Parameter, value: Any) -> bool:
    if value is None:
        return parameter.nullable
    if parameter.choices:
        return value in parameter.choices
    if parameter.type in (int, float):
        low = -float("inf") if parameter.low is None else parameter.low
        high = float("inf") if parameter.high is None else parameter.high
        return isinstance(value, int | float) and low <= value <= high
    return isinstance(value, parameter.type)


@pytest.mark.parametrize("name", DECLARED)
def test_every_default_is_a_value_that_its_parameter_allows(name: str) -> None:
    assert allowed(DECLARED[name], DECLARED[name].default)
    assert DECLARED[name].help


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_sets_known_parameters_to_allowed_values(preset: str) -> None:
    assert set(PRESETS) == set(DECLARED["preset"].choices)
    for name, value in PRESETS[preset].items():
        assert allowed(DECLARED[name], value), f"{preset}.{name} = {value}"
    assert build(Config, PRESETS, {"preset": preset}).preset == preset


def test_paper_is_the_published_size() -> None:
    config = build(Config, PRESETS, {"preset": "paper"})
    assert (config.gru_layers, config.gru_hidden, config.bidirectional) == (5, 1024, True)
    assert (config.channels, config.unfold_kernel, config.unfold_stride) == (256, 32, 4)
    assert (config.smoothing_sigma, config.smoothing_kernel, config.dropout) == (2.0, 20, 0.4)
    assert (config.optimizer, config.lr, config.eps) == ("adam", 0.02, 0.1)
    assert (config.weight_decay, config.gradient_clip_val) == (1e-5, 0.0)
    assert (config.batch_size, config.batches, config.eval_every) == (64, 10_000, 100)
    assert (config.white_noise, config.constant_offset) == (0.8, 0.2)


def test_reported_metrics_carry_a_split_and_the_first_ranks() -> None:
    assert next(name for name in METRICS if name.startswith("val_")) == "val_per"
    for name in METRICS:
        assert name.startswith(("train_", "val_")) or name in ("lr", "grad_norm")
        bare = name.removeprefix("val_")
        if name.startswith("val_") and name != "val_loss":
            assert METRICS[name].goal == metrics.GOALS[bare]
