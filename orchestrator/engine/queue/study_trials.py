"""One trial of the study for each config, told once: with the mean where it has several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis import facts_of
from orchestrator.analysis.rank import MEAN_OF
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.runs import SweepDir, TrialRecord, TrialState, read_reports
from orchestrator.search import LOST, Proposal, Studies, imputed, is_pruners
from orchestrator.sweepfile.expand import varied_of
from orchestrator.sweepfile.model import Spec


@dataclass(frozen=True)
class Outcome:
    """How a config ended.

    Attributes:
        state: how it ended, for people.
        values: the metric, or both metrics; means over the replicates that are complete.
        words: what people should know of the mean; "" for nothing.
        is_lost: True where it diverged, which a sampler must be told apart.
    """

    state: TrialState
    values: tuple[float | None, ...]
    words: str = ""
    is_lost: bool = False

    @property
    def told(self) -> str:
        """The state as the study is told."""
        return LOST if self.is_lost and self.state is TrialState.PRUNED else self.state.value


def replicates(record: TrialRecord, records: Mapping[int, TrialRecord]) -> list[TrialRecord]:
    """Return the trials that run the config of `record`, by the place of their seeds."""
    if record.group is None:
        return [record]
    found = [other for other in records.values() if other.group == record.group]
    return sorted(found, key=lambda other: other.replicate)


def missing_replicates(
    spec: Spec, first: TrialRecord, records: Mapping[int, TrialRecord]
) -> list[TrialRecord]:
    """Return the replicates of a config that have no record yet, as records that wait."""
    found = []
    parameter, seeds = spec.seed_parameter, spec.seeds
    for replicate in range(1, len(seeds)):
        number = first.number + replicate
        if number in records:
            continue
        renamed = first.name.replace(f"{parameter}={seeds[0]}", f"{parameter}={seeds[replicate]}")
        config = {**first.config, parameter: seeds[replicate]}
        found.append(
            TrialRecord(
                number=number,
                name=renamed if renamed != first.name else f"{first.name}+{number}",
                config=config,
                stage=first.stage,
                note=dict(first.note),
                change=dict(first.change),
                group=first.group,
                replicate=replicate,
            )
        )
    return found


def dropped_by(first: TrialRecord) -> str | None:
    """Return why the other replicates of a config need not run, if they need not.

    A pruner judges the first replicate alone. What it stops cannot win, and a mean over those
    that it would have let go on would flatter the config.
    """
    stopped = first.replicate == 0 and first.state is TrialState.PRUNED
    if not stopped or not is_pruners(first.reason or ""):
        return None
    return f"its config was stopped with its first seed (trial {first.number}): {first.reason}"


class Configs:
    """Asks the study for a trial when a config starts, and tells it how the config ended.

    With several seeds the study hears the reports of the first replicate alone, and the mean of
    all that are complete once the last one has ended.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        studies: its studies.
        records: its trials by number; read only.
    """

    def __init__(
        self, spec: Spec, sweep: SweepDir, studies: Studies, records: Mapping[int, TrialRecord]
    ) -> None:
        self._spec = spec
        self._sweep = sweep
        self._studies = studies
        self._records = records
        self._many = max(len(spec.seeds), 1)
        self._space = {
            name: domain
            for name, domain in spec.parameters.items()
            if not domain.is_constant and name not in spec.overrides
        }
        self._asked: dict[int, int] = {}

    @property
    def proposes(self) -> bool:
        """True where the study proposes configs."""
        return self._spec.method == "bayes" and bool(self._space)

    def propose(self) -> Proposal:
        """Let the study propose a config."""
        return self._studies.of(None).ask(self._space, None)

    def begin(self, record: TrialRecord, proposal: Proposal | None = None) -> None:
        """Give a trial that starts its number in the study, asking for it where that is due."""
        key = _key(record)
        if key not in self._asked:
            number = self._ask(record) if proposal is None else proposal.number
            self._asked[key] = number
            first = self._records.get(key)
            if first is not None and first is not record and first.state.is_finished:
                # Where it is looked for when the sweep goes on.
                first.optuna_number = number
                first.save(self._sweep.run_dir(first.number, first.name))
        record.optuna_number = self._asked[key] if record.replicate == 0 else None

    def end(self, record: TrialRecord) -> Outcome | None:
        """Tell the study of a trial that has ended; its record was written down before.

        Returns:
            How the config ended; None where replicates of it have yet to end.
        """
        key, study = _key(record), self._studies.of(record.stage)
        if record.state is TrialState.WAITING:
            # An Optuna trial that is set back to waiting keeps its old reports.
            if record.replicate == 0 and key in self._asked:
                study.tell(self._asked.pop(key), "FAIL")
            return None
        outcome = self.outcome(record)
        if outcome is None:
            return None
        number = self._asked.pop(key, None)
        if number is not None:
            study.tell(number, outcome.told, *outcome.values)
        elif record.group is not None:
            self._import(replicates(record, self._records)[0], outcome)
        return outcome

    def outcome(self, record: TrialRecord) -> Outcome | None:
        """Return how the config of a trial ended, as the study is to be told; None before that."""
        if record.group is None:
            is_lost = record.symptom in divergence_symptoms()
            outcome = Outcome(record.state, self._values(record), is_lost=is_lost)
            return self._imputed(record, outcome)
        members = replicates(record, self._records)
        if len(members) < self._many or not all(member.state.is_finished for member in members):
            return None
        return self._imputed(members[0], self._mean(members))

    def reconcile(self) -> None:
        """Let the studies know what the records know: a killed driver may not have told all.

        Trials that run in a study and nowhere else are told to have failed: samplers take a
        running trial for one that will end badly.
        """
        stages = dict.fromkeys(record.stage for record in self._records.values())
        known = {stage: self._studies.of(stage).states() for stage in stages}
        for record in sorted(self._records.values(), key=lambda record: record.number):
            number = record.optuna_number
            if number is None or not record.state.is_finished:
                continue
            state = known[record.stage].get(number)
            outcome = self.outcome(record) if state in (None, "RUNNING") else None
            if outcome is None:
                continue
            if state is None:  # the journal is not the one of then
                self._import(record, outcome)
            else:
                study = self._studies.of(record.stage)
                study.tell(number, outcome.told, *outcome.values)
        for _, study in self._studies:
            study.close_stale()

    def _ask(self, record: TrialRecord) -> int:
        varied = varied_of(self._spec, record.config)
        chosen = {name: varied[name] for name in self._space if name in varied}
        space = {name: self._space[name] for name in chosen}
        return self._studies.of(record.stage).ask(space, chosen).number

    def _import(self, record: TrialRecord, outcome: Outcome) -> None:
        varied = varied_of(self._spec, record.config)
        chosen = {name: varied[name] for name in self._space if name in varied}
        record.optuna_number = self._studies.of(record.stage).import_finished(
            chosen,
            {name: self._space[name] for name in chosen},
            outcome.told,
            *outcome.values,
            reports=self._reported(record),
        )
        record.save(self._sweep.run_dir(record.number, record.name))

    def _values(self, record: TrialRecord) -> tuple[float | None, ...]:
        objectives = self._spec.objectives
        if len(objectives) < 2:
            return (record.value,)
        if record.state is not TrialState.COMPLETE:
            return (record.value, None)
        run = self._sweep.run_dir(record.number, record.name)
        second = facts_of(record, run, self._spec.metric).values.get(objectives[1].name)
        return (record.value, second if isinstance(second, int | float) else None)

    def _mean(self, members: list[TrialRecord]) -> Outcome:
        complete = [member for member in members if member.state is TrialState.COMPLETE]
        nothing = (None,) * max(1, len(self._spec.objectives))
        if dropped_by(members[0]):
            return Outcome(TrialState.PRUNED, (members[0].value, *nothing[1:]))
        if not complete:
            pruned = any(member.state is TrialState.PRUNED for member in members)
            is_lost = any(member.symptom in divergence_symptoms() for member in members)
            state = TrialState.PRUNED if pruned else TrialState.FAIL
            return Outcome(state, nothing, is_lost=is_lost)
        columns = list(zip(*(self._values(member) for member in complete), strict=True))
        means = tuple(_mean(column) for column in columns)
        lost = [member for member in members if member.state is not TrialState.COMPLETE]
        if not lost:
            return Outcome(TrialState.COMPLETE, means)
        told = ", ".join(f"{member.name} {member.state.value}" for member in lost)
        words = f"{MEAN_OF} {len(complete)} of {len(members)} seeds: {told}"
        return Outcome(TrialState.COMPLETE, means, words)

    def _imputed(self, record: TrialRecord, outcome: Outcome) -> Outcome:
        metric = self._spec.metric
        if outcome.state is not TrialState.FAIL or metric is None or len(outcome.values) > 1:
            return outcome
        if metric.impute is None or self._spec.method != "bayes":
            return outcome
        others = (
            value
            for other in self._records.values()
            if metric.impute == "worst" and other is not record and other.stage == record.stage
            for value in self._reported(other).values()
        )
        value = imputed(metric, list(self._reported(record).values()), others)
        return outcome if value is None else Outcome(TrialState.COMPLETE, (value,), outcome.words)

    def _reported(self, record: TrialRecord) -> dict[int, float]:
        metric = self._spec.metric
        if metric is None:
            return {}
        run = self._sweep.run_dir(record.number, record.name)
        return {
            step: metrics[metric.name]
            for step, metrics in read_reports(run)
            if metric.name in metrics
        }


def _key(record: TrialRecord) -> int:
    """Return under which number the config of a trial is known."""
    return record.number if record.group is None else record.group


def _mean(values: tuple[Any, ...]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None
