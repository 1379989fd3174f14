"""Who proposes configs: Optuna's TPE, seeded trial by trial, or our own list.

A proposal is seeded by the sweep's seed and the trial's number. So a fresh run of the same file
proposes the same while it has learnt nothing, and a continued one goes on where it stopped
instead of repeating the first proposals, which one seed for each start would do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

METHODS = ("grid", "random", "bayes")

STARTUP_TRIALS = 10
"""Finished trials before TPE learns; until then it draws at random."""


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
        method: ``"bayes"`` proposes by TPE; for the others a proposal is a random draw.
        seed: of the sweep.
    """

    def __init__(self, method: str, seed: int) -> None:
        self._method = method
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
        seed = seed_of(self._seed, number)
        if self._method == "bayes":
            return TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
        return RandomSampler(seed=seed)

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
