"""Optuna's samplers and pruners as data: what a sweep file calls them, and what they take.

`orchestrator.search` makes the objects from these records, so that checking a file loads no Optuna;
a test compares the records with Optuna's signatures. ``seed`` is always the sweep's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sweepfile.schema.fields import (
    SWITCH,
    Anything,
    AutoOr,
    Kind,
    Nullable,
    Number,
    Whole,
    Word,
)

_CLASS = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


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

    @classmethod
    def of(cls, name: str) -> SamplerRecord | None:
        """Return the record of this name, or one for ``module:Class``; None for another name."""
        return SAMPLERS.get(name) or (cls(name) if _CLASS.fullmatch(name) else None)


@dataclass(frozen=True)
class PrunerRecord:
    """A pruner that ``pruner`` may name.

    Attributes:
        optuna: module and class, such as ``optuna.pruners:MedianPruner``.
        options: the options that a file may set.
        required: options that a file must set.
        one_of: options of which a file must set at least one.
        defaults: keyword arguments that differ from Optuna's defaults; a file's options win.
        warm_up: the share of a trial's steps in which nothing is pruned, unless the file sets one
            of the options that say from when on it may be.
        reason: why it stopped a trial, with ``{fields}`` of `orchestrator.search.pruners.reason`
            and of its arguments.
    """

    optuna: str
    options: Mapping[str, Kind] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    warm_up: float = 0.0
    reason: str = "{metric} {value} at step {step} cannot win any more"

    @classmethod
    def of(cls, name: str) -> PrunerRecord | None:
        """Return the record of this name, or one for ``module:Class``; None for another name."""
        return PRUNERS.get(name) or (
            cls(name, reason=_OWN_REASON) if _CLASS.fullmatch(name) else None
        )

    def warm_up_with(self, options: Mapping[str, Any]) -> float:
        """Return the share of a trial's steps in which nothing is pruned."""
        if any(option in options for option in _START_PRUNING):
            return 0.0
        inner = options.get("wrapped_pruner")
        rest = inner if isinstance(inner, Mapping) else {"name": inner}
        wrapped = PrunerRecord.of(rest["name"]) if rest["name"] is not None else None
        return self.warm_up if wrapped is None else wrapped.warm_up_with(rest)


_OWN_REASON = "stopped at step {step}, with {metric} {value}"
_START_PRUNING = ("n_warmup_steps", "min_resource", "min_early_stopping_rate", "n_startup_steps")
"""Options of pruners that say from when on a trial may be stopped."""


def _switches(*names: str) -> dict[str, Kind]:
    return dict.fromkeys(names, SWITCH)


_STARTUP = Whole(0)
_SHARE = Number(least=0, most=1)
_TEN = {"n_startup_trials": 10}

_GENES: dict[str, Kind] = {
    "population_size": Whole(2),
    "mutation_prob": Nullable(_SHARE),
    **dict.fromkeys(("crossover_prob", "swapping_prob"), _SHARE),
}

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
    "nsga2": SamplerRecord("optuna.samplers:NSGAIISampler", options=_GENES, two_metrics=True),
    "nsga3": SamplerRecord(
        "optuna.samplers:NSGAIIISampler",
        options={**_GENES, "dividing_parameter": Whole(1)},
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
    "reference_points": "it takes an array",
    **dict.fromkeys(_OBJECTS, "it takes an object"),
    **dict.fromkeys(_FUNCTIONS, "it takes a function"),
    **dict.fromkeys(_REMOVED, "Optuna is removing it"),
}
"""Options of Optuna's classes that no file can hold, with the reason."""

_FROM_WHEN: dict[str, Kind] = {"n_warmup_steps": Whole(0), "interval_steps": Whole(1)}
_AMONG_TRIALS: dict[str, Kind] = {
    "n_startup_trials": Whole(0),
    **_FROM_WHEN,
    "n_min_trials": Whole(1),
}
_HALVING: dict[str, Kind] = {"reduction_factor": Whole(2), "bootstrap_count": Whole(0)}
_WORSE_THAN_MEDIAN = (
    "{metric} {best}, the best up to step {step}, is worse than the median {median} of {trials} at "
    "that step"
)
PRUNERS: dict[str, PrunerRecord] = {
    "none": PrunerRecord("optuna.pruners:NopPruner"),
    "median": PrunerRecord(
        "optuna.pruners:MedianPruner",
        _AMONG_TRIALS,
        warm_up=2 / 3,
        reason=_WORSE_THAN_MEDIAN,
    ),
    "percentile": PrunerRecord(
        "optuna.pruners:PercentilePruner",
        {"percentile": Number(least=0, most=100), **_AMONG_TRIALS},
        required=("percentile",),
        warm_up=2 / 3,
        reason="{metric} {best}, the best up to step {step}, is not among the best {percentile} % "
        "of {trials} at that step",
    ),
    "patient": PrunerRecord(
        "optuna.pruners:PatientPruner",
        {"wrapped_pruner": Anything(), "patience": Whole(0), "min_delta": Number(least=0)},
        required=("patience",),
        defaults={"wrapped_pruner": None},
        reason="{metric} {value} at step {step} has not improved for {patience} steps",
    ),
    "threshold": PrunerRecord(
        "optuna.pruners:ThresholdPruner",
        {"lower": Nullable(Number()), "upper": Nullable(Number()), **_FROM_WHEN},
        one_of=("lower", "upper"),
        reason="{metric} {value} at step {step} is outside its bounds",
    ),
    "successive_halving": PrunerRecord(
        "optuna.pruners:SuccessiveHalvingPruner",
        {
            "min_resource": AutoOr(Whole(1)),
            **_HALVING,
            "min_early_stopping_rate": Whole(0),
        },
        warm_up=1 / 3,
        reason="{metric} {value} at step {step} is not among the best 1/{reduction_factor} of the "
        "trials that came this far",
    ),
    "hyperband": PrunerRecord(
        "optuna.pruners:HyperbandPruner",
        {"min_resource": Whole(1), "max_resource": AutoOr(Whole(1)), **_HALVING},
        warm_up=1 / 9,
        reason="{metric} {value} at step {step} is not among the best 1/{reduction_factor} of the "
        "trials of its bracket that came this far",
    ),
    "wilcoxon": PrunerRecord(
        "optuna.pruners:WilcoxonPruner",
        {"p_threshold": _SHARE, "n_startup_steps": Whole(0)},
        reason="{metric} is worse than the best trial's, step by step (up to step {step}, "
        "p < {p_threshold})",
    ),
}
