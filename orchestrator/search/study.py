"""One Optuna study: what the sampler and the pruner of a sweep remember.

::

    study = Study(path, name, spec)
    study.close_stale()                              # what a killed driver left running
    proposal = study.ask(space)                      # the sampler proposes
    proposal = study.ask(space, {"lr": 1e-3})        # or the config is given
    study.report(proposal.number, step, value)
    reason = study.should_prune(proposal.number)     # None, or a sentence
    study.tell(proposal.number, "PRUNED")

A study of two metrics takes a pair of values and neither reports nor prunes, as in Optuna. The
process that asked for a trial reports it. `import_finished` rebuilds the study from run
directories. A trial that is retried is a new trial here, with the same parameters.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.errors import UsageError
from orchestrator.files import plain
from orchestrator.search.journal import open_journal
from orchestrator.search.pruners import find_in, make_pruner, prunes, reason
from orchestrator.search.recorded import Reports, state_and_values
from orchestrator.search.samplers import DirectedSampler
from orchestrator.search.space import Space
from orchestrator.sweepfile.model import Domain, Spec
from orchestrator.sweepfile.space import PrunerRecord

_REST = "config"
"""User attribute that contains the values of a config that are no parameters of the study."""


@dataclass(frozen=True)
class Proposal:
    """A trial's number in the study, which is not that of the sweep's trial, and its config."""

    number: int
    params: dict[str, Any]


@dataclass
class _Running:
    """A trial that runs in this process."""

    trial: optuna.Trial
    reports: Reports = field(default_factory=Reports)


class Study:
    """One Optuna study of a sweep; it is created if it is missing.

    Args:
        storage: a journal, of which a torn end is repaired, or what Optuna stores it in.
        name: unique to the sweep and its stage.
        spec: the sweep file.
        is_shared: other processes have trials in it.

    Raises:
        UsageError: the sampler cannot be made, or the goal has changed.
        SweepError: the file is not a journal.
    """

    def __init__(
        self, storage: Path | BaseStorage, name: str, spec: Spec, *, is_shared: bool = False
    ) -> None:
        first = spec.metric.goal if spec.metric else "minimize"
        goals = [first, *(metric.goal for metric in spec.objectives[1:])]
        # Optuna would print a line for each trial.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        find_in(spec.path.parent, spec.pruner, spec.sampler.name if spec.sampler else "")
        self._sampler = DirectedSampler(spec.method, spec.seed, spec.sampler)
        self._storage = open_journal(storage) if isinstance(storage, Path) else storage
        self._is_shared = is_shared
        create = partial(
            optuna.create_study,
            storage=self._storage,
            directions=[StudyDirection[goal.upper()] for goal in goals],
            sampler=self._sampler,
            pruner=make_pruner(spec.pruner, spec.pruner_options),
            load_if_exists=True,
        )
        self._study = create(study_name=name)
        found = [way.name.lower() for way in self._study.directions]
        if found != goals and spec.method == "bayes":
            started, now = (" and ".join(ways) for ways in (found, goals))
            raise UsageError(
                f"{storage}: study '{name}' was started with the goal {started} (now {now}). "
                "Run it as a new sweep with --new."
            )
        if found != goals:
            # Nothing was proposed by the wrong goal; ended trials are imported into another study.
            self._study = create(study_name=f"{name} ({' and '.join(goals)})")
        self._pruner, self._options = spec.pruner, spec.pruner_options
        record = PrunerRecord.of(spec.pruner)
        self._warm_up = record.warm_up_with(self._options) if record is not None else 0.0
        self._metric = spec.metric.name if spec.metric else ""
        self._here: dict[int, _Running] = {}
        self._known: tuple[Mapping[str, Domain], Space] | None = None
        self._takes_reports = len(goals) == 1
        self._began_with: dict[str, BaseDistribution] | None = None

    def ask(self, space: Mapping[str, Domain], params: Mapping[str, Any] | None = None) -> Proposal:
        """Start a trial.

        Args:
            space: parameter name to domain.
            params: its config; None for a proposal. Values of a given config that are not in the
                space are kept with the trial, but no sampler learns them.
        """
        known = self._space(space)
        if params is None:
            self._sampler.give(None, {})
            trial = self._study.ask(known.distributions)
            params = known.decode(trial.params)
        else:
            held, rest, distributions = self._stored(known, params)
            self._sampler.give(held, distributions)
            trial = self._study.ask(distributions)
            if rest:
                trial.set_user_attr(_REST, plain(rest))
        self._here[trial.number] = _Running(trial)
        return Proposal(trial.number, dict(params))

    def describe(self, number: int, facts: Mapping[str, Any]) -> None:
        """Keep what people should see of a trial that runs here: its user attributes in Optuna."""
        for name, value in facts.items():
            self._running(number).trial.set_user_attr(name, plain(value))

    def report(self, number: int, step: int, value: float) -> None:
        """Report one value of the metric, which may be NaN or infinite, at a step from 0.

        `orchestrator.search.recorded` decides what is kept.

        Raises:
            ValueError: the trial does not run in this process, or `step` is negative.
        """
        running = self._running(number)
        if step < 0:
            raise ValueError(f"step: expected 0 or more (found {step}).")
        if running.reports.take(step, float(value)) and self._takes_reports:
            running.trial.report(float(value), step)

    def should_prune(self, number: int, total_steps: int | None = None) -> str | None:
        """Return why the pruner stops a trial; None if it continues.

        Without options that say from when on it may be, a trial is not stopped in its first steps:
        in the share of `total_steps`, its last step if that is known, that the record gives.
        Nor is it stopped at its last step, when there is nothing left to save.

        After a value that is not finite the pruner waits for the next finite one, because such
        values pass in runs that end well; if they last longer than in those, the trial is stopped.

        Raises:
            ValueError: the trial does not run in this process.
        """
        running = self._running(number)
        if self._pruner == "none" or not self._takes_reports:
            return None
        reports = running.reports
        if reports.non_finite and not reports.is_lost:
            return None
        if reports.non_finite:
            return (
                f"{self._pruner} pruner: {self._metric} is {reports.latest_word} since step "
                f"{reports.non_finite_since}, {reports.non_finite} reports in a row"
            )
        if reports.last is None or not reports.last_is_kept:
            return None
        (least, last), step = self._steps(total_steps), reports.last[0]
        is_early_or_late = step <= self._warm_up * least or step >= last  # False for NaN
        # It is asked at each step, since some pruners keep notes.
        if not prunes(self._pruner, running.trial) or is_early_or_late:
            return None
        return reason(self._pruner, self._study, self._frozen(number), self._metric, self._options)

    def _steps(self, planned: int | None) -> tuple[float, float]:
        """Return a trial's least number of steps and its last, as planned or in complete trials."""
        if planned is not None:
            return planned, planned
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        found = {trial.last_step or 0 for trial in complete}
        least = min(found, default=math.inf)
        return least, (least or math.inf) if len(found) == 1 else math.inf

    def tell(self, number: int, state: str, *values: float | None) -> str:
        """End a trial and return the state that the study records.

        A COMPLETE trial is recorded as FAIL if a value is missing or not finite. A PRUNED trial has
        its last finite report as its value, else the given one. For LOST, see `recorded`.

        Args:
            number: any running trial of the study, including one of an earlier driver.
            values: the metric at the end; both, if there are two.

        Raises:
            ValueError: the trial is unknown, it has already ended, or `state` is unknown.
        """
        frozen = self._frozen(number)
        if frozen.state.is_finished():
            raise ValueError(f"trial {number} has already ended ({frozen.state.name}).")
        running = self._here.get(number)
        own = list(frozen.intermediate_values.values())
        if running is not None and running.reports.last is not None:
            own = [running.reports.last[1]]
        ended, finite = state_and_values(
            self._study, state, values, own, proposes=self._sampler.proposes
        )
        self._here.pop(number, None)
        if ended is TrialState.PRUNED and running is not None and self._takes_reports:
            _report_last(running, finite[0] if finite else None)
        self._study.tell(number, finite if ended is TrialState.COMPLETE else None, state=ended)
        return ended.name

    def close_stale(self, elsewhere: Collection[int] | None = None) -> list[int]:
        """Record FAIL for the trials that a dead driver left running, and return their numbers.

        Of a shared study all that run neither here nor `elsewhere`; none if that is unknown.

        Samplers assume that a running trial will end badly, so stale ones mislead them.
        """
        if self._is_shared and elsewhere is None:
            return []
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        known = {*self._here, *(elsewhere or ())}
        stale = [trial.number for trial in running if trial.number not in known]
        for number in stale:
            self._study.tell(number, state=TrialState.FAIL)
        return stale

    def import_finished(
        self,
        params: Mapping[str, Any],
        space: Mapping[str, Domain],
        state: str,
        *values: float | None,
        reports: Mapping[int, float] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a trial that ended elsewhere, as its run directory describes it; return its number.

        `params` and `space` are as for `ask`, `state` and `values` as for `tell`; `reports` maps
        steps to values of the metric; `facts` are as for `describe`. Raises as these do.
        """
        reported = dict(sorted((reports or {}).items()))
        own, proposes = list(reported.values()), self._sampler.proposes
        ended, finite = state_and_values(self._study, state, values, own, proposes=proposes)
        known = self._space(space)
        held, rest, distributions = self._stored(known, params)
        taken = Reports()
        kept = {step: one for step, one in reported.items() if taken.take(step, float(one))}
        if ended is TrialState.PRUNED and finite is None and taken.last is not None:
            finite = [taken.last[1]] if self._takes_reports else None
        self._study.add_trial(
            create_trial(
                state=ended,
                values=None if ended is TrialState.FAIL else finite,
                params=held,
                distributions=distributions,
                user_attrs=plain({**({_REST: rest} if rest else {}), **(facts or {})}),
                intermediate_values=kept if self._takes_reports else {},
            )
        )
        return len(self._study.get_trials(deepcopy=False)) - 1

    def _stored(
        self, space: Space, params: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, BaseDistribution]]:
        """Return what Optuna stores of a config, the rest, and the distributions.

        Optuna refuses other choices than a study began with. A grid may get more, and no sampler
        learns from it, so that such a parameter is kept with the rest.
        """
        held, rest = space.encode(params)
        if not self._sampler.proposes:
            if self._began_with is None:
                trials = self._study.get_trials(deepcopy=False)
                self._began_with = {n: d for t in trials for n, d in t.distributions.items()}
            for name in list(held):
                began = self._began_with.setdefault(name, space.distributions[name])
                if began != space.distributions[name]:
                    del held[name]
                    rest[name] = params[name]
        return held, rest, {name: space.distributions[name] for name in held}

    def runs(self, number: int) -> bool:
        """Return whether a trial of the study runs, here or elsewhere."""
        try:
            return self._frozen(number).state is TrialState.RUNNING
        except ValueError:  # the journal was replaced
            return False

    def states(self) -> dict[int, str]:
        """Return the state of every trial, by its number in the study."""
        return {trial.number: trial.state.name for trial in self._study.get_trials(deepcopy=False)}

    def _space(self, domains: Mapping[str, Domain]) -> Space:
        # A sweep asks with the same mapping each time; making a space costs more than asking.
        if self._known is None or self._known[0] is not domains:
            self._known = (domains, Space(domains))
        return self._known[1]

    def _running(self, number: int) -> _Running:
        if number not in self._here:
            raise ValueError(f"trial {number} does not run here (running: {sorted(self._here)}).")
        return self._here[number]

    def _frozen(self, number: int) -> FrozenTrial:
        try:
            if number < 0:
                raise KeyError(number)
            study_id = self._storage.get_study_id_from_name(self._study.study_name)
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        except KeyError:
            count = len(self._study.get_trials(deepcopy=False))
            raise ValueError(f"no trial {number} (the study has {count}).") from None
        return self._storage.get_trial(trial_id)


def _report_last(running: _Running, value: float | None) -> None:
    """Store the last value of a trial before it is recorded as PRUNED."""
    if running.reports.last is None:
        if value is not None:
            running.trial.report(value, 0)
    elif not running.reports.last_is_kept:
        step, last = running.reports.last
        running.trial.report(last, step)
