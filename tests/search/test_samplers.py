"""Who proposes: every sampler that a spec can name, seeded, alone and continued."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.search.pruners import make_pruner
from orchestrator.search.samplers import make_sampler
from orchestrator.sweepfile.model.course import Sampler
from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.space import optuna_options as records
from orchestrator.sweepfile.yaml.node import Log, Node
from tests.search.conftest import study_at

SPACE = {
    "lr": Domain("log_uniform_values", low=1e-5, high=1e-1),
    "width": Domain("uniform", low=0.0, high=4.0),
    "model": Domain("categorical", values=("lstm", "cnn")),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": 3},
    "gp": {"n_startup_trials": 3},
    "cmaes": {"popsize": 4},
    "qmc": {"qmc_type": "halton"},
    "nsga2": {"population_size": 3},
    "nsga3": {"population_size": 3},
}


def propose(
    folder: Path, name: str, count: int, *, seed: int = 3, two: bool = False
) -> list[dict[str, Any]]:
    """Return `count` more proposals of a study that learns how far they are from a good one."""
    study = study_at(
        folder / "study.journal",
        method="bayes",
        seed=seed,
        sampler=Sampler(name, OPTIONS.get(name, {})),
        second_goal="maximize" if two else None,
    )
    found = []
    for _ in range(count):
        proposal = study.ask(SPACE)
        value = abs(proposal.params["width"] - 1.0) + (proposal.params["model"] == "cnn")
        study.report(proposal.number, 1, value)
        assert study.should_prune(proposal.number) is None
        told = study.tell(proposal.number, "COMPLETE", value, *([-value] if two else []))
        assert told == "COMPLETE"
        found.append(proposal.params)
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "gp" else n for n in records.SAMPLERS]
)
def test_the_same_seed_gives_the_same_configs_again(tmp_path: Path, name: str) -> None:
    whole = propose(tmp_path / "a", name, 6)
    assert len({str(params) for params in whole}) == 6
    assert propose(tmp_path / "b", name, 4) + propose(tmp_path / "b", name, 2) == whole
    assert propose(tmp_path / "c", name, 1, seed=4) != whole[:1]


@pytest.mark.parametrize("name", ["nsga2", "tpe"])
def test_two_metrics_are_told_as_a_pair(tmp_path: Path, name: str) -> None:
    first = propose(tmp_path / "a", name, 7, two=True)
    assert propose(tmp_path / "b", name, 7, two=True) == first


def test_a_trial_with_one_of_two_metrics_has_failed(tmp_path: Path) -> None:
    propose(tmp_path, "nsga2", 1, two=True)
    study = study_at(
        tmp_path / "study.journal", second_goal="maximize", method="bayes", pruner="median"
    )
    assert study.tell(study.ask(SPACE).number, "COMPLETE", 0.5, None) == "FAIL"
    assert study.tell(study.ask(SPACE).number, "PRUNED", 0.5) == "PRUNED"
    with pytest.raises(UsageError, match="was started with the goal minimize and maximize"):
        propose(tmp_path, "tpe", 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Sampler("tpee"), "unknown sampler 'tpee'. Did you mean 'tpe'"),
        (Sampler("tpe", {"n_startup": 3}), "TPESampler does not accept the options: .*n_startup"),
        (Sampler("qmc", {"qmc_type": "dice"}), "QMCSampler does not accept the options: .*dice"),
    ],
)
def test_a_sampler_that_cannot_be_is_named(asked: Sampler, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_sampler(asked, 0, 0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(UsageError, match=r"cmaes needs the package cmaes, .* pip install cmaes"):
        make_sampler(Sampler("cmaes"), 0, 0)


def test_every_option_that_a_file_may_hold_is_one_of_optunas() -> None:
    for record in records.SAMPLERS.values():
        known = set(inspect.signature(class_of(record.optuna)).parameters)
        assert {*record.options, *record.defaults} <= known
        assert not record.draws_the_rest or "independent_sampler" in known


LEAST: dict[str, dict[str, Any]] = {
    "percentile": {"percentile": 25.0},
    "patient": {"patience": 1, "wrapped_pruner": {"name": "median", "n_warmup_steps": 3}},
    "threshold": {"upper": 1.0},
}


@pytest.mark.parametrize("name", records.PRUNERS)
def test_the_pruners_that_a_file_may_name_are_optunas(name: str) -> None:
    record = records.PRUNERS[name]
    parameters = inspect.signature(class_of(record.optuna)).parameters
    if name != "none":
        assert record.options.keys() == parameters.keys()
    for key, option in record.options.items():
        # What Optuna does without the option is a value that a file may hold.
        if parameters[key].default is not inspect.Parameter.empty:
            log = Log()
            option.read(Node(parameters[key].default), key, log)
            assert not log.problems, key
    needed = {
        key
        for key, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and key not in ("args", "kwargs")
    }
    assert {*record.required} == needed - record.defaults.keys()
    assert type(make_pruner(name, LEAST.get(name, {}))) is class_of(record.optuna)


def test_a_class_of_ones_own_samples_and_prunes(tmp_path: Path) -> None:
    made = make_sampler(Sampler("optuna.samplers:BruteForceSampler", {}), 1, 2)
    assert type(made).__name__ == "BruteForceSampler"
    pruner = make_pruner("optuna.pruners:PercentilePruner", {"percentile": 10.0})
    assert type(pruner).__name__ == "PercentilePruner"
    for key, make in (
        ("sampler", lambda: make_sampler(Sampler("nosuch.module:Class"), 0, 0)),
        ("pruner", lambda: make_pruner("optuna.pruners:Nosuch")),
    ):
        with pytest.raises(UsageError, match=f"{key}: no class '.*' can be imported"):
            make()
    with pytest.raises(UsageError, match="does not accept the options"):
        make_pruner("optuna.pruners:MedianPruner", {"warmup": 3})


def class_of(text: str) -> Any:
    module, _, name = text.partition(":")
    return getattr(importlib.import_module(module), name)
