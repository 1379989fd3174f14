"""What the reports of one attempt lead to: the divergence rule first, then the pruner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis.arrays import ArrayProblem
from orchestrator.analysis.evaluate import evaluate_run
from orchestrator.divergence.rule import DivergenceRule
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import TrialRecord, read_reports
from orchestrator.search.study import Study
from orchestrator.spec.model import MetricGoal


@dataclass(frozen=True)
class Judgement:
    """What one report leads to.

    Attributes:
        stop: why the trial is to end; None where it goes on.
        warn: what the user should know; None for nothing.
    """

    stop: str | None = None
    warn: str | None = None


class Judge:
    """Judges one attempt, and keeps what its metric was.

    Args:
        metric: what ranks the sweep; None where nothing does.
        study: told of every value of the metric, and asked whether to prune.
        record: of the trial, whose attempt has a number in the study.
        run: its run directory.
    """

    def __init__(
        self, metric: MetricGoal | None, study: Study, record: TrialRecord, run: RunDir
    ) -> None:
        self._metric = metric
        self._study = study
        self._record = record
        self._run = run
        self._rule = DivergenceRule(
            metric.name if metric else None, metric.goal if metric else "minimize"
        )
        self._values: list[float] = []
        self._is_replayed = False

    def report(self, step: int, metrics: Mapping[str, float], *, is_ending: bool) -> Judgement:
        """Take in one report and decide.

        Args:
            step: epochs or batches done.
            metrics: as they were reported.
            is_ending: True where the attempt is to end anyway: the study need not know more.
        """
        if not self._is_replayed:
            self._replay(step)
        verdict = self._rule.update(step, metrics)
        if is_ending:
            return Judgement()
        if verdict.action == "stop":
            return Judgement(stop=f"diverged: {verdict.reason}")
        self._note(step, metrics)
        number = self._record.optuna_number
        reported = self._metric is not None and self._metric.name in metrics
        prune = self._study.should_prune(number) if reported and number is not None else None
        return Judgement(stop=prune, warn=verdict.reason if verdict.action == "warn" else None)

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

    def _replay(self, step: int) -> None:
        # A trial that goes on from its checkpoint is judged with what it reported before.
        self._is_replayed = True
        for earlier, metrics in read_reports(self._run):
            if earlier >= step:
                break
            self._rule.update(earlier, metrics)
            self._note(earlier, metrics)

    def _note(self, step: int, metrics: Mapping[str, float]) -> None:
        value = metrics.get(self._metric.name) if self._metric else None
        if value is None or self._record.optuna_number is None:
            return
        if math.isfinite(value):
            self._values.append(value)
        self._study.report(self._record.optuna_number, step, value)
