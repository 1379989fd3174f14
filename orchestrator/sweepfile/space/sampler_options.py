"""The samplers that ``bayes`` may use, with the options of Optuna's classes that a file can hold.

Optuna itself is not loaded to check a file; a test compares this table with its signatures.
Options that take functions or other objects cannot stand in a file, and ``seed`` is the sweep's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """What an option of a sampler takes.

    Attributes:
        type: of its values.
        low: the least one; None for no bound.
        high: the greatest one.
        choices: the only ones, where they are few.
        optional: True where null leaves the choice to Optuna.
    """

    type: type
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    def refusal(self, value: Any) -> str:
        """Return what a value must be, or the empty text where it is that."""
        if value is None and self.optional:
            return ""
        good = isinstance(value, self.type) and not (self.type is int and isinstance(value, bool))
        if self.type is float:
            good = isinstance(value, int | float) and not isinstance(value, bool)
            good = good and abs(value) < math.inf
        if good and self.low is not None:
            good = value >= self.low
        if good and self.high is not None:
            good = value <= self.high
        if good and self.choices:
            good = value in self.choices
        return "" if good else self.words()

    def words(self) -> str:
        """Return what the option takes."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        text = {bool: "true or false", int: "a whole number", float: "a number"}
        word = text[self.type]
        if self.low is not None and self.high is not None:
            return f"{word} from {self.low:g} to {self.high:g}"
        return word if self.low is None else f"{word} of at least {self.low:g}"


_STARTUP = Option(int, low=0)
_SWITCH = Option(bool)
_SHARE = Option(float, low=0, high=1)

SAMPLERS: dict[str, dict[str, Option]] = {
    "tpe": {
        "n_startup_trials": _STARTUP,
        "n_ei_candidates": Option(int, low=1),
        "multivariate": Option(bool, optional=True),
        "group": _SWITCH,
        "constant_liar": _SWITCH,
    },
    "gp": {
        "n_startup_trials": _STARTUP,
        "deterministic_objective": _SWITCH,
        "warn_independent_sampling": _SWITCH,
    },
    "cmaes": {
        "n_startup_trials": _STARTUP,
        "warn_independent_sampling": _SWITCH,
        "consider_pruned_trials": _SWITCH,
        "popsize": Option(int, low=2, optional=True),
        "use_separable_cma": _SWITCH,
        "with_margin": _SWITCH,
        "lr_adapt": _SWITCH,
    },
    "qmc": {
        "qmc_type": Option(str, choices=("sobol", "halton")),
        "scramble": _SWITCH,
        "warn_asynchronous_seeding": _SWITCH,
        "warn_independent_sampling": _SWITCH,
    },
    "random": {},
    "nsga2": {
        "population_size": Option(int, low=2),
        "mutation_prob": Option(float, low=0, high=1, optional=True),
        "crossover_prob": _SHARE,
        "swapping_prob": _SHARE,
    },
}
"""Sampler to its options."""

_GOING = (
    "consider_prior",
    "prior_weight",
    "consider_magic_clip",
    "consider_endpoints",
    "gamma",
    "weights",
    "x0",
    "sigma0",
    "restart_strategy",
    "inc_popsize",
    "warn_independent_sampling",  # of tpe; where a sampler's table has it, it counts
)
UNWRITABLE = {
    "seed": "it comes from the sweep's seed",
    "constraints_func": "it takes a function; write constraints",
    "independent_sampler": "it takes an object",
    "mutation": "it takes an object",
    "crossover": "it takes an object",
    "elite_population_selection_strategy": "it takes a function",
    "child_generation_strategy": "it takes a function",
    "after_trial_strategy": "it takes a function",
    "source_trials": "it takes trials",
    **dict.fromkeys(_GOING, "Optuna is taking it out"),
}
"""Options of Optuna's classes that no file can hold, with the reason."""

OF_TWO = ("tpe", "gp", "random", "qmc", "nsga2")
"""Samplers that can do with two metrics."""
