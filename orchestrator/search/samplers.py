"""Who proposes configs: an Optuna sampler, seeded trial by trial, or our own list.

A proposal is seeded by the sweep's seed and the trial's number. So a fresh run of the same file
proposes the same as long as it learns the same, and a continued one goes on where it stopped
instead of repeating the first proposals, which one seed for each start would do. A sequence that
fills the space (``qmc``) has one seed for all trials: its place in the sequence is kept in the
study.
"""

from __future__ import annotations

import hashlib
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from orchestrator.errors import UsageError, nearest
from orchestrator.sweepfile.model import Sampler

METHODS = ("grid", "random", "bayes")

STARTUP_TRIALS = 10
"""Finished trials before TPE learns; until then it draws at random."""


_NEEDS = {"cmaes": ("cmaes",), "gp": ("torch", "scipy")}
"""Packages that a sampler loads beside Optuna."""


def _tpe(options: Mapping[str, Any], seed: int, _whole: int) -> BaseSampler:
    return TPESampler(**{"n_startup_trials": STARTUP_TRIALS, **options}, seed=seed)


def _gp(options: Mapping[str, Any], seed: int, _whole: int) -> BaseSampler:
    return GPSampler(**{"n_startup_trials": STARTUP_TRIALS, **options}, seed=seed)


def _cmaes(options: Mapping[str, Any], seed: int, _whole: int) -> BaseSampler:
    # What it cannot hold (choices) is drawn at random, which it would say for each trial.
    apart = {"warn_independent_sampling": False, "independent_sampler": RandomSampler(seed=seed)}
    return CmaEsSampler(**{**apart, **options}, seed=seed)


def _qmc(options: Mapping[str, Any], seed: int, whole: int) -> BaseSampler:
    quiet = {
        "scramble": True,
        "warn_asynchronous_seeding": False,
        "warn_independent_sampling": False,
        "independent_sampler": RandomSampler(seed=seed),
    }
    return QMCSampler(**{**quiet, **options}, seed=whole)


def _random(_options: Mapping[str, Any], seed: int, _whole: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _nsga2(options: Mapping[str, Any], seed: int, _whole: int) -> BaseSampler:
    return NSGAIISampler(**options, seed=seed)


_MAKERS: dict[str, Callable[[Mapping[str, Any], int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "qmc": _qmc,
    "random": _random,
    "nsga2": _nsga2,
}
SAMPLERS = tuple(_MAKERS)


def make_sampler(asked: Sampler, seed: int, number: int) -> BaseSampler:
    """Return the Optuna sampler that proposes trial `number`.

    Args:
        asked: its name and options.
        seed: of the sweep.
        number: of the trial in the study.

    Raises:
        UsageError: there is no such sampler, an option is wrong, or a package is missing.
    """
    if asked.name not in _MAKERS:
        raise UsageError(
            f"sampler: must be one of {', '.join(SAMPLERS)}, but got {asked.name!r}."
            f"{nearest(asked.name, SAMPLERS)}"
        )
    for package in _NEEDS.get(asked.name, ()):
        try:
            importlib.import_module(package)
        except ImportError:
            raise UsageError(
                f"sampler: {asked.name} needs the package {package}, which is not installed. "
                f"Next step: pip install {package}"
            ) from None
    try:
        with warnings.catch_warnings():
            # That Optuna may change a sampler one day is no news for the user of a sweep.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _MAKERS[asked.name](asked.options, seed_of(seed, number), seed % 2**32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"sampler.options: {asked.name} refuses them: {error}") from None


def seed_of(seed: int, number: int) -> int:
    """Return the seed, 0 to 2³² − 1, of the proposal for trial `number`."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


class DirectedSampler(BaseSampler):
    """Hands out the config that it was given, or else asks the sampler of the method.

    Configs of a grid, of named trials and of our random draw come from the spec; this way they
    reach the study as ordinary trials that can report and be pruned, by Optuna's public interface
    alone, and leave no queued trial behind when the driver is killed.

    Args:
        method: ``"bayes"`` proposes by a sampler; for the others a proposal is a random draw.
        seed: of the sweep.
        sampler: of bayes; None for TPE.

    Attributes:
        proposes: True where what it learns decides what it proposes.

    Raises:
        UsageError: the sampler cannot be.
    """

    def __init__(self, method: str, seed: int, sampler: Sampler | None = None) -> None:
        self._asked = (sampler or Sampler("tpe")) if method == "bayes" else Sampler("random")
        self.proposes = method == "bayes"
        self._seed = seed
        self._given: Mapping[str, Any] | None = None
        self._distributions: dict[str, BaseDistribution] = {}
        self._proposer: BaseSampler = self._make(0)

    def give(
        self, values: Mapping[str, Any] | None, distributions: dict[str, BaseDistribution]
    ) -> None:
        """Say what the next trial takes; None lets the method propose."""
        self._given = values
        self._distributions = distributions

    def _make(self, number: int) -> BaseSampler:
        return make_sampler(self._asked, self._seed, number)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed the proposal of this trial."""
        self._proposer = self._make(trial.number)
        if self._given is None:
            self._proposer.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that are chosen together."""
        if self._given is not None:
            return self._distributions
        return self._proposer.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose the parameters that are chosen together."""
        if self._given is not None:
            return dict(self._given)
        return self._proposer.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Choose one parameter by itself."""
        if self._given is not None:
            return self._given[param_name]
        return self._proposer.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Any,
    ) -> None:
        """Let the method's sampler note the end of a trial."""
        self._proposer.after_trial(study, trial, state, values)
