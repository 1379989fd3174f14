"""Which of the varied parameters explain the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

FEWEST_TRIALS = 20
"""Below this number of trials nothing is estimated: a forest would explain noise."""

# Five forests of 24 trees over 100 trials take two seconds; of 64 trees over 250 trials, 25 s, for
# shares that differ by some hundredths.
_SEEDS = 5
_TREES = 24
_MOST_TRIALS = 100  # evenly over the results: the time grows faster than their number
_MOST_CHOICES = 64
_WIDE = 100.0  # from this ratio of its values on a parameter is taken on a logarithmic scale


@dataclass(frozen=True)
class Importance:
    """The share of the variance that one parameter explains alone, in [0, 1].

    Attributes:
        low: least value over forests with different seeds, which is no confidence interval.
        high: greatest value over them.
    """

    name: str
    share: float
    low: float
    high: float


def importance(
    configs: Sequence[Mapping[str, Any]], values: Sequence[float], names: Sequence[str]
) -> tuple[Importance, ...]:
    """Return the importance of each of `names`, greatest first; () if there are too few trials.

    The estimate is fANOVA (Hutter, Hoos and Leyton-Brown 2014) as Optuna computes it, the mean
    over several forests.

    Args:
        configs: of each trial; those that lack one of `names` are left out.
        values: of each trial; those that are not finite are left out.
    """
    shown = [name for name in names if all(_is_scalar(config.get(name)) for config in configs)]
    kept = [
        (config, value)
        for config, value in zip(configs, values, strict=True)
        if math.isfinite(value) and all(name in config for name in shown)
    ]
    if len(kept) < FEWEST_TRIALS or len({value for _, value in kept}) < 2:
        return ()
    if len(kept) > _MOST_TRIALS:
        kept.sort(key=lambda trial: trial[1])
        kept = [kept[at * len(kept) // _MOST_TRIALS] for at in range(_MOST_TRIALS)]
    spaces = {}
    for name in shown:
        space = _distribution([config[name] for config, _ in kept])
        if space is not None:
            spaces[name] = space
    if not spaces:
        return ()
    from optuna.importance import FanovaImportanceEvaluator

    study = _study(kept, spaces)
    found = [
        FanovaImportanceEvaluator(n_trees=_TREES, seed=seed).evaluate(study, params=list(spaces))
        for seed in range(_SEEDS)
    ]
    shares = {name: [one[name] for one in found] for name in spaces}
    ranked = [
        Importance(name, sum(each) / len(each), min(each), max(each))
        for name, each in shares.items()
    ]
    return tuple(sorted(ranked, key=lambda one: -one.share))


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _distribution(values: Sequence[Any]) -> BaseDistribution | None:
    """Return the space that the values came from; None if there is nothing to explain with."""
    from optuna import distributions

    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        low, high = float(min(values)), float(max(values))
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            return None
        return distributions.FloatDistribution(low, high, log=low > 0 and high / low >= _WIDE)
    choices = list(dict.fromkeys(map(str, values)))
    if not 2 <= len(choices) <= _MOST_CHOICES:
        return None
    return distributions.CategoricalDistribution(choices)


def _study(
    kept: Sequence[tuple[Mapping[str, Any], float]], spaces: Mapping[str, BaseDistribution]
) -> Study:
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study()
        for config, value in kept:
            params = {
                name: config[name]
                if isinstance(space, optuna.distributions.FloatDistribution)
                else str(config[name])
                for name, space in spaces.items()
            }
            study.add_trial(
                optuna.create_trial(params=params, distributions=dict(spaces), value=value)
            )
    finally:
        optuna.logging.set_verbosity(verbosity)
    return study
