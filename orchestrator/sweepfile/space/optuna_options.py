"""Optuna's samplers and pruners as data: what a sweep file calls them, and what they take.

`orchestrator.search` makes the objects from these records, so that checking a file loads no Optuna;
a test compares the records with Optuna's signatures. ``seed`` is always the sweep's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sweepfile.schema.fields import SWITCH, Kind, Nullable, Number, Whole, Word


@dataclass(frozen=True)
class SamplerRecord:
    """A sampler that ``method: bayes`` may use.

    Attributes:
        optuna: module and class, such as ``optuna.samplers:TPESampler``.
        options: the options that a file may set.
        defaults: keyword arguments that differ from Optuna's defaults; a file's options win.
        exclusive: groups of options of which only one may be true.
        two_metrics: True if it can optimize two metrics.
        packages: what must be installed besides Optuna.
        draws_the_rest: True if it takes an ``independent_sampler`` for what it cannot propose.
        keeps_seed: True if one seed serves all trials, because its place is kept in the study;
            otherwise each trial has a seed of its own.
    """

    optuna: str
    options: Mapping[str, Kind] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    exclusive: tuple[tuple[str, ...], ...] = ()
    two_metrics: bool = False
    packages: tuple[str, ...] = ()
    draws_the_rest: bool = False
    keeps_seed: bool = False


@dataclass(frozen=True)
class PrunerRecord:
    """A pruner that ``pruner`` may name.

    Attributes:
        optuna: module and class, such as ``optuna.pruners:MedianPruner``.
        reason: why it stopped a trial, with ``{fields}`` of `orchestrator.search.pruners.reason`
            and of its arguments.
    """

    optuna: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reason: str = "{metric} {value} at step {step} cannot win any more"


def _switches(*names: str) -> dict[str, Kind]:
    return dict.fromkeys(names, SWITCH)


_STARTUP = Whole(0)
_SHARE = Number(least=0, most=1)
_TEN = {"n_startup_trials": 10}

SAMPLERS: dict[str, SamplerRecord] = {
    "tpe": SamplerRecord(
        "optuna.samplers:TPESampler",
        options={
            "n_startup_trials": _STARTUP,
            "n_ei_candidates": Whole(1),
            "multivariate": Nullable(SWITCH),
            **_switches("group", "constant_liar"),
        },
        defaults=_TEN,
        two_metrics=True,
    ),
    "gp": SamplerRecord(
        "optuna.samplers:GPSampler",
        options={
            "n_startup_trials": _STARTUP,
            **_switches("deterministic_objective", "warn_independent_sampling"),
        },
        defaults=_TEN,
        two_metrics=True,
        packages=("torch", "scipy"),
    ),
    "cmaes": SamplerRecord(
        "optuna.samplers:CmaEsSampler",
        options={
            "n_startup_trials": _STARTUP,
            "popsize": Nullable(Whole(2)),
            **_switches("warn_independent_sampling", "consider_pruned_trials"),
            **_switches("use_separable_cma", "with_margin", "lr_adapt"),
        },
        # What it cannot hold (choices) is drawn at random, which it would report for each trial.
        defaults={"warn_independent_sampling": False},
        exclusive=(
            ("lr_adapt", "use_separable_cma"),
            ("lr_adapt", "with_margin"),
            ("use_separable_cma", "with_margin"),
        ),
        packages=("cmaes",),
        draws_the_rest=True,
    ),
    "qmc": SamplerRecord(
        "optuna.samplers:QMCSampler",
        options={
            "qmc_type": Word(("sobol", "halton")),
            **_switches("scramble", "warn_asynchronous_seeding", "warn_independent_sampling"),
        },
        defaults={
            "scramble": True,
            "warn_asynchronous_seeding": False,
            "warn_independent_sampling": False,
        },
        two_metrics=True,
        draws_the_rest=True,
        keeps_seed=True,
    ),
    "random": SamplerRecord("optuna.samplers:RandomSampler", two_metrics=True),
    "nsga2": SamplerRecord(
        "optuna.samplers:NSGAIISampler",
        options={
            "population_size": Whole(2),
            "mutation_prob": Nullable(_SHARE),
            **dict.fromkeys(("crossover_prob", "swapping_prob"), _SHARE),
        },
        two_metrics=True,
    ),
}

_OBJECTS = ("independent_sampler", "mutation", "crossover")
_FUNCTIONS = (
    "elite_population_selection_strategy",
    "child_generation_strategy",
    "after_trial_strategy",
)
_REMOVED = (
    *("consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints"),
    *("gamma", "weights", "x0", "sigma0", "restart_strategy", "inc_popsize"),
    "warn_independent_sampling",  # of tpe; a record that has the option wins
)
UNWRITABLE = {
    "seed": "it comes from the sweep's seed",
    "constraints_func": "it takes a function; write constraints",
    "source_trials": "it takes trials",
    **dict.fromkeys(_OBJECTS, "it takes an object"),
    **dict.fromkeys(_FUNCTIONS, "it takes a function"),
    **dict.fromkeys(_REMOVED, "Optuna is removing it"),
}
"""Options of Optuna's classes that no file can hold, with the reason."""

PRUNERS: dict[str, PrunerRecord] = {
    "none": PrunerRecord("optuna.pruners:NopPruner"),
    "median": PrunerRecord(
        "optuna.pruners:MedianPruner",
        {"n_startup_trials": 5},
        "{metric} {best}, the best up to step {step}, is worse than the median {median} of "
        "{trials} at that step",
    ),
    "hyperband": PrunerRecord(
        "optuna.pruners:HyperbandPruner",
        {"min_resource": 1, "reduction_factor": 3},
        "{metric} {value} at step {step} is not among the best 1/{reduction_factor} of the trials "
        "of its bracket that came this far",
    ),
}
