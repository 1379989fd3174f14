"""Propose configs: an Optuna sampler, seeded trial by trial, or a config that is given.

A proposal is seeded by the sweep's seed and the trial's number. So a fresh run of the same file
proposes the same configs as long as it learns the same values, and a continued one does not repeat
the first proposals, as one seed for each start would.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from orchestrator.errors import UsageError, nearest
from orchestrator.search.pruners import find_in, made_from, make_pruner
from orchestrator.sweepfile.model import Sampler, Spec
from orchestrator.sweepfile.space import SAMPLERS, SamplerRecord


def make_sampler(sampler: Sampler, seed: int, number: int) -> BaseSampler:
    """Return the Optuna sampler that proposes trial `number` of the study, by the sweep's seed.

    Raises:
        UsageError: the sampler is unknown, an option is wrong, or a package is missing.
    """
    name, record = sampler.name, SamplerRecord.of(sampler.name)
    if record is None:
        hint = nearest(name, SAMPLERS) or f" Choices: {', '.join(SAMPLERS)}."
        raise UsageError(f"sampler: unknown sampler {name!r}.{hint}")
    for package in record.packages:
        try:
            importlib.import_module(package)
        except ImportError:
            raise UsageError(
                f"sampler: {name} needs the package {package}, which is not installed. "
                f"Next step: pip install {package}"
            ) from None
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    own = int.from_bytes(digest[:4], "big")
    options = {**record.defaults, **sampler.options}
    if record.draws_the_rest:
        options.setdefault("independent_sampler", RandomSampler(seed=own))
    options["seed"] = seed % 2**32 if record.keeps_seed else own
    if name not in SAMPLERS and not _takes_seed(record.optuna):
        del options["seed"]
    made: BaseSampler = made_from(record.optuna, "sampler", options, BaseSampler)
    return made


def check_classes(spec: Spec) -> None:
    """Import the pruner and the sampler of a spec that are the user's own, and make them once.

    Raises:
        UsageError: there is no such class, or it does not accept the options.
    """
    sampler = spec.sampler.name if spec.sampler is not None else ""
    names = (spec.pruner, sampler)
    inner = spec.pruner_options.get("wrapped_pruner")
    if not any(":" in str(name) for name in (*names, inner)):
        return
    find_in(spec.path.parent, *names, str(inner))
    make_pruner(spec.pruner, spec.pruner_options)
    DirectedSampler(spec.method, spec.seed, spec.sampler)


def _takes_seed(path: str) -> bool:
    """Return whether a class of the user's own can be seeded."""
    try:
        return "seed" in inspect.signature(pkgutil.resolve_name(path)).parameters
    except (ImportError, AttributeError, TypeError, ValueError):
        return False


class DirectedSampler(BaseSampler):
    """Propose the given config, or else ask the sampler of the method.

    Given configs (of a grid, of named trials, of our random draw) become ordinary trials that can
    report and be pruned, and leave no queued trial behind if the driver is killed.

    The method ``"bayes"`` proposes by its sampler, by default TPE: then `proposes` is True, because
    what it learns decides. For other methods a proposal is a random draw.

    Raises:
        UsageError: the sampler cannot be made.
    """

    def __init__(self, method: str, seed: int, sampler: Sampler | None = None) -> None:
        self.proposes = method == "bayes"
        self._sampler = (sampler or Sampler("tpe")) if self.proposes else Sampler("random")
        self._seed = seed
        self._given: Mapping[str, Any] | None = None
        self._distributions: dict[str, BaseDistribution] = {}
        self._proposer = make_sampler(self._sampler, seed, 0)

    def give(
        self, values: Mapping[str, Any] | None, distributions: dict[str, BaseDistribution]
    ) -> None:
        """Set the config of the next trial; None to let the method propose."""
        self._given = values
        self._distributions = distributions

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed the proposal of this trial."""
        self._proposer = make_sampler(self._sampler, self._seed, trial.number)
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

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Let the method's sampler note the end of a trial."""
        self._proposer.after_trial(study, trial, state, values)
