"""How an attempt starts: what is written down, who judges it, and what travels to its process.

An attempt that was handed out and is not gone.

How trials end: what is written down, what the study is told, and who follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.engine.child.attempt import Attempt
from orchestrator.engine.child.saving import inherit_checkpoint
from orchestrator.engine.judge import Judge, Siblings
from orchestrator.engine.queue.queue import Agenda
from orchestrator.engine.queue.study_trials import (
    Configs,
    dropped_by,
    missing_replicates,
    replicates,
)
from orchestrator.engine.remedies import Remedies, course_of
from orchestrator.engine.slots.oom_retry import ran_out
from orchestrator.files import atomic
from orchestrator.placement import CPU
from orchestrator.placement.memory_needs import Kind
from orchestrator.runs import RunDir, SweepDir, TrialRecord, TrialState, now, read_reports
from orchestrator.search import Bands, Studies
from orchestrator.sweepfile.model import Spec


class Starting:
    """Starts the attempts of one sweep.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        studies: its studies.
        remedies: tells the judges what could be answered.
        records: all trials by number; the driver's own mapping, which grows.
        commit: git commit of the code that runs, for the metadata.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        studies: Studies,
        remedies: Remedies,
        records: Mapping[int, TrialRecord],
        commit: str | None,
    ) -> None:
        self._spec = spec
        self._sweep = sweep
        self._studies = studies
        self._remedies = remedies
        self._records = records
        self._commit = commit
        metric, rule = spec.metric, spec.early_terminate
        name, goal = (metric.name, metric.goal) if metric is not None else (None, "minimize")
        self._siblings = Siblings(sweep, records.values(), name, goal)
        self._bands = Bands(rule, metric, sweep, records) if rule and metric else None

    def begin(self, record: TrialRecord, attempt_id: str, slot: dict[str, Any]) -> UnderWay:
        """Write down that the next attempt at a trial starts, and return what is known of it.

        Args:
            record: the trial.
            attempt_id: of the attempt.
            slot: its room, as `placement.model.Slot.to_dict` tells it.
        """
        record.attempt += 1
        record.state = TrialState.RUNNING
        record.reason = None
        record.ray_id = attempt_id
        record.slot = slot
        record.started_at, record.ended_at = now(), None
        record.value, record.warnings, record.symptom = None, [], None
        run = self._sweep.run_dir(record.number, record.name)
        self._hand_checkpoint(record, run)
        record.save(run)
        run.stop_file.unlink(missing_ok=True)
        judge = Judge(
            self._spec,
            self._studies.of(record.stage),
            record,
            run,
            bands=self._bands,
            siblings=self._siblings,
            remedies=self._remedies,
        )
        return UnderWay(record, run, judge, log_size(run))

    def attempt(
        self, live: UnderWay, cap_bytes: int | None, gpu_bytes: int | None = None
    ) -> Attempt:
        """Return what travels to the process that runs an attempt.

        Args:
            live: the attempt, which has begun.
            cap_bytes: what it may hold on its GPU; None for no cap.
            gpu_bytes: all that its GPU has; None where that is unknown.
        """
        record, spec = live.record, self._spec
        return Attempt(
            run_path=str(live.run.path.resolve()),
            number=record.number,
            name=record.name,
            attempt=record.attempt,
            config=record.config,
            trainer=spec.trainer,
            program=asdict(spec.program) if spec.program else None,
            slot=record.slot or {},
            cap_bytes=cap_bytes,
            gpu_bytes=gpu_bytes,
            stage=record.stage,
            commit=self._commit,
            folder=str(spec.path.parent),
            from_checkpoint=record.from_checkpoint,
            **course_of(spec, record),
        )

    def _hand_checkpoint(self, record: TrialRecord, run: RunDir) -> None:
        """Give a trial that starts from another's checkpoint that checkpoint, once."""
        if not record.from_checkpoint or record.attempt > 1 or record.origin is None:
            return
        origin = self._records.get(record.origin)
        source = self._sweep.run_dir(origin.number, origin.name) if origin else None
        # What was lost goes on from where it was best, not from where it was lost.
        best = origin is not None and origin.symptom in divergence_symptoms()
        if source is None or not inherit_checkpoint(source, run, best=best):
            text = f"starts from scratch: trial {record.origin} left no checkpoint"
            record.warnings.append(text)


