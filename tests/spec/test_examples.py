"""Each file under sweeps/examples: what it asks for, to the last trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.spec.expand import count_trials, exclusion, iter_configs
from orchestrator.spec.load import load_spec

EXAMPLES = Path(__file__).parent.parent.parent / "sweeps" / "examples"
COUNTS = {
    "base.yaml": 1,
    "distributions.yaml": 10,
    "extends.yaml": 4,
    "relations.yaml": 18,
    "wandb.yaml": 6,
}


def test_none_is_forgotten() -> None:
    assert {path.name for path in EXAMPLES.glob("*.yaml")} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_they_could_run(name: str) -> None:
    spec = load_spec(EXAMPLES / name, need_program=True)
    assert spec.warnings == ()
    trials = list(iter_configs(spec))
    assert len(trials) == count_trials(spec) == COUNTS[name]
    assert len({trial.name for trial in trials}) == len(trials)


def test_relations() -> None:
    spec = load_spec(EXAMPLES / "relations.yaml")
    pairs = {(trial.config["batch_size"], trial.config["lr"]) for trial in iter_configs(spec)}
    assert pairs == {(8, 1e-3), (32, 4e-3)}
    for trial in iter_configs(spec):
        config = trial.config
        assert ("weight_decay" in config) == (config["optimizer"] == "adamw")
        assert not (config["precision"] == 16 and config["gradient_clip_val"] is None)
    assert exclusion(spec).count == 18


def test_extends(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_spec(EXAMPLES / "extends.yaml")
    assert (spec.fixed["dropout"], spec.fixed["epochs"]) == (0.1, 20)
    assert [trial.config.get("t20_weight") for trial in iter_configs(spec)] == [None, 1.5, 2.5, 4.0]
    monkeypatch.setenv("SWEEP_EPOCHS", "3")
    assert load_spec(EXAMPLES / "extends.yaml").fixed["epochs"] == 3


def test_distributions_reach_the_program_as_one_mapping() -> None:
    for trial in iter_configs(load_spec(EXAMPLES / "distributions.yaml")):
        assert set(trial.config["network"]) == {"layers", "width"}
        assert trial.config["network"]["width"] % 8 == 0
        assert type(trial.config["rounded_logarithm"]) is int
