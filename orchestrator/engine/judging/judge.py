"""What the reports of one attempt lead to: divergence first, then the pruner.

What the watch over the curve ends is ended, whatever a pruner thinks of it, and only what is not
lost is compared with other trials.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis import evaluate_run
from orchestrator.divergence import (
    DivergenceRule,
    Verdict,
    Watch,
    finding_key,
)
from orchestrator.divergence.schedule import declared_for, schedule_of_trial
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.engine.remedies import LINK_RESUMING, policy_for, remedy_change
from orchestrator.engine.state.milestones import Milestones
from orchestrator.errors import UsageError, nearest
from orchestrator.files import atomic
from orchestrator.files.series_names import SPLITS
from orchestrator.metrics import ArrayProblem
from orchestrator.runs import TrialRecord, read_reports
from orchestrator.search import Bands, Study
from orchestrator.sweepfile.model import Spec

_LENGTHS = ("epochs", "max_epochs", "num_epochs", "n_epochs", "num_train_epochs", "max_steps")
MOST_READ = 64
"""How many trials of earlier drivers have their logs read at most, the newest first."""


@dataclass(frozen=True)
class Judgement:
    """What one report leads to.

    Attributes:
        stop: why the trial is to end; None if it continues.
        symptom: what the watch ended it for; None if it continues or a pruner ended it.
        withdrawn: earlier warnings that do not hold any more.
    """

    stop: str | None = None
    symptom: str | None = None
    warnings: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()


class OtherTrials:
    """What the trials of a sweep show about each other.

    A loss that only rises may be the fault of the task or of the config. Once another trial has
    come down by a fifth of its first value, it is the config's.
    """

    def __init__(self, view: SweepView) -> None:
        self._view = view
        metric, rule = view.spec.metric, view.spec.early_terminate
        self._judged_by = (metric.name, metric.goal) if metric else (None, "minimize")
        self._unread = [record for record in view.records.values() if record.attempt][-MOST_READ:]
        self._fallen: set[int] = set()
        self._bands = Bands(rule, metric, view.folder, view.records) if rule and metric else None

    def note_fall(self, number: int) -> None:
        """Note that the loss of trial `number` came down."""
        self._fallen.add(number)

    def another_fell(self, number: int, *, read_logs: bool) -> bool:
        """Return whether the loss of another trial came down; read older logs only if allowed."""
        while not self._fallen - {number} and read_logs and self._unread:
            record = self._unread.pop()
            rule = DivergenceRule(*self._judged_by)
            for step, metrics in read_reports(self._view.run_dir(record)):
                rule.update(step, metrics)
                if rule.has_fallen:
                    self._fallen.add(record.number)
                    break
        return bool(self._fallen - {number})

    def falls_behind(self, record: TrialRecord, step: int, value: float) -> str | None:
        """Return why W&B's ``early_terminate`` stops a trial at a report, if it does."""
        return None if self._bands is None else self._bands.should_stop(record, step, value)


