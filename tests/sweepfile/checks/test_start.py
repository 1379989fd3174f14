"""``start``: which configs are tried first, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile.expand.configs import iter_configs
from orchestrator.sweepfile.load import load_spec

Write = Callable[[str], Path]
HEAD = """\
program: env
run_cap: 4
metric: {name: val_loss, goal: minimize}
parameters:
  lr: {min: 0.001, max: 0.1, distribution: log_uniform_values}
  units: {values: [16, 32, 64]}
  drop: {min: 0.0, max: 0.5, q: 0.1}
"""


@pytest.mark.parametrize("text", [
    "start: [{lr: 0.05, units: 32, drop: 0.3}, {units: 64.0}]",
    "start: {configs: [{lr: 0.05, units: 32, drop: 0.3}, {units: 64}]}",
])  # fmt: skip
def test_given_configs_come_first(text: str, write: Write) -> None:
    drawn = [t.config for t in iter_configs(load_spec(write(f"{HEAD}method: random\n")))]
    spec = load_spec(write(f"{HEAD}method: random\n{text}\n"))
    first, second, *rest = [trial.config for trial in iter_configs(spec)]
    assert first == {"lr": 0.05, "units": 32, "drop": 0.3}
    assert second["units"] == 64 and 0.001 <= second["lr"] <= 0.1  # noqa: PT018
    assert type(second["units"]) is int
    assert rest == drawn[:2]
    assert load_spec(write(f"{HEAD}method: bayes\n{text}\n")).start == spec.start


def test_a_config_that_comes_first_is_not_drawn_again(write: Write) -> None:
    space = "parameters: {a: {values: [1, 2, 3]}}\nstart: [{a: 3}, {a: 1}]\n"
    spec = load_spec(write(f"program: env\nmethod: random\nrun_cap: 9\n{space}"))
    assert [trial.config["a"] for trial in iter_configs(spec)] == [3, 1, 2]


@pytest.mark.parametrize(("text", "key", "words"), [
    ("method: bayes\nstart: [{lr: 0.5}]", "start.0.lr", "in the range 0.001 to 0.1 of lr"),
    ("method: bayes\nstart: [{drop: 0.25}]", "start.0.drop", "in steps of 0.1 of drop"),
    ("method: bayes\nstart: [{units: 20}]", "start.0.units", "not among the values"),
    ("method: bayes\nstart: [{unit: 16}]", "start.0.unit", "Did you mean 'units'?"),
    ("method: bayes\nstart: {from: nosuch}", "start.from", "nosuch. Write results/NAME."),
    ("method: bayes\nstart: {from: .}", "start.from", "no folder of a sweep: /"),
    ("method: bayes\nstart: [{lr: '0.05'}]", "start.0.lr", "(found '0.05'). Remove the quotes."),
    ("method: bayes\nstart: {lr: 0.05}", "start.lr", "start: [{lr: 0.001}]"),
    ("method: random\nconstraints: [lr < 0.01]\nstart: [{lr: 0.05}]", "start", "config 0 breaks"),
    ("method: bayes\nstart: {}", "start", "expected a list of configs"),
    ("method: random\nstart: {from: .}", "start.from", "learns nothing from results"),
    ("method: bayes\nstart: [{lr: 0.05}]\ntrials: {a: {}}", "start", "cannot be combined"),
    ("method: bayes\ntrials: {a: {set: {lr: 0.05, units: 16, drop: 0}}}", "trials.a.set",
     "write start: [{lr: 0.05, units: 16, drop: 0}]"),
])  # fmt: skip
def test_mistakes(text: str, key: str, words: str, write: Write) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(f"{HEAD}{text}\n"))
    found = [(problem.key, problem.message) for problem in caught.value.problems]
    assert [key for key, message in found if words in message] == [key], found


@pytest.mark.parametrize(
    ("text", "key"), [("[5, {unit: 16}]", "start"), ("{configs: [5, {unit: 16}]}", "start.configs")]
)
def test_a_config_keeps_its_place_after_one_that_is_no_mapping(
    text: str, key: str, write: Write
) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(f"{HEAD}method: bayes\nstart: {text}\n"))
    assert f"{key}.0: expected a mapping" in str(caught.value)
    assert "start.1.unit: no parameter 'unit'" in str(caught.value)


def test_more_configs_than_trials_are_a_warning(write: Write) -> None:
    configs = ", ".join(f"{{lr: 0.0{place}}}" for place in range(1, 6))
    spec = load_spec(write(f"{HEAD}method: bayes\nstart: [{configs}]\n"))
    assert any("start: needs 5 trials, but run_cap is 4" in text for text in spec.warnings)


def test_a_grid_has_no_start(write: Write) -> None:
    text = "program: env\nparameters: {a: {values: [1, 2]}}\nstart: [{a: 2}]\n"
    with pytest.raises(SpecError, match="a grid runs all its configs anyway"):
        load_spec(write(text))


def test_a_named_trial_that_takes_a_parameter_from_bayes_is_reported(write: Write) -> None:
    text = f"{HEAD}method: bayes\ntrials: {{a: {{set: {{lr: 0.05}}}}, b: {{}}}}\n"
    (warning,) = load_spec(write(text)).warnings
    assert (
        "fixes lr in each trial of 'a'. To try these values first, write start: [{lr: 0.05}]"
        in (warning)
    )


def test_conditions_that_wait_for_each_other_are_reported_once(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "program: env\nmethod: random\nrun_cap: 1\nconstraints: ['a < 1']\nstart: [{}]\n"
        "parameters: {a: {values: [3, 4], when: 'a == 1'}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_spec(file)
    assert not any(problem.key.startswith("start") for problem in caught.value.problems)
