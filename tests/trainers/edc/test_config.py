import dataclasses

import pytest
from hypothesis import given, strategies as st

from trainers.base import Parameter, build, parameters
from trainers.edc.config import METRICS, PRESETS, Config

DECLARED = parameters(Config)


def allowed(parameter: Parameter, value: object) -> bool:
    if value is None:
        return parameter.nullable
    if parameter.choices:
        return value in parameter.choices
    if parameter.type in (int, float):
        assert isinstance(value, (int, float))
        low = -float("inf") if parameter.low is None else parameter.low
        high = float("inf") if parameter.high is None else parameter.high
        return low <= value <= high
    return isinstance(value, parameter.type)


@pytest.mark.parametrize("name", DECLARED)
def test_every_default_is_a_value_that_its_parameter_allows(name: str) -> None:
    parameter = DECLARED[name]
    assert allowed(parameter, parameter.default)
    assert parameter.help
    assert "\n" not in parameter.help


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_sets_known_parameters_to_allowed_values(preset: str) -> None:
    assert preset in DECLARED["preset"].choices
    for name, value in PRESETS[preset].items():
        assert allowed(DECLARED[name], value), f"{preset}.{name} = {value}"
    assert build(Config, PRESETS, {"preset": preset}).preset == preset


def test_presets_and_choices_are_the_same_names() -> None:
    assert set(PRESETS) == set(DECLARED["preset"].choices)


def test_a_value_beats_the_preset_and_the_preset_the_default() -> None:
    config = build(Config, PRESETS, {"preset": "paper", "batch_size": 2})
    assert (config.batch_size, config.fc_width, config.lr) == (2, 2048, 1e-3)


def test_parameters_that_change_the_meaning_of_the_loss_are_marked() -> None:
    marked = {name for name, parameter in DECLARED.items() if parameter.alters_loss}
    assert marked == {
        "loss",
        "edt_weight",
        "t20_weight",
        "c50_weight",
        "aux_weight",
        "aux_temperature",
        "scaler_type",
    }


def test_only_losses_are_marked_as_losses_and_every_metric_has_its_prefix() -> None:
    assert {name for name, metric in METRICS.items() if metric.is_loss} == {
        "train_loss",
        "val_loss",
    }
    for name in METRICS:
        assert name.startswith(("train_", "val_")) or name in ("lr", "grad_norm")
    assert METRICS["val_r2"].goal == "maximize"


@given(st.integers(min_value=1, max_value=50))
def test_whole_numbers_become_floats_where_a_float_is_meant(value: int) -> None:
    config = build(Config, PRESETS, {"t20_weight": value, "duration_s": value})
    assert isinstance(config.t20_weight, float)
    assert isinstance(config.duration_s, float)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().lr = 1.0  # type: ignore[misc]


def test_the_defaults_are_the_published_ones() -> None:
    """Facts of arXiv 2509.24769 and 2509.24834 and their programs."""
    config = build(Config, PRESETS, {"preset": "paper"})
    published = {
        "lr": 1e-3,
        "optimizer": "adam",
        "batch_size": 8,
        "gradient_clip_val": 1.0,
        "epochs": 200,
        "patience": 50,
        "lstm_hidden": 128,
        "fc_width": 2048,
        "conv_channels": 32,
        "dropout": 0.3,
        "aux_weight": 0.1,
        "aux_temperature": 1.0,
        "edt_weight": 1.5,
        "t20_weight": 2.5,
        "c50_weight": 2.0,
        "rate_hz": 48_000.0,
        "duration_s": 2.0,
    }
    assert {name: getattr(config, name) for name in published} == published