_LOG_TAIL_BYTES = 65_536


@dataclass
class UnderWay:
    """What is known of a running attempt.

    Attributes:
        record: of the trial.
        run: its run directory.
        judge: of its reports.
        log_from: size of the trial's log when the attempt started.
        ending: the state and the reason with which it is asked to end.
        finished: True once its end was written down; its process may still be there.
        adopted: True once the folder of its script has appeared.
        out_of_memory: of what memory it ran out, and what it said.
    """

    record: TrialRecord
    run: RunDir
    judge: Judge
    log_from: int
    ending: tuple[TrialState, str] | None = None
    finished: bool = False
    adopted: bool = False
    out_of_memory: tuple[Kind, str] | None = None

    @property
    def gpus(self) -> int:
        """How many GPUs it holds."""
        device = str((self.record.slot or {}).get("device", CPU))
        return 0 if device == CPU else len(device.split(","))

    def log_tail(self) -> str:
        """Return the end of what it printed; earlier attempts print into the same file."""
        try:
            with self.run.log_file.open("rb") as stream:
                end = stream.seek(0, 2)
                stream.seek(max(self.log_from, end - _LOG_TAIL_BYTES))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""


def log_size(run: RunDir) -> int:
    """Return the bytes that a trial's log holds now."""
    try:
        return run.log_file.stat().st_size
    except OSError:
        return 0


TellTrial = Callable[..., None]
"""Writes an event down and tells it, as ``tell("trial_ended", record, reason=...)``."""


