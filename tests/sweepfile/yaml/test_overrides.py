from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Bound, Domain, MetricGoal, Spec

Write = Callable[[str], Path]

TEXT = """\
trainer: sweep_toy
fixed: {epochs: 3, model: lstm}
parameters:
  lr: {values: [0.1, 0.2]}
trials:
  a: {set: {weight: 1, model: hybrid}}
  b: {set: {weight: 2}}
stages: {quick: {set: {epochs: 1}}, full: {set: {epochs: 9}}}
metric: val_mae
"""


@pytest.fixture
def load(write: Write) -> Callable[..., Spec]:
    return lambda *overrides: load_spec(write(TEXT), overrides=overrides)


def configs(spec: Spec, *names: str) -> list[tuple[object, ...]]:
    return [tuple(trial.config.get(n) for n in names) for trial in iter_configs(spec)]


def test_one_value_is_the_strongest_everywhere(load: Callable[..., Spec]) -> None:
    spec = load("epochs=7", "weight=5", "lr=1e-3")
    assert spec.overrides == {"epochs": 7, "weight": 5, "lr": 1e-3}
    assert spec.parameters == {}
    assert configs(spec, "epochs", "weight", "lr") == [(7, 5, 1e-3)] * 2


def test_a_list_is_varied_in_place_of_all_other_values(load: Callable[..., Spec]) -> None:
    spec = load("model=[lstm, hybrid]", "epochs=[1, 2]", "lr=0.5")
    assert spec.parameters["model"] == Domain("categorical", ("lstm", "hybrid"))
    assert spec.fixed == {"seed": 0}
    assert spec.stage_set == {}
    assert spec.trials["a"].set == {"weight": 1}
    assert configs(spec, "weight", "epochs", "model", "lr") == [
        (weight, epochs, model, 0.5)
        for weight in (1, 2)
        for epochs in (1, 2)
        for model in ("lstm", "hybrid")
    ]


def test_the_last_of_a_key_wins(load: Callable[..., Spec]) -> None:
    assert load("lr=1", "lr=2").overrides == {"lr": 2}
    spec = load("lr=1", "lr=[3, 4]")
    assert spec.overrides == {}
    assert spec.parameters["lr"].values == (3, 4)
    spec = load("lr=[3, 4]", "lr=1")
    assert (spec.overrides, spec.parameters) == ({"lr": 1}, {})


def test_keys_of_the_file(load: Callable[..., Spec]) -> None:
    spec = load(
        "method=random",
        "run_cap=6",
        "name=other",
        "resources.gpu_memory=4GB",
        "targets.t20_mae=< 0.1",
        "targets.r2=>= 0.9",
        "metric.name=val_r2",
        "parameters.lr.values=[1]",
        "parameters.epochs.min=1",
        "parameters.epochs.max=5",
        "trials.a.set.weight=3",
        "trials.c.set.weight=4",
        "pruner=median",
    )
    assert (spec.method, spec.run_cap, spec.name, spec.pruner) == ("random", 6, "other", "median")
    assert spec.resources.gpu_memory_bytes == 4 << 30
    assert spec.targets == {"t20_mae": Bound("<", 0.1), "r2": Bound(">=", 0.9)}
    assert spec.metric == MetricGoal("val_r2", "maximize")
    assert spec.parameters["lr"].values == (1,)
    assert spec.parameters["epochs"] == Domain("int_uniform", low=1, high=5)
    assert spec.trials["a"].set == {"weight": 3, "model": "hybrid"}
    assert list(spec.trials) == ["a", "b", "c"]


def test_a_choice_replaces_a_range(write: Write) -> None:
    path = write("trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: 0.0, max: 1.0}}\n")
    spec = load_spec(path, overrides=["parameters.lr.values=[0.1, 0.2]"])
    assert spec.parameters["lr"] == Domain("categorical", (0.1, 0.2))


