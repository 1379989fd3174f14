"""One trial of the study per config; with several seeds it receives the mean, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.analysis import facts_of
from orchestrator.analysis.rank import MEAN_OF
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.errors import UsageError
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    TrialRecord,
    TrialState,
    load_trials,
    read_reports,
)
from orchestrator.search import LOST, Proposal, Studies, imputed, is_pruners
from orchestrator.sweepfile.checks import value_in
from orchestrator.sweepfile.expand import count_trials, drawn_key, varied_of
from orchestrator.sweepfile.model import Domain
from orchestrator.sweepfile.space import all_shuffled

_PROPOSALS = 5
"""How often the study may propose a config again that was tried."""


@dataclass(frozen=True)
class Outcome:
    """How a config ended.

    Attributes:
        state: for the study; ``LOST`` if it diverged.
        values: the metric, or both metrics; means over the replicates that are complete.
        caveat: what people should know about the mean; "" for nothing.
    """

    state: str
    values: tuple[float | None, ...]
    caveat: str = ""


def dropped_by(first: TrialRecord) -> str | None:
    """Return why the other replicates of a config need not run, if they need not.

    A pruner judges the first replicate alone. What it stops cannot win, and a mean over those
    that it would have let continue would flatter the config.
    """
    stopped = first.replicate == 0 and first.state is TrialState.PRUNED
    if not stopped or not is_pruners(first.reason or ""):
        return None
    return f"its config was stopped with its first seed (trial {first.number}): {first.reason}"


class StudyTrials:
    """Asks the study for a trial when a config starts, and reports how the config ended.

    With several seeds the study receives the reports of the first replicate only, and the mean of
    all that are complete once the last one has ended.
    """

    def __init__(self, view: SweepView, studies: Studies) -> None:
        self._view = view
        self._spec = view.spec
        self._studies = studies
        self._space = {
            name: domain
            for name, domain in view.spec.parameters.items()
            if not domain.is_constant and name not in view.spec.overrides
        }
        named = (name for trial in view.spec.trials.values() for name in trial.set)
        self._named = list(dict.fromkeys((*view.spec.parameters, *named)))
        self._open: dict[int, int] = {}
        endless = count_trials(replace(view.spec, run_cap=None)) is None
        self._may_repeat = endless or bool(view.spec.trials or view.spec.repeats)

    @property
    def proposes(self) -> bool:
        """True if the study proposes configs."""
        return self._spec.method == "bayes" and bool(self._space)

    def propose(self) -> Proposal:
        """Let the study propose a config that has not been tried, unless the file has `repeats`.

        A proposal that repeats a config is told the config's result. If the study insists, the next
        config is one that is left, at random.
        """
        study = self._studies.of(None)
        tried = {
            drawn_key(self._chosen(record)[1]): record
            for record in self._view.records.values()
            if record.origin is None
        }
        for _ in range(_PROPOSALS):
            proposal = study.ask(self._space, None)
            known = tried.get(drawn_key({name: proposal.params[name] for name in self._space}))
            if known is None or self._may_repeat:
                return proposal
            outcome = self._outcome(known) or Outcome("FAIL", ())  # one that runs teaches nothing
            study.tell(proposal.number, outcome.state, *outcome.values)
        rest = all_shuffled(self._spec, self._spec.overrides)
        left = next((values for values in rest if drawn_key(values) not in tried), None)
        return study.ask(self._space, left)

    def learn_earlier(self) -> str:
        """Let the study learn the results of the sweep that ``start`` names; return what it took.

        Returns:
            A sentence for people; "" if there is nothing to learn, or it was learned before.

        Raises:
            UsageError: that sweep had another metric, or none of its trials fits the space.
        """
        source = self._spec.start.source if self._spec.start is not None else None
        study = self._studies.of(None)
        if source is None or study.states() or self._spec.metric is None:
            return ""
        folder, metric = SweepDir(Path(source)), self._spec.metric
        before = SweepRecord.load(folder)
        if before is None or (before.metric, before.goal) != (metric.name, metric.goal):
            had = "no sweep" if before is None else f"{before.metric}, {before.goal}"
            raise UsageError(
                f"start.from: {source} has another metric than {metric.name}, {metric.goal} "
                f"(found {had}). Start from a sweep with this metric."
            )
        taken, others = [], 0
        for record in load_trials(folder):
            _, varied = self._chosen(record)
            known = {n: value_in(d, varied[n]) for n, d in self._space.items() if n in varied}
            chosen = {name: value[0] for name, value in known.items() if value is not None}
            is_over = record.state in (TrialState.COMPLETE, TrialState.PRUNED)
            if not is_over or record.value is None or chosen.keys() != self._space.keys():
                others += 1
                continue
            study.import_finished(chosen, self._space, _state(record), record.value)
            taken.append(record.name)
        if not taken:
            raise UsageError(f"start.from: no trial of {source} has values of this search space.")
        shown = ", ".join(taken[:5]) + (", …" if len(taken) > 5 else "")
        rest = f"; {others} left out, without a result or a value in this space" if others else ""
        return f"start: {len(taken)} trials of {folder.name} are known ({shown}){rest}"

    def begin(self, record: TrialRecord, proposal: Proposal | None = None) -> None:
        """Give a trial that starts its number in the study, asking for one if it has none."""
        key = _key(record)
        known = self._view.records.get(key)
        if key not in self._open and record.replicate and known is not None:
            number, study = known.optuna_number, self._studies.of(record.stage)
            if number is not None and study.runs(number):  # another driver has begun the config
                self._open[key] = number
        if key not in self._open:
            if proposal is None:
                space, chosen = self._chosen(record)
                proposal = self._studies.of(record.stage).ask(space, chosen)
            self._open[key] = number = proposal.number
            self._studies.of(record.stage).describe(number, self._facts(record))
            first = self._view.records.get(key)
            if first is not None and first is not record and first.state.is_finished:
                # The next driver looks for the number there.
                first.optuna_number = number
                self._view.save(first)
        record.optuna_number = self._open[key] if record.replicate == 0 else None

    def end(self, record: TrialRecord) -> Outcome | None:
        """Report a trial that has ended to the study; its record was written before.

        Returns:
            How the config ended; None if replicates of it have yet to end.
        """
        key, study = _key(record), self._studies.of(record.stage)
        if record.state is TrialState.WAITING:
            # An Optuna trial that is set back to waiting keeps its old reports.
            if record.replicate == 0 and key in self._open:
                study.tell(self._open.pop(key), "FAIL")
            return None
        outcome = self._outcome(record)
        if outcome is None:
            return None
        first = self._view.replicates(record)[0]
        number = self._open.pop(key, first.optuna_number)
        if number is not None and study.runs(number):
            study.tell(number, outcome.state, *outcome.values)
        elif record.group is not None:
            self._import(first, outcome)
        return outcome

    def close_stale(self) -> None:
        """Report trials as failed that a driver began which was killed before others knew it."""
        numbers = (record.optuna_number for record in self._view.records.values())
        self._studies.of(None).close_stale({number for number in numbers if number is not None})

    def left_by_other(self, record: TrialRecord) -> None:
        """Report a trial whose driver was killed to the study: as it ended, else as failed."""
        number = record.optuna_number
        if record.state.is_finished:
            self.end(record)
        elif number is not None and self._studies.of(record.stage).runs(number):
            self._studies.of(record.stage).tell(number, "FAIL")

    def reconcile(self) -> None:
        """Report to the studies what a killed driver may not have.

        Trials that run in a study and nowhere else are reported as failed: samplers expect a
        running trial to end badly.
        """
        records = self._view.records.values()
        stages = dict.fromkeys(record.stage for record in records)
        known = {stage: self._studies.of(stage).states() for stage in stages}
        for record in sorted(records, key=lambda record: record.number):
            number = record.optuna_number
            if number is None or not record.state.is_finished:
                continue
            state = known[record.stage].get(number)
            outcome = self._outcome(record) if state in (None, "RUNNING") else None
            if outcome is None:
                continue
            if state is None:  # the journal was replaced
                self._import(record, outcome)
            else:
                study = self._studies.of(record.stage)
                study.tell(number, outcome.state, *outcome.values)
        for study in self._studies:
            study.close_stale()

    def _outcome(self, record: TrialRecord) -> Outcome | None:
        """Return how the config of a trial ended; None before that."""
        if record.group is None:
            return self._imputed(record, Outcome(_state(record), self._values(record)))
        members = self._view.replicates(record)
        finished = [member for member in members if member.state.is_finished]
        if len(finished) < max(self._view.seeds, len(members)):
            return None
        return self._imputed(members[0], self._mean(members))

    def _import(self, record: TrialRecord, outcome: Outcome) -> None:
        space, chosen = self._chosen(record)
        record.optuna_number = self._studies.of(record.stage).import_finished(
            chosen,
            space,
            outcome.state,
            *outcome.values,
            reports=self._reported(record),
            facts=self._facts(record),
        )
        self._view.save(record)

    def _facts(self, record: TrialRecord) -> dict[str, Any]:
        """Return what Optuna's tools show of a trial besides the values of the search.

        A named trial may set everything that the search does not.
        """
        set_here = (n for n in self._named if n in record.config and n not in self._space)
        return {"trial": record.name} | {name: record.config[name] for name in set_here}

    def _chosen(self, record: TrialRecord) -> tuple[dict[str, Domain], dict[str, Any]]:
        """Return the domains and the values of what varies in a trial."""
        varied = varied_of(self._spec, record.config)
        space = {name: domain for name, domain in self._space.items() if name in varied}
        return space, {name: varied[name] for name in space}

    def _values(self, record: TrialRecord) -> tuple[float | None, ...]:
        objectives = self._spec.objectives
        if len(objectives) < 2:
            return (record.value,)
        if record.state is not TrialState.COMPLETE:
            return (record.value, None)
        facts = facts_of(record, self._view.run_dir(record), objectives)
        second = facts.values.get(objectives[1].name)
        return (record.value, second if isinstance(second, int | float) else None)

    def _mean(self, members: list[TrialRecord]) -> Outcome:
        complete = [member for member in members if member.state is TrialState.COMPLETE]
        nothing = (None,) * max(1, len(self._spec.objectives))
        if dropped_by(members[0]):
            return Outcome(TrialState.PRUNED, (members[0].value, *nothing[1:]))
        if not complete:
            return Outcome(_state(*members), nothing)
        columns = list(zip(*(self._values(member) for member in complete), strict=True))
        means = tuple(_mean(column) for column in columns)
        others = [member for member in members if member.state is not TrialState.COMPLETE]
        if not others:
            return Outcome(TrialState.COMPLETE, means)
        named = ", ".join(f"{member.name} {member.state.value}" for member in others)
        caveat = f"{MEAN_OF} {len(complete)} of {len(members)} seeds: {named}"
        return Outcome(TrialState.COMPLETE, means, caveat)

    def _imputed(self, record: TrialRecord, outcome: Outcome) -> Outcome:
        metric = self._spec.metric
        if outcome.state != TrialState.FAIL or metric is None or metric.impute is None:
            return outcome
        if len(outcome.values) > 1 or self._spec.method != "bayes":
            return outcome
        others = (
            value
            for other in self._view.records.values()
            if metric.impute == "worst" and other is not record and other.stage == record.stage
            for value in self._reported(other).values()
        )
        value = imputed(metric, list(self._reported(record).values()), others)
        if value is None:
            return outcome
        return Outcome(TrialState.COMPLETE, (value,), outcome.caveat)

    def _reported(self, record: TrialRecord) -> dict[int, float]:
        metric = self._spec.metric
        if metric is None:
            return {}
        return {
            step: metrics[metric.name]
            for step, metrics in read_reports(self._view.run_dir(record))
            if metric.name in metrics
        }


def _key(record: TrialRecord) -> int:
    """Return the number that stands for the config of a trial."""
    return record.number if record.group is None else record.group


def _state(*members: TrialRecord) -> str:
    """Return the study's state of a trial, or of replicates of which none is complete."""
    if not any(member.state is TrialState.PRUNED for member in members):
        return members[0].state
    is_lost = any(member.symptom in divergence_symptoms() for member in members)
    return LOST if is_lost else TrialState.PRUNED


def _mean(values: tuple[Any, ...]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None