class Endings:
    """Ends trials; whoever runs them says when, the conductor why.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        configs: tells the study.
        agenda: from which trials are dropped that need not run any more.
        remedies: answers trials that were ended for a symptom.
        records: all trials by number.
        live: the attempts under way; the conductor's own mapping.
        tell: told of every end.
        follow: saves a successor and puts it on the agenda.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        configs: Configs,
        agenda: Agenda,
        remedies: Remedies,
        records: dict[int, TrialRecord],
        live: dict[str, UnderWay],
        *,
        tell: TellTrial,
        follow: Callable[[TrialRecord], None],
    ) -> None:
        self._spec = spec
        self._sweep = sweep
        self._configs = configs
        self._agenda = agenda
        self._remedies = remedies
        self._records = records
        self._live = live
        self._tell = tell
        self._follow = follow
        self._said_unseen = False

    def ask(self, live: UnderWay, state: TrialState, reason: str) -> None:
        """Ask an attempt to save what it has and end."""
        if live.ending is None and not live.finished:
            live.ending = (state, reason)
            live.run.path.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
            atomic.write_json(live.run.stop_file, {"state": state, "reason": reason})

    def done(self, live: UnderWay) -> None:
        """Take in that an attempt says that it has ended well."""
        if live.ending is not None and live.ending[0] is TrialState.PRUNED:
            self.finish(live, *live.ending)
            return
        metadata = atomic.read_json(live.run.metadata_file) or {}
        if live.ending is None and metadata.get("lost"):
            # It ended itself over a value that the judge had no reason to end it for.
            live.record.symptom = "non-finite"
            self.finish(live, TrialState.PRUNED, f"diverged: {metadata['lost']}")
            return
        if live.ending is not None and metadata.get("status") == "stopped":
            self.finish(live, *live.ending)
            return
        self.finish(live, TrialState.COMPLETE, None)

    def failed(self, live: UnderWay, message: str, oom_kills: Callable[[], int]) -> None:
        """Take in that an attempt failed; one that ran out of memory is not at its end by that.

        Args:
            live: the attempt.
            message: what it says.
            oom_kills: returns how many processes the host's memory guard killed meanwhile.
        """
        if live.ending is None and not live.finished:
            kind = ran_out(message, live.log_tail(), oom_kills())
            if kind is not None:
                # How it goes on depends on what is free once its process is gone.
                live.out_of_memory = (kind, message)
                return
        self.finish(live, TrialState.FAIL, message)

    def finish(self, live: UnderWay, state: TrialState, reason: str | None) -> None:
        """Write down how an attempt ended, tell it, and let follow what does."""
        if live.finished:
            return
        if live.ending is not None and (state is TrialState.FAIL or live.out_of_memory):
            # It was ended by us; that its process did not end well is no news.
            state, reason = live.ending
        record = live.record
        record.value, problem = live.judge.value(is_complete=state is TrialState.COMPLETE)
        if state is TrialState.COMPLETE:
            record.warnings = [text for text in record.warnings if text not in live.judge.passing]
        record.warnings += [problem] if problem else []
        unseen = ""
        if state is TrialState.COMPLETE and record.value is None and not problem:
            unseen = self._unseen(live)
            record.warnings += [unseen] if unseen else []
        record.state, record.reason, record.ended_at = state, reason, now()
        record.save(live.run)
        live.finished = True
        live.run.stop_file.unlink(missing_ok=True)
        self._tell("trial_ended", record, state=state, reason=reason, value=record.value)
        if unseen and not self._said_unseen:
            self._said_unseen = True
            self._tell("warning", record, text=unseen)
        self._conclude(record)
        successor = self._remedies.answer(record)
        if successor is not None:
            self._follow(successor)

    def prune(self, record: TrialRecord, reason: str) -> None:
        """End a trial for good that does not run."""
        self._agenda.drop(record)
        self._prune(record, reason)
        self._conclude(record)

    def catch_up(self) -> None:
        """Do what a killed driver left undone for configs that a pruner had stopped."""
        for record in list(self._records.values()):
            if record.group is not None:
                self._drop_others(record)

    def _unseen(self, live: UnderWay) -> str:
        """Return that nobody knows the metric by which the trial should be ranked."""
        metric = self._spec.metric
        if metric is None:
            return ""
        names = dict.fromkeys(name for _, metrics in read_reports(live.run) for name in metrics)
        if metric.name in names:
            return f"{metric.name} was never a finite number"
        told = f"it reported {', '.join(names)}" if names else "it reported nothing"
        hint = " Let metrics.pattern find it." if self._spec.program is not None else ""
        return (
            f"{metric.name} is not known: {told}, and saved no arrays that give it, so nothing can "
            f"be ranked or promoted by it, and no sampler learns.{hint}"
        )

    def _conclude(self, record: TrialRecord) -> None:
        """Tell the study, and drop what need not run any more of the trial's config."""
        self._drop_others(record)
        outcome = self._configs.end(record)
        if outcome is not None and outcome.words:
            first = replicates(record, self._records)[0]
            if outcome.words not in first.warnings:
                first.warnings.append(outcome.words)
                first.save(self._sweep.run_dir(first.number, first.name))
            self._tell("warning", first, text=outcome.words)

    def _drop_others(self, first: TrialRecord) -> None:
        reason = dropped_by(first) if first.group is not None else None
        if reason is None:
            return
        for live in self._live.values():
            if live.record.group == first.group and live.record is not first:
                self.ask(live, TrialState.PRUNED, reason)
        running = {live.record.number for live in self._live.values() if not live.finished}
        waiting = [
            record
            for record in replicates(first, self._records)
            if not record.state.is_finished and record.number not in running
        ]
        for record in waiting:
            self._agenda.drop(record)
            self._prune(record, reason)
        for record in missing_replicates(self._spec, first, self._records):
            self._agenda.skip(record)
            self._prune(record, reason)

    def _prune(self, record: TrialRecord, reason: str) -> None:
        record.state, record.reason, record.ended_at = TrialState.PRUNED, reason, now()
        record.save(self._sweep.run_dir(record.number, record.name))
        self._tell("trial_ended", record)
