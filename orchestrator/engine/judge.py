"""What the reports of one attempt lead to: divergence first, then the pruner.

The order of authority: what the watch over the curve ends is ended, whatever a pruner thinks of
it; only what is not lost is held against other trials; and only what completes can be promoted to
the next stage.

What the trials of a sweep show each other: whether the loss can fall at all.

A loss that only rises may be the fault of the task or of the config. Once another trial has come
down by a fifth of its first value, it is the config's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis import evaluate_run
from orchestrator.divergence import DivergenceRule, Reported, Verdict, Watch, number as shown
from orchestrator.divergence.schedule import declared_for, schedule_of_trial
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.engine.remedies import Remedies, policy_for
from orchestrator.errors import UsageError
from orchestrator.files import atomic
from orchestrator.metrics import ArrayProblem
from orchestrator.runs import RunDir, SweepDir, TrialRecord, read_reports
from orchestrator.search import Bands, Study
from orchestrator.sweepfile.model import Spec


@dataclass(frozen=True)
class Judgement:
    """What one report leads to.

    Attributes:
        stop: why the trial is to end; None where it goes on.
        symptom: what the watch ended it for; None where it goes on or somebody else ended it.
        warnings: what the user should know.
    """

    stop: str | None = None
    symptom: str | None = None
    warnings: tuple[str, ...] = ()


class Judge:
    """Judges one attempt, and keeps what its metric was.

    Args:
        spec: what was asked.
        study: told of every value of the metric, and asked whether to prune.
        record: of the trial, whose attempt has a number in the study.
        run: its run directory.
        bands: W&B's ``early_terminate``; None where the file has none.
        siblings: what the other trials have shown; None where there are none.
        remedies: tells what could be answered; None where nothing can.

    Attributes:
        passing: warnings for whoever watches the trial run: of a trial that has ended well the
            table tells what came of its targets and milestones.

    Raises:
        UsageError: the spec's policy or schedule cannot be.
    """

    def __init__(
        self,
        spec: Spec,
        study: Study,
        record: TrialRecord,
        run: RunDir,
        *,
        bands: Bands | None = None,
        siblings: Siblings | None = None,
        remedies: Remedies | None = None,
    ) -> None:
        self._spec = spec
        self._metric = spec.metric
        self._study = study
        self._record = record
        self._run = run
        self._bands = bands
        self._siblings = siblings
        self._remedies = remedies
        slot = record.slot or {}
        self._watch = Watch(
            spec.metric.name if spec.metric else None,
            spec.metric.goal if spec.metric else "minimize",
            policy=policy_for(spec),
            target=spec.metric.target if spec.metric else None,
            targets=targets_of(spec),
            total_steps=record.total_steps,
            memory_limit_mib=slot.get("memory_mib") if slot.get("device") != "cpu" else None,
        )
        self._troubles: list[str] = []
        self._milestones = _milestones(spec)
        self._reported = Reported()
        self.passing: set[str] = set()
        self._values: list[float] = []
        self._is_replayed = False

    def plan_steps(self, total_steps: int) -> None:
        """Take in how many steps the trial will report."""
        self._watch.plan_steps(total_steps)

    def report(self, step: int, metrics: Mapping[str, float], *, is_ending: bool) -> Judgement:
        """Take in one report and decide.

        Args:
            step: epochs or batches done.
            metrics: as they were reported.
            is_ending: True where the attempt is to end anyway: the study need not know more.
        """
        if not self._is_replayed:
            self._replay(step)
        verdicts = self._update(step, metrics)
        if is_ending:
            return Judgement()
        warnings = [*self._troubles, *self._missed(step, metrics)]
        self._troubles = []
        for verdict in verdicts:
            symptom = str(verdict.symptom)
            if verdict.stops and self._is_carried_out(verdict):
                head = "diverged" if symptom in divergence_symptoms() else symptom
                return Judgement(f"{head}: {verdict.reason}", symptom, tuple(warnings))
            if self._reported.is_new(verdict):
                warnings.append(verdict.reason)
                self.passing |= {verdict.reason} if symptom == "too slow" else set()
        self._note(step, metrics)
        return Judgement(stop=self._cannot_win(step, metrics), warnings=tuple(warnings))

    def value(self, *, is_complete: bool) -> tuple[float | None, str | None]:
        """Return the attempt's metric, and what hindered recomputing it, if anything did.

        Numbers are recomputed from the saved arrays of a complete attempt; what cannot be is the
        best that was reported.
        """
        if self._metric is None:
            return None, None
        best = (min if self._metric.goal == "minimize" else max)(self._values, default=None)
        files = [self._run.predictions_file(split) for split in ("test", "val")]
        if not is_complete or not any(path.exists() for path in files):
            return best, None
        try:
            value = evaluate_run(self._run.path).get(self._metric.name)
        except ArrayProblem as problem:
            return best, f"metrics could not be recomputed: {problem}"
        return (value if value is not None and math.isfinite(value) else best), None

    def _cannot_win(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Return why a trial that is not lost is stopped all the same, if it is."""
        if self._metric is None or self._metric.name not in metrics:
            return None
        if self._bands is not None:
            value = metrics[self._metric.name]
            reason = self._bands.should_stop(self._record, step, value)
            if reason is not None:
                return reason
        number = self._record.optuna_number
        return None if number is None else self._study.should_prune(number)

    def _update(self, step: int, metrics: Mapping[str, float]) -> list[Verdict]:
        """Hand one report to the watch, with what the other trials have shown."""
        own, others = self._record.number, self._siblings
        can_fall = others is not None and others.another_fell(own, look=self._watch.is_rising)
        verdicts = self._watch.update(step, metrics, loss_can_fall=can_fall)
        if others is not None and self._watch.has_fallen:
            others.fell(own)
        return verdicts

    def _is_carried_out(self, verdict: Verdict) -> bool:
        """Tell whether a verdict that ends the run does; a remedy that cannot be given does not.

        What is lost ends in any case. A run that only stands on a plateau goes on where ending it
        would lead to nothing.
        """
        symptom = str(verdict.symptom)
        if verdict.action == "stop" or symptom in divergence_symptoms():
            return True
        return self._remedies is not None and self._remedies.can_answer(self._record, symptom)

    def _missed(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Return the milestones that this report misses, in words."""
        words = []
        for (name, place), bound in list(self._milestones.items()):
            if name not in metrics or step < place:
                continue
            del self._milestones[name, place]
            if step == place and not bound.holds(metrics[name]):
                value = shown(metrics[name])
                words.append(f"{name} is {value} at step {step}, but {bound} was expected there")
        self.passing |= set(words)
        return words

    def _replay(self, step: int) -> None:
        # A trial that goes on from its checkpoint is judged with what it reported before.
        self._is_replayed = True
        self._plan_schedule()
        for earlier, metrics in read_reports(self._run):
            if earlier >= step:
                break
            self._update(earlier, metrics)
            self._missed(earlier, metrics)
            self._note(earlier, metrics)

    def _plan_schedule(self) -> None:
        """Take the schedule from the sweep file, else as the trainer said that it configured it."""
        varied = {name for trial in self._spec.trials.values() for name in trial.set}
        try:
            schedule = schedule_of_trial(
                self._spec.lr_schedule,
                config=self._record.config,
                metadata=atomic.read_json(self._run.metadata_file) or {},
                change=self._record.change,
                varied={*self._spec.parameters, *varied},
                last_step=self._record.total_steps,
            )
        except UsageError as error:
            self._troubles.append(f"the learning rate is not held against a schedule: {error}")
            return
        if schedule is not None:
            self._watch.plan_schedule(schedule)

    def _note(self, step: int, metrics: Mapping[str, float]) -> None:
        value = metrics.get(self._metric.name) if self._metric else None
        if value is None:
            return
        if math.isfinite(value):
            self._values.append(value)
        # Further replicates of a config have no number: the study hears of their mean alone.
        if self._record.optuna_number is not None:
            self._study.report(self._record.optuna_number, step, value)


def check_watched(spec: Spec) -> None:
    """Refuse a spec whose policy or schedule no trial could be judged by.

    Raises:
        UsageError: a symptom, a choice or the schedule cannot be.
    """
    policy_for(spec)
    if spec.lr_schedule:
        declared_for(spec.lr_schedule)


def targets_of(spec: Spec) -> dict[str, tuple[float, str]]:
    """Return the reported names whose pace is watched, with what to reach and which way.

    Targets are bounds on metrics of the test data; what is reported on the way carries ``val_``.
    """
    found = {}
    for name, bound in spec.targets.items():
        if bound.low is not None:
            continue  # a range has no way in which the metric should go
        way = "minimize" if bound.op.startswith("<") else "maximize"
        for reported in (name, f"val_{name.removeprefix('test_')}"):
            found[reported] = bound.limit, way
    return found


def _milestones(spec: Spec) -> dict[tuple[str, int], Any]:
    """Return metric and step of each milestone, with its bound."""
    found = {}
    for text, bound in spec.expect.items():
        name, _, step = text.rpartition("@")
        if name and step.isdecimal():
            found[name, int(step)] = bound
    return found


MOST_READ = 64
"""Trials of earlier drivers whose logs are read for it at most, the newest first."""


class Siblings:
    """Knows which trials of a sweep have shown that the loss can fall.

    Args:
        sweep: the sweep's folder.
        records: its trials by earlier drivers.
        metric: the reported name that ranks, or None.
        goal: which way it is better.
    """

    def __init__(
        self,
        sweep: SweepDir,
        records: Iterable[TrialRecord],
        metric: str | None,
        goal: str,
    ) -> None:
        self._sweep = sweep
        self._unread = [record for record in records if record.attempt][-MOST_READ:]
        self._judged_by = metric, goal
        self._fallen: set[int] = set()

    def fell(self, number: int) -> None:
        """Note that the loss of trial `number` came down."""
        self._fallen.add(number)

    def another_fell(self, number: int, *, look: bool) -> bool:
        """Tell whether the loss of another trial than `number` has come down.

        Args:
            number: the trial that asks.
            look: whether logs of earlier drivers are worth reading for it.
        """
        while not self._fallen - {number} and look and self._unread:
            record = self._unread.pop()
            run = self._sweep.run_dir(record.number, record.name)
            rule = DivergenceRule(*self._judged_by)
            for step, metrics in read_reports(run):
                rule.update(step, metrics)
                if rule.has_fallen:
                    self._fallen.add(record.number)
                    break
        return bool(self._fallen - {number})
