"""The study: the searcher's memory, one Optuna study in a journal file.

::

    study = Study.open(path, name="edc", goal="minimize", method="bayes", seed=0, pruner="median")
    study.close_stale()                              # what a killed driver left running
    proposal = study.ask(space)                      # the sampler proposes
    proposal = study.ask(space, {"lr": 1e-3})        # or the config is given
    study.report(proposal.number, step, value)
    reason = study.should_prune(proposal.number)     # None, or a sentence
    study.tell(proposal.number, "PRUNED")

A study of two metrics takes a pair of values and neither reports nor prunes; Optuna can do no more.
One process writes. The study can be rebuilt from the run directories: `import_finished` enters a
trial that ended. A trial that is tried again is a new trial here, with the same parameters.

The studies of a sweep: one for each stage, because their metrics are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.errors import UsageError, nearest
from orchestrator.files import plain
from orchestrator.search.failed import LOST, told_for_lost
from orchestrator.search.journal import open_journal
from orchestrator.search.pruners import NamedPruner, named_pruner
from orchestrator.search.samplers import METHODS, DirectedSampler
from orchestrator.search.space import Space
from orchestrator.search.thinning import Reports
from orchestrator.sweepfile.model import Domain, Sampler, Spec

_ENDED = {"COMPLETE": TrialState.COMPLETE, "PRUNED": TrialState.PRUNED, "FAIL": TrialState.FAIL}
_STATES = (*_ENDED, LOST)
_REST = "config"
"""User attribute that holds what of a config is no parameter of the study."""


@dataclass(frozen=True)
class Proposal:
    """One trial of the study.

    Attributes:
        number: its number in the study, from 0; the trial's own number is another.
        params: the values of its config that the space speaks of, or the config that was given.
    """

    number: int
    params: dict[str, Any]


@dataclass
class _Live:
    """A trial that runs in this process."""

    trial: optuna.Trial
    reports: Reports = field(default_factory=Reports)


class Study:
    """One Optuna study, told the truth about each trial. Open one with `Study.open`.

    Attributes:
        metric: what the reported values are, for reasons.
    """

    def __init__(
        self, study: optuna.Study, sampler: DirectedSampler, pruner: NamedPruner, metric: str
    ) -> None:
        self.metric = metric
        self._study = study
        self._sampler = sampler
        self._pruner = pruner
        self._live: dict[int, _Live] = {}
        self._known: tuple[Mapping[str, Domain], Space] | None = None
        self._reports = len(study.directions) == 1

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        name: str,
        goal: str,
        method: str,
        seed: int,
        pruner: str,
        metric: str = "the metric",
        sampler: Sampler | None = None,
        second_goal: str | None = None,
    ) -> Self:
        """Open the study in the journal at `path`, or make it.

        Args:
            path: the journal file; a torn end is mended.
            name: the study's name, unique to the sweep and its stage.
            goal: ``"minimize"`` or ``"maximize"``.
            method: ``"grid"``, ``"random"`` or ``"bayes"``: who proposes where no config is given.
            seed: of the sweep; see `orchestrator.search.samplers`.
            pruner: ``"none"``, ``"median"`` or ``"hyperband"``.
            metric: name of the reported values.
            sampler: who proposes for ``"bayes"``; None for TPE.
            second_goal: of the second metric where there are two.

        Raises:
            UsageError: a word is none of the choices, the sampler cannot be, or the study there
                has another goal.
            SweepError: the file is no journal.
        """
        goals = [goal] if second_goal is None else [goal, second_goal]
        for item in goals:
            _check("metric.goal", item, ("minimize", "maximize"))
        _check("method", method, METHODS)
        chosen = named_pruner(pruner)
        # A line for each trial on the terminal would stand in the way of ours.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directed = DirectedSampler(method, seed, sampler)
        study = optuna.create_study(
            storage=open_journal(path),
            study_name=name,
            directions=[StudyDirection[item.upper()] for item in goals],
            sampler=directed,
            pruner=chosen.make(),
            load_if_exists=True,
        )
        found = [direction.name.lower() for direction in study.directions]
        if found != goals:
            raise UsageError(
                f"{path}: study '{name}' must have the goal {' and '.join(goals)}, but it was "
                f"begun with {' and '.join(found)}. Run it as a new sweep with --new."
            )
        return cls(study, directed, chosen, metric)

    def ask(self, space: Mapping[str, Domain], params: Mapping[str, Any] | None = None) -> Proposal:
        """Start a trial.

        Args:
            space: parameter name to domain.
            params: the config that it takes, or None for a proposal. Values of a given config
                that the space does not hold are kept with the trial, but no sampler learns them.

        Raises:
            UsageError: a domain has no counterpart in Optuna, or holds no value.
        """
        known = self._space(space)
        if params is None:
            self._sampler.give(None, {})
            trial = self._study.ask(known.distributions)
            number, values = trial.number, known.decode(trial.params)
        else:
            encoded = known.encode(params)
            distributions = {
                name: distribution
                for name, distribution in known.distributions.items()
                if name in encoded.held
            }
            self._sampler.give(encoded.held, distributions)
            trial = self._study.ask(distributions)
            if encoded.rest:
                trial.set_user_attr(_REST, plain(encoded.rest))
            number, values = trial.number, dict(params)
        self._live[number] = _Live(trial)
        return Proposal(number, values)

    def report(self, number: int, step: int, value: float) -> None:
        """Hand over one value of the metric; `orchestrator.search.thinning` says what is kept.

        Args:
            number: the trial, asked for in this process and not told yet.
            step: the step of the report, 0 or more.
            value: the metric; NaN and infinities are allowed.

        Raises:
            ValueError: the trial does not run here, or `step` is negative.
        """
        live = self._running(number)
        if step < 0:
            raise ValueError(f"step must be 0 or more, but got {step}.")
        if live.reports.take(step, float(value)) and self._reports:
            live.trial.report(float(value), step)

    def should_prune(self, number: int) -> str | None:
        """Return why the pruner stops the trial, or None where it goes on.

        After a value that is not finite the pruner waits for the next finite one, because such
        values pass in runs that end well; where they last longer than there, the trial is stopped.

        Raises:
            ValueError: the trial does not run here.
        """
        live = self._running(number)
        if self._pruner.name == "none" or not self._reports:
            return None
        reports = live.reports
        if reports.non_finite:
            if not reports.is_lost:
                return None
            return (
                f"{self._pruner.name} pruner: {self.metric} is {reports.latest_word} since step "
                f"{reports.non_finite_since}, {reports.non_finite} reports running"
            )
        if reports.last is None or not reports.last_is_kept or not live.trial.should_prune():
            return None
        return self._pruner.reason(self._study, self._frozen(number), self.metric)

    def tell(self, number: int, state: str, *values: float | None) -> str:
        """End a trial and return the state that the study holds.

        A COMPLETE trial of which a value is missing or not finite is told FAIL. A PRUNED trial
        keeps its last finite report as its value, or the value given where it made none.

        What a LOST trial, one that diverged, is told as says `orchestrator.search.failed`.

        Args:
            number: any trial of the study that runs, also one of an earlier driver.
            state: ``"COMPLETE"``, ``"PRUNED"``, ``"FAIL"`` or ``"LOST"``.
            values: the metric at the end; both, where there are two.

        Raises:
            ValueError: there is no such trial, it has ended already, or `state` is another word.
        """
        if state not in _STATES:
            raise ValueError(f"state must be one of {', '.join(_STATES)}, but got {state!r}.")
        if state == LOST:
            proposes = self._sampler.proposes
            state, values = told_for_lost(self._study, self._own(number), proposes=proposes)
        frozen = self._frozen(number)
        if frozen.state.is_finished():
            raise ValueError(
                f"trial {number} must run, but it was told {frozen.state.name} before."
            )
        ended = _ENDED[state]
        finite = self._finite(values)
        if ended is TrialState.COMPLETE and finite is None:
            ended = TrialState.FAIL
        live = self._live.pop(number, None)
        if ended is TrialState.PRUNED and live is not None and self._reports:
            self._report_last(live, finite[0] if finite else None)
        self._study.tell(number, finite if ended is TrialState.COMPLETE else None, state=ended)
        return ended.name

    def _own(self, number: int) -> list[float]:
        """Return the last finite report of a trial, where there is one."""
        live = self._live.get(number)
        if live is not None and live.reports.last is not None:
            return [live.reports.last[1]]
        return list(self._frozen(number).intermediate_values.values())[-1:]

    def _finite(self, values: Sequence[float | None]) -> list[float] | None:
        """Return the values of a trial where there is a finite one for each goal."""
        found = [value for value in values if value is not None and math.isfinite(value)]
        return found if len(found) == len(values) == len(self._study.directions) else None

    def close_stale(self) -> list[int]:
        """Tell FAIL for the trials that a dead driver left running, and return their numbers.

        Samplers take a running trial for one that will end badly, so stale ones mislead them.
        """
        stale = [
            trial.number
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if trial.number not in self._live
        ]
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
    ) -> int:
        """Enter a trial that ended elsewhere, as its run directory tells it; return its number.

        Args:
            params: its config.
            space: parameter name to domain.
            state: ``"COMPLETE"``, ``"PRUNED"``, ``"FAIL"`` or ``"LOST"``, as for `tell`.
            values: the metric at the end, both where there are two; a COMPLETE trial without a
                finite one is entered as FAIL.
            reports: step to value of the metric.

        Raises:
            ValueError: `state` is another word.
            UsageError: a domain has no counterpart in Optuna, or holds no value.
        """
        if state not in _STATES:
            raise ValueError(f"state must be one of {', '.join(_STATES)}, but got {state!r}.")
        if state == LOST:
            own = list((reports or {}).values())
            state, values = told_for_lost(self._study, own, proposes=self._sampler.proposes)
        known = self._space(space)
        encoded = known.encode(params)
        taken = Reports()
        kept = {
            step: number
            for step, number in sorted((reports or {}).items())
            if taken.take(step, float(number))
        }
        finite = self._finite(values)
        ended = _ENDED[state]
        if ended is TrialState.COMPLETE and finite is None:
            ended = TrialState.FAIL
        if ended is TrialState.PRUNED and finite is None and taken.last is not None:
            finite = [taken.last[1]] if self._reports else None
        distributions = known.distributions
        self._study.add_trial(
            create_trial(
                state=ended,
                values=None if ended is TrialState.FAIL else finite,
                params=encoded.held,
                distributions={name: distributions[name] for name in encoded.held},
                user_attrs={_REST: plain(encoded.rest)} if encoded.rest else {},
                intermediate_values=kept if self._reports else {},
            )
        )
        return len(self._study.get_trials(deepcopy=False)) - 1

    def states(self) -> dict[int, str]:
        """Return the state of every trial, by its number in the study."""
        return {trial.number: trial.state.name for trial in self._study.get_trials(deepcopy=False)}

    def _space(self, domains: Mapping[str, Domain]) -> Space:
        # A sweep asks with the same mapping each time; building its distributions anew for every
        # trial would cost more than asking.
        if self._known is None or self._known[0] is not domains:
            self._known = (domains, Space(domains))
        return self._known[1]

    def _running(self, number: int) -> _Live:
        if number not in self._live:
            raise ValueError(
                f"trial {number} must be asked for here and not told yet, "
                f"but those that run are {sorted(self._live)}."
            )
        return self._live[number]

    def _frozen(self, number: int) -> FrozenTrial:
        trials = self._study.get_trials(deepcopy=False)
        if not 0 <= number < len(trials):
            raise ValueError(f"trial {number} must be one of the {len(trials)} of the study.")
        return trials[number]

    @staticmethod
    def _report_last(live: _Live, value: float | None) -> None:
        """Let the study hold the last value of a trial before it is told PRUNED."""
        if live.reports.last is None:
            if value is not None:
                live.trial.report(value, 0)
        elif not live.reports.last_is_kept:
            step, last = live.reports.last
            live.trial.report(last, step)


def _check(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(
            f"{key}: must be one of {', '.join(choices)}, but got {value!r}."
            f"{nearest(value, choices)}"
        )


class Studies:
    """Opens the studies of a sweep, all in one journal, when they are first needed.

    Args:
        path: the journal.
        name: of the sweep, which is that of its first study.
        spec: what was asked.

    Raises:
        UsageError: the study there has another goal, or the sampler cannot be.
        SweepError: the file is no journal.
    """

    def __init__(self, path: Path, name: str, spec: Spec) -> None:
        self._path = path
        self._name = name
        self._spec = spec
        self._first = spec.stages[0].name if spec.stage is None and spec.stages else spec.stage
        self._open: dict[str | None, Study] = {}
        self.of(self._first)

    def of(self, stage: str | None) -> Study:
        """Return the study of a stage; the sweep's where it has none."""
        if stage is None:
            stage = self._first
        if stage not in self._open:
            spec, name = self._spec, self._name
            second = spec.objectives[1].goal if len(spec.objectives) > 1 else None
            self._open[stage] = Study.open(
                self._path,
                name=name if stage == self._first else f"{name}/{stage}",
                goal=spec.metric.goal if spec.metric else "minimize",
                method=spec.method,
                seed=spec.seed,
                pruner=spec.pruner,
                metric=spec.metric.name if spec.metric else "",
                sampler=spec.sampler,
                second_goal=second,
            )
        return self._open[stage]

    def __iter__(self) -> Iterator[tuple[str | None, Study]]:
        return iter(list(self._open.items()))
