"""The contract's own code: declarations, presets, and how a config is built of them."""

from dataclasses import dataclass

import pytest

from orchestrator.sweepfile.trainer_schemas import trainer_schema
from trainers.base import Parameter, build, parameter, parameters


@dataclass(frozen=True)
class Config:
    preset: str = parameter("small", "sizes", choices=("small", "large"))
    width: int = parameter(8, "width", unit="units", low=1, high=64, alters_memory=True)
    rate: float = parameter(0.1, "rate", low=0.0)
    clip: float | None = parameter(1.0, "clip", low=0.0)
    weight: float = parameter(1.0, "weight", alters_loss=True)
    path: str | None = parameter(None, "data", is_path=True)


PRESETS = {"small": {}, "large": {"width": 64, "rate": 1}}


def test_a_declaration_says_all_that_was_given() -> None:
    declared = parameters(Config)
    assert list(declared) == ["preset", "width", "rate", "clip", "weight", "path"]
    assert declared["width"] == Parameter(
        name="width",
        type=int,
        default=8,
        help="width",
        unit="units",
        low=1,
        high=64,
        alters_memory=True,
    )
    assert declared["clip"].nullable
    assert declared["clip"].type is float
    assert [name for name, known in declared.items() if known.alters_loss] == ["weight"]
    assert [name for name, known in declared.items() if known.alters_memory] == ["width"]
    assert [name for name, known in declared.items() if known.is_path] == ["path"]


def test_values_win_over_the_preset_and_the_preset_over_defaults() -> None:
    assert build(Config, PRESETS, {}).width == 8
    large = build(Config, PRESETS, {"preset": "large", "clip": None})
    assert (large.width, large.rate, large.clip) == (64, 1.0, None)
    assert isinstance(large.rate, float)
    assert build(Config, PRESETS, {"preset": "large", "width": 2}).width == 2


def test_a_name_that_is_unknown_is_refused() -> None:
    with pytest.raises(TypeError, match="widht"):
        build(Config, PRESETS, {"widht": 3})


def test_the_memory_of_an_edc_trial_goes_with_sizes_data_and_precision() -> None:
    declared = trainer_schema("edc").parameters
    marked = {name for name, known in declared.items() if known.alters_memory}
    assert {"preset", "model", "fc_width", "precision", "batch_size", "data_path"} <= marked
    assert not marked & {"seed", "lr", "epochs", "patience", "weight_decay", "dropout"}