class Judge:
    """Judges one attempt, and keeps what its metric was."""

    def __init__(
        self, view: SweepView, study: Study, record: TrialRecord, others: OtherTrials
    ) -> None:
        metric, slot = view.spec.metric, record.slot or {}
        self._view = view
        self._metric = metric
        self._is_program = view.spec.program is not None
        self._misspelling = ""
        self._near_since: dict[str, int] = {}
        self._study = study
        self._record = record
        self._run = view.run_dir(record)
        self._others = others
        self._watch = Watch(
            metric.name if metric else None,
            metric.goal if metric else "minimize",
            policy=policy_for(view.spec),
            target=metric.target if metric else None,
            targets=_paced_targets(view.spec),
            total_steps=record.total_steps,
            phases=view.spec.phases,
            memory_limit_mib=slot.get("memory_mib") if slot.get("device") != "cpu" else None,
        )
        self._milestones = Milestones(view, record)
        self._schedule_problem: str | None = None
        self._total_steps = record.total_steps
        self._standing: dict[str, Verdict] = {}  # the findings that were reported and hold
        self._first_step: int | None = None
        self._values: list[float] = []
        self._is_replayed = False

    def plan_steps(self, total_steps: int) -> None:
        """Take in how many steps the trial will report."""
        self._total_steps = total_steps
        self._watch.plan_steps(total_steps)

    def report(self, step: int, metrics: Mapping[str, float], *, is_ending: bool) -> Judgement:
        """Take in one report and decide; an attempt that is to end anyway is not judged."""
        warnings, passed = ([], None) if self._is_replayed else self._replay(step)
        verdicts = self._update(step, metrics)
        if is_ending:
            return Judgement()
        warnings += [self._schedule_problem] if self._schedule_problem else []
        self._schedule_problem = None
        warnings += self._milestones.missed(step, metrics)
        warnings += self._misspelt(step, metrics)
        for verdict in verdicts:
            symptom = str(verdict.symptom)
            if verdict.stops and self._is_carried_out(verdict):
                head = "diverged" if symptom in divergence_symptoms() else symptom
                return Judgement(f"{head}: {verdict.reason}", symptom, tuple(warnings))
            if finding_key(verdict) not in self._standing:
                self._standing[finding_key(verdict)] = verdict
                warnings.append(verdict.reason)
        self._note(step, metrics)
        answered = passed or self._milestones.answered(step, metrics)
        if answered is not None:
            condition, reason = answered
            return Judgement(f"milestone: {reason}", condition, tuple(warnings))
        return Judgement(
            stop=self._cannot_win(step, metrics),
            warnings=tuple(warnings),
            withdrawn=self._withdraw(is_over=False),
        )

    def refuted(self, *, is_complete: bool) -> set[str]:
        """Return the warnings that do not hold at the end of the attempt.

        Those of milestones are for whoever watches the trial run: once it is complete, the table
        shows what came of its targets.
        """
        found = {*self._withdraw(is_over=True), *(self._milestones.warned if is_complete else ())}
        return found | {self._misspelling} if self._values or is_complete else found

    def value(self, *, is_complete: bool) -> tuple[float | None, str | None]:
        """Return the attempt's metric, and what prevented recomputing it, if anything did.

        It is recomputed from the saved arrays of a complete attempt; otherwise the best reported
        value counts.
        """
        if self._metric is None:
            return None, None
        if is_complete and not self._is_replayed:  # all was reported in earlier attempts
            self._replay(sys.maxsize)
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
        total = self._total_steps or planned_steps(self._record.config, step)
        last = total - 1 if total is not None and self._first_step == 0 else total
        reason = None
        if last is None or step < last:  # at its last step it is complete all the same
            value = metrics[self._metric.name]
            reason = self._others.falls_behind(self._record, step, value)
        number = self._record.optuna_number
        if reason or number is None:
            return reason
        return self._study.should_prune(number, last)

    def _update(self, step: int, metrics: Mapping[str, float]) -> list[Verdict]:
        """Pass one report to the watch, with what the other trials have shown."""
        if self._first_step is None:
            self._first_step = step
        own, others = self._record.number, self._others
        can_fall = others.another_fell(own, read_logs=self._watch.is_rising)
        verdicts = self._watch.update(step, metrics, loss_can_fall=can_fall)
        if self._watch.has_fallen:
            others.note_fall(own)
        return verdicts

    def _withdraw(self, *, is_over: bool) -> tuple[str, ...]:
        """Forget the findings that the reports since have refuted, and return their texts."""
        gone = {
            key: found.reason
            for key, found in self._standing.items()
            if not self._watch.holds(found, is_over=is_over)
        }
        for key in gone:
            del self._standing[key]
        return tuple(gone.values())

    def _is_carried_out(self, verdict: Verdict) -> bool:
        # What is lost ends in any case. A run that is only on a plateau continues if no remedy can
        # follow.
        symptom = str(verdict.symptom)
        if verdict.action == "stop" or symptom in divergence_symptoms():
            return True
        return remedy_change(self._view, self._record, symptom) is not None

    def _replay(self, step: int) -> tuple[list[str], tuple[str, str] | None]:
        """Judge a trial that continues from its checkpoint with what it reported before.

        Return the warnings of milestones and the first one that has an answer: no driver may have
        been there when it was passed. What a user resumed is not ended for its past.
        """
        self._is_replayed = True
        self._plan_schedule()
        warnings: list[str] = []
        passed = None
        is_users = self._record.link == LINK_RESUMING
        for earlier, metrics in read_reports(self._run):
            if earlier >= step:
                break
            self._update(earlier, metrics)
            warnings += self._milestones.missed(earlier, metrics)
            self._note(earlier, metrics)
            if passed is None and not is_users:
                passed = self._milestones.answered(earlier, metrics)
        return warnings, passed

    def _plan_schedule(self) -> None:
        """Take the schedule from the sweep file, else from what the trainer described."""
        spec = self._view.spec
        varied = {name for trial in spec.trials.values() for name in trial.set}
        try:
            schedule = schedule_of_trial(
                spec.lr_schedule,
                config=self._record.config,
                metadata=atomic.read_json(self._run.metadata_file) or {},
                change=self._record.change,
                varied={*spec.parameters, *varied},
                last_step=self._record.total_steps,
            )
        except UsageError as error:
            self._schedule_problem = f"the learning rate is not compared with a schedule: {error}"
            return
        if schedule is not None:
            self._watch.plan_schedule(schedule)

    def _misspelt(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Return, once, that a program reports a name near the metric's and never the metric.

        Both may come in the same step, one after the other; and one of training often comes first.
        """
        metric = self._metric
        if metric is None or not self._is_program or self._values or self._misspelling:
            return []
        near = [name for name in metrics if _split(name) == _split(metric.name)]
        hint = "" if metric.name in metrics else nearest(metric.name, near)
        if not hint or step <= self._near_since.setdefault(hint, step):
            return []
        names = ", ".join(metrics)
        self._misspelling = f"metric {metric.name} is not reported so far (found: {names}).{hint}"
        return [self._misspelling]

    def _note(self, step: int, metrics: Mapping[str, float]) -> None:
        value = metrics.get(self._metric.name) if self._metric else None
        if value is None:
            return
        if math.isfinite(value):
            self._values.append(value)
        # Further replicates of a config have no number: the study hears their mean alone.
        if self._record.optuna_number is not None:
            self._study.report(self._record.optuna_number, step, value)


def _split(name: str) -> str:
    first = name.partition("_")[0]
    return first if first in SPLITS else ""


def check_watched(spec: Spec) -> None:
    """Refuse a spec with an invalid symptom, choice or schedule by a `UsageError`."""
    policy_for(spec)
    if spec.lr_schedule:
        declared_for(spec.lr_schedule)


def _paced_targets(spec: Spec) -> dict[str, tuple[float, str]]:
    """Return the reported names whose pace is watched, with the value to reach and the goal.

    Targets are bounds on metrics of the test data; values reported on the way carry ``val_``.
    """
    found = {}
    for name, bound in spec.targets.items():
        if bound.low is None:  # a range has no direction
            goal = "minimize" if bound.op.startswith("<") else "maximize"
            for reported in (name, f"val_{name.removeprefix('test_')}"):
                found[reported] = bound.limit, goal
    return found


def planned_steps(config: Mapping[str, Any], step: int) -> int | None:
    """Return the last step of a trial as its config has it; None if `step` counts otherwise."""
    found = (config.get(name) for name in _LENGTHS)
    lengths = [n for n in found if isinstance(n, int) and not isinstance(n, bool) and n >= step]
    return lengths[0] if lengths else None
