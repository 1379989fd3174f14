"""The trials of a sweep: which wait, how each ends for good, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from orchestrator.engine import remedies
from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.engine.queue.queue import TrialQueue
from orchestrator.engine.queue.study_trials import StudyTrials, dropped_by
from orchestrator.engine.queue.sweep_view import SweepLog, SweepView
from orchestrator.engine.state.attempts import RunningAttempt
from orchestrator.engine.state.kept_checkpoints import CheckpointKeeper
from orchestrator.runs import TrialRecord, TrialState, now
from orchestrator.search import Studies
from orchestrator.sweepfile.model import Spec


class SweepTrials:
    """Owns the records of a sweep; everything else reads them through `view`."""

    def __init__(
        self,
        spec: Spec,
        log: SweepLog,
        studies: Studies,
        decisions: Decisions,
        *,
        records: Mapping[int, TrialRecord],
        only: frozenset[str] = frozenset(),
    ) -> None:
        self._log = log
        self._records = dict(records)
        self.view = SweepView(spec, log.folder, MappingProxyType(self._records))
        # A killed driver may not have answered a symptom, nor dropped the replicates of a config
        # that was stopped.
        for record in records.values():
            successor = remedies.successor(self.view, record)
            if successor is not None:
                self._log.save(successor)
                self._records[successor.number] = successor
        self.study_trials = StudyTrials(self.view, studies)
        self.queue = TrialQueue(self.view, self.study_trials, decisions, only=only)
        self._checkpoints = CheckpointKeeper(self.view, self.queue.may_promote)
        learned = self.study_trials.learn_earlier()
        if learned:
            self._log.emit("start", words=learned)
        self.study_trials.reconcile()
        for record in list(self._records.values()):
            self._drop_replicates(record, ())

    @property
    def is_complete(self) -> bool:
        """True once every trial that is wanted has ended for good."""
        waits = any(
            not record.state.is_finished and self.queue.is_wanted(record.name, record.number)
            for record in self._records.values()
        )
        return not waits and not self.queue

    @property
    def expected(self) -> int | None:
        """How many trials there will be, as far as is known; None if unbounded."""
        expected, most = self.queue.expected(), self.view.spec.budget.trials
        if expected is None or most is None:
            return most if expected is None else expected
        return min(expected, most)

    def take(self, place: int) -> TrialRecord:
        """Return the record of the trial at a place among the candidates, which starts now."""
        record = self.queue.take(place)
        self._records[record.number] = record
        return record

    def learn(self, record: TrialRecord, running: Collection[RunningAttempt]) -> None:
        """Note what became of a trial at another driver."""
        before = self._records.get(record.number)
        self._records[record.number] = record
        self.queue.learn(before, record)
        self._drop_replicates(record, running)

    def follow(self, successor: TrialRecord) -> None:
        """Queue a trial that follows from another, once its record is safe."""
        self._log.save(successor)
        self._records[successor.number] = successor
        self.queue.add(successor)
        self._log.emit("trial_added", successor, origin=successor.origin, link=successor.link)

    def prune(
        self, record: TrialRecord, reason: str, running: Collection[RunningAttempt] = ()
    ) -> None:
        """End a trial for good that does not run."""
        self.queue.drop(record)
        self._write_pruned(record, reason)
        self._conclude(record, running)

    def ended(self, record: TrialRecord, running: Collection[RunningAttempt]) -> None:
        """Report the end of an attempt to the study, and queue the remedy that answers it.

        Of the `running` attempts, those that need not run any more are asked to end.
        """
        self._conclude(record, running)
        successor = remedies.successor(self.view, record)
        if successor is not None:
            self.follow(successor)

    def review(self) -> Ending | None:
        """Queue what follows from all ends so far, and return why the sweep ends, if it does."""
        followers, ending = self.queue.review()
        for record in followers:
            self.follow(record)
        for record, names in self._checkpoints.clean():
            self._log.emit("checkpoints_deleted", record, words=f"deleted {', '.join(names)}")
        return ending

    def _conclude(self, record: TrialRecord, running: Collection[RunningAttempt]) -> None:
        """Report an end to the study, and drop what need not run any more of the trial's config."""
        self._drop_replicates(record, running)
        outcome = self.study_trials.end(record)
        if outcome is not None and outcome.caveat:
            first = self.view.replicates(record)[0]
            if outcome.caveat not in first.warnings:
                first.warnings.append(outcome.caveat)
                self._log.save(first)
            self._log.emit("warning", first, text=outcome.caveat)

    def _drop_replicates(self, first: TrialRecord, running: Collection[RunningAttempt]) -> None:
        """End the other replicates of a config that a pruner has stopped with its first seed."""
        reason = dropped_by(first) if first.group is not None else None
        if reason is None:
            return
        for attempt in running:
            if attempt.record.group == first.group and attempt.record is not first:
                attempt.request_end(TrialState.PRUNED, reason)
        numbers = {attempt.record.number for attempt in running if not attempt.is_finished}
        for record in self.view.replicates(first):
            if record.state is TrialState.WAITING and record.number not in numbers:
                self.queue.drop(record)
                self._write_pruned(record, reason)
        for record in self.view.missing_replicates(first):
            self._records[record.number] = record
            self.queue.skip(record)
            self._write_pruned(record, reason)

    def _write_pruned(self, record: TrialRecord, reason: str) -> None:
        record.state, record.reason, record.ended_at = TrialState.PRUNED, reason, now()
        self._log.save(record)
        self._log.emit("trial_ended", record)