def test_names_with_dots(write: Write) -> None:
    path = write("program: env\nparameters: {model.lr: {values: [1]}}\nfixed: {a.b: 1}\n")
    spec = load_spec(path, overrides=["model.lr=3", "a.b=[1, 2]"])
    assert spec.overrides == {"model.lr": 3}
    assert spec.parameters == {"a.b": Domain("categorical", (1, 2))}
    assert spec.fixed == {}
    spec = load_spec(path, overrides=["parameters.model.lr.values=[5]", "fixed.a.b=2"])
    assert spec.parameters["model.lr"].values == (5,)
    assert spec.fixed == {"a.b": 2}


def test_aliased_values_change_in_one_place_only(write: Write) -> None:
    text = "trainer: sweep_toy\ntrials: {a: &x {set: {lr: 1}}, b: *x}\n"
    spec = load_spec(write(text), overrides=["trials.a.set.lr=2"])
    assert [trial.set["lr"] for trial in spec.trials.values()] == [2, 1]


@pytest.mark.parametrize(
    ("override", "key", "words"),
    [
        ("lr", "", "expected KEY=VALUE"),
        ("=3", "", "expected KEY=VALUE"),
        ("a..b=3", "", "expected KEY=VALUE"),
        ("lrr=3", "lrr", "Did you mean 'lr'?"),
        ("lrr=[3]", "parameters.lrr", "Did you mean 'lr'?"),
        ("metho=grid", "metho", "Did you mean 'method'?"),
        ("lr=fast", "lr", "expected a number from 0 to 10 (found 'fast')."),
        ("lr=[0.1, 11]", "parameters.lr.values", "expected a number from 0 to 10 (found 11)."),
        ("lr=[]", "parameters.lr.values", "at least one value"),
        ("lr=", "lr", "expected a number from 0 to 10 (found null)."),
        ("lr={min: 1}", "lr", "write it under parameters"),
        ("lr=[1", "", "not YAML"),
        ("preset=papr", "preset", "expected one of small, heavy (found 'papr')."),
        ("run_cap=0", "run_cap", "at least 1"),
        ("resources.gpu_memory=8", "resources.gpu_memory", "Write 8GB"),
        ("fixed=3", "fixed", "expected a mapping"),
        ("method.x=3", "method.x", "'method' is"),
        ("early_terminate.type=hyperband", "early_terminate", "no band has"),
    ],
)
def test_mistakes(write: Write, override: str, key: str, words: str) -> None:
    text = TEXT + ("method: grid\n" if override.startswith("method.") else "")
    with pytest.raises(SpecError) as caught:
        load_spec(write(text), overrides=[override])
    (problem,) = caught.value.problems
    assert (problem.line, problem.key, problem.origin) == (None, key, "--set")
    assert words in problem.message


def test_short_forms_grow(write: Write) -> None:
    spec = load_spec(write(TEXT), overrides=["metric.goal=maximize"])
    assert spec.metric == MetricGoal("val_mae", "maximize")
    path = write("program: env\nargs: hyphen-space\n")
    program = load_spec(path, overrides=["args.booleans=value"]).program
    assert program is not None
    assert (program.style, program.booleans) == ("hyphen-space", "value")


def test_a_program_takes_any_name_and_is_warned(write: Write) -> None:
    path = write("program: env\nfixed: {epochs: 3}\nparameters: {lr: {values: [1, 2]}}\n")
    spec = load_spec(path, overrides=["epocs=4", "lr=[3, 4]", "epochs=[1, 2]", "depth=[1, 2]"])
    assert spec.overrides == {"epocs": 4}
    assert [warning.split(": ")[1] for warning in spec.warnings] == ["depth", "epocs"]
    assert "Did you mean 'epochs'?" in spec.warnings[1]
    assert count_trials(spec) == 8


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["", "lr", "fixed", "parameters.lr.values", "trials.a", "metric.name", "x.y"]),
    st.text(max_size=10),
    st.booleans(),
)
def test_no_override_gives_a_traceback(tmp_path: Path, key: str, value: str, between: bool) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_text(TEXT)
    error = None
    try:
        load_spec(path, overrides=[f"{key}={value}" if between else key + value])
    except UsageError as caught:
        error = caught
    assert error is None or error.exit_code == 2
