"""What happens next in a sweep: which trial starts, what a report leads to, how a trial ends.

The conductor knows nothing of Ray or processes. Whoever runs trials asks it for the next attempt,
hands it the messages of running ones, and tells it when one is gone; it keeps the records, the
slots and the study, and decides. Every report takes the same path: divergence rule, then pruner,
then a decision that is written down with its reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.divergence.policy import LOST
from orchestrator.engine.attempt import Attempt
from orchestrator.engine.channel import Message
from orchestrator.engine.inherit import inherit_checkpoint
from orchestrator.engine.judge import Judge, check_watched
from orchestrator.engine.placing import Placing
from orchestrator.engine.queue import TrialQueue
from orchestrator.engine.recovery import ran_out
from orchestrator.engine.remedies import Remedies, by_number, course_of
from orchestrator.engine.siblings import Siblings
from orchestrator.files import atomic
from orchestrator.placement.oom import Kind
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, log_event, now
from orchestrator.search.bands import Bands
from orchestrator.search.study import Study
from orchestrator.spec.model import Spec

Listener = Callable[[str, TrialRecord | None, Mapping[str, Any]], None]
"""Told of an event, of the trial that it is about (None for the sweep), and of its facts."""

INTERRUPTED = "interrupted"

_LOG_TAIL_BYTES = 65_536

# Scripts often name their folder by the second; the next one starts when that has passed.
NEXT_FOLDER_S = 1.1


@dataclass
class _Live:
    """An attempt that was handed out and is not gone."""

    record: TrialRecord
    run: RunDir
    judge: Judge
    log_from: int
    ending: tuple[TrialState, str] | None = None
    finished: bool = False
    adopted: bool = False
    out_of_memory: tuple[Kind, str] | None = None


class Conductor:
    """Decides the course of one sweep.

    Args:
        spec: what was asked.
        sweep: the sweep's folder, which this process has locked.
        study: the sweep's study, open.
        placing: gives trials their room.
        listener: told of every event, after it was written down.
        records: the trials that the folder holds, by number.
        only: names or numbers of the only trials to run; empty for all.
        commit: git commit of the code that runs, for the metadata.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        study: Study,
        placing: Placing,
        *,
        listener: Listener,
        records: Mapping[int, TrialRecord],
        only: frozenset[str] = frozenset(),
        commit: str | None = None,
    ) -> None:
        self.stop_reason: str | None = None
        self.records = dict(records)
        self._spec = spec
        self._sweep = sweep
        self._study = study
        self.placing = placing
        placing.tell = self._tell_placement
        placing.save = self._save
        self._listener = listener
        self._commit = commit
        self._live: dict[str, _Live] = {}
        self._adopted_at = -NEXT_FOLDER_S
        check_watched(spec)
        metric = spec.metric
        self._siblings = Siblings(
            sweep,
            self.records.values(),
            metric.name if metric else None,
            metric.goal if metric else "minimize",
        )
        self._remedies = Remedies(spec, sweep, self.records)
        self.records |= by_number(self._remedies.owed())
        self._queue = TrialQueue(spec, study, self.records, only)
        rule = spec.early_terminate
        self._bands = (
            Bands(rule, spec.metric, sweep, self.records) if rule and spec.metric else None
        )

    @property
    def stopping(self) -> bool:
        """True once the sweep was asked to end."""
        return self.stop_reason is not None

    @property
    def is_complete(self) -> bool:
        """True once every trial that is wanted has ended for good."""
        waits = any(
            not record.state.is_finished and self._queue.is_wanted(record.name, record.number)
            for record in self.records.values()
        )
        return not waits and not self._queue

    @property
    def is_over(self) -> bool:
        """True once nothing runs and nothing will start."""
        return not self._live and (self.stopping or not self._queue)

    @property
    def live_ids(self) -> list[str]:
        """Ids of the attempts that were handed out and are not gone."""
        return list(self._live)

    def is_ending(self, attempt_id: str) -> bool:
        """Tell whether an attempt that runs is wanted to end."""
        live = self._live.get(attempt_id)
        return live is not None and live.ending is not None

    def next_attempt(self, attempt_id: str) -> Attempt | None:
        """Hand out the next attempt under `attempt_id`, or None while there is none to start.

        None means: nothing is left, or there is no room, or the script that started last has not
        yet shown its output folder. `is_over` tells the first from the others.
        """
        if self.stopping or self._waits_for_folder() or not self._queue:
            return None
        chosen = self.placing.choose(self._queue.candidates())
        if chosen is None:
            return None
        place, slot = chosen
        record = self._queue.take(place)
        record.attempt += 1
        record.state = TrialState.RUNNING
        record.reason = None
        record.ray_id = attempt_id
        record.slot = slot.to_dict()
        record.started_at, record.ended_at = now(), None
        record.value, record.warnings, record.symptom = None, [], None
        run = self._sweep.run_dir(record.number, record.name)
        self.placing.started(attempt_id, record, slot)
        self._hand_checkpoint(record, run)
        record.save(run)
        run.stop_file.unlink(missing_ok=True)
        judge = Judge(
            self._spec,
            self._study,
            record,
            run,
            bands=self._bands,
            siblings=self._siblings,
            remedies=self._remedies,
        )
        self._live[attempt_id] = _Live(record, run, judge, _size(run))
        self._tell("trial_started", record, attempt=record.attempt, slot=record.slot)
        return Attempt(
            run_path=str(run.path.resolve()),
            number=record.number,
            name=record.name,
            attempt=record.attempt,
            config=record.config,
            trainer=self._spec.trainer,
            program=asdict(self._spec.program) if self._spec.program else None,
            slot=record.slot,
            cap_bytes=self.placing.cap_bytes(attempt_id),
            stage=record.stage,
            commit=self._commit,
            folder=str(self._spec.path.parent),
            from_checkpoint=record.from_checkpoint,
            **course_of(self._spec, record),
        )

    def on_messages(self, attempt_id: str, messages: list[Message]) -> None:
        """Take in what an attempt said, in the order in which it said it."""
        live = self._live.get(attempt_id)
        if live is None:
            return
        for kind, *details in messages:
            if kind == "report":
                self._on_report(live, int(details[0]), details[1])
                self.placing.reported(attempt_id, int(details[0]))
            elif kind == "memory":
                self.placing.holds(attempt_id, int(details[0]), int(details[1]))
            elif kind == "adopted":
                live.adopted = True
                self._adopted_at = time.monotonic()
            elif kind == "total_steps":
                live.record.total_steps = int(details[0])
                live.record.save(live.run)
                live.judge.plan_steps(live.record.total_steps)
            elif kind == "warn":
                live.record.warnings.append(str(details[0]))
                live.record.save(live.run)
                self._tell("warning", live.record, text=details[0])
            elif kind == "progress":
                self._listener("progress", live.record, {"text": details[0]})
            elif kind == "done":
                self._on_done(live)
            elif kind == "failed":
                self._on_failed(attempt_id, live, str(details[0]))

    def on_gone(self, attempt_id: str, error: str | None = None) -> None:
        """Give back the room of an attempt whose process has ended.

        One that ran out of memory goes back into the queue, or has failed for good.

        Args:
            attempt_id: the attempt.
            error: what happened, where the attempt did not say itself how it ended.
        """
        live = self._live.get(attempt_id)
        if live is None:
            return
        if not live.finished and live.out_of_memory is None:
            self._on_failed(attempt_id, live, error or "its process was lost")
        del self._live[attempt_id]
        if live.finished or live.out_of_memory is None:
            self.placing.ended(attempt_id, is_complete=live.record.state is TrialState.COMPLETE)
            return
        kind, message = live.out_of_memory
        found = self.placing.recover(attempt_id, kind, f"{message}\n{_log_tail(live)}")
        if found.retry is None:
            self._finish(live, TrialState.FAIL, f"{found.words}\n{message}")
            return
        self._finish(live, TrialState.WAITING, found.words)
        if live.ending is None:
            self._queue.put_back(live.record)

    def follow(self, successor: TrialRecord) -> None:
        """Queue a trial that follows from another, after its record is safe."""
        self._save(successor)
        self._queue.add(successor)
        self._tell("trial_added", successor, origin=successor.origin, link=successor.link)

    def stop(self, reason: str = INTERRUPTED) -> None:
        """End the sweep: start nothing more and let running trials save and wait."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.placing.close()
            log_event(self._sweep, "stopping", reason=reason)
        for live in self._live.values():
            self._end(live, TrialState.WAITING, reason)

    def stop_trial(self, number: int, reason: str) -> None:
        """End one trial for good; one that waits is not started."""
        for live in self._live.values():
            if live.record.number == number:
                self._end(live, TrialState.PRUNED, reason)
                return
        record = self.records.get(number)
        if record is not None and not record.state.is_finished:
            self._queue.drop(record)
            record.state, record.reason, record.ended_at = TrialState.PRUNED, reason, now()
            record.save(self._sweep.run_dir(record.number, record.name))
            self._tell("trial_ended", record)

    def abandon(self, reason: str = INTERRUPTED) -> None:
        """Write down that every attempt still under way was interrupted; the last thing to do."""
        for attempt_id, live in list(self._live.items()):
            if not live.finished:
                live.ending = live.ending or (TrialState.WAITING, reason)
                self._finish(live, *live.ending)
            self.on_gone(attempt_id)

    def mark_interrupted(self, reason: str = INTERRUPTED) -> None:
        """Write the same into the run directories and do nothing else.

        It may be called in a signal handler, which may have broken into anything that takes a lock
        (the study, the log of events, the terminal), and after whatever made the sweep fail. The
        study learns of it when the sweep is opened again.
        """
        for live in list(self._live.values()):
            if not live.finished:
                record = live.record
                record.state, record.reason = live.ending or (TrialState.WAITING, reason)
                record.ended_at = now()
                record.save(live.run)

    def _on_report(self, live: _Live, step: int, metrics: Mapping[str, float]) -> None:
        record = live.record
        judged = live.judge.report(step, metrics, is_ending=live.ending is not None)
        self._listener("report", record, {"step": step, "metrics": metrics})
        for text in judged.warnings:
            if text not in record.warnings:
                record.warnings.append(text)
                record.save(live.run)
                self._tell("warning", record, text=text)
        if judged.stop is not None:
            record.symptom = judged.symptom
            self._end(live, TrialState.PRUNED, judged.stop)

    def _on_failed(self, attempt_id: str, live: _Live, message: str) -> None:
        if live.ending is None and not live.finished:
            kills = self.placing.oom_kills_since_start(attempt_id)
            kind = ran_out(message, _log_tail(live), kills)
            if kind is not None:
                # How it goes on depends on what is free once its process is gone.
                live.out_of_memory = (kind, message)
                return
        self._finish(live, TrialState.FAIL, message)

    def _on_done(self, live: _Live) -> None:
        if live.ending is not None and live.ending[0] is TrialState.PRUNED:
            self._finish(live, *live.ending)
            return
        metadata = atomic.read_json(live.run.metadata_file) or {}
        if live.ending is None and metadata.get("lost"):
            # It ended itself over a value that the judge had no reason to end it for.
            live.record.symptom = "non-finite"
            self._finish(live, TrialState.PRUNED, f"diverged: {metadata['lost']}")
            return
        if live.ending is not None and metadata.get("status") == "stopped":
            self._finish(live, *live.ending)
            return
        self._finish(live, TrialState.COMPLETE, None)

    def _end(self, live: _Live, state: TrialState, reason: str) -> None:
        if live.ending is None and not live.finished:
            live.ending = (state, reason)
            live.run.path.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
            atomic.write_json(live.run.stop_file, {"state": state, "reason": reason})

    def _finish(self, live: _Live, state: TrialState, reason: str | None) -> None:
        if live.finished:
            return
        if live.ending is not None and (state is TrialState.FAIL or live.out_of_memory):
            # It was ended by us; that its process did not end well is no news.
            state, reason = live.ending
        record = live.record
        record.value, problem = live.judge.value(is_complete=state is TrialState.COMPLETE)
        record.warnings += [problem] if problem else []
        record.state, record.reason, record.ended_at = state, reason, now()
        record.save(live.run)
        live.finished = True
        live.run.stop_file.unlink(missing_ok=True)
        if record.optuna_number is not None:
            told = "FAIL" if state is TrialState.WAITING else state.value
            self._study.tell(record.optuna_number, told, record.value)
        self._tell("trial_ended", record, state=state, reason=reason, value=record.value)
        successor = self._remedies.answer(record)
        if successor is not None:
            self.follow(successor)

    def _hand_checkpoint(self, record: TrialRecord, run: RunDir) -> None:
        """Give a trial that starts from another's checkpoint that checkpoint, once."""
        if not record.from_checkpoint or record.attempt > 1 or record.origin is None:
            return
        origin = self.records.get(record.origin)
        source = self._sweep.run_dir(origin.number, origin.name) if origin else None
        # What was lost goes on from where it was best, not from where it was lost.
        best = origin is not None and origin.symptom in LOST
        if source is None or not inherit_checkpoint(source, run, best=best):
            text = f"starts from scratch: trial {record.origin} left no checkpoint"
            record.warnings.append(text)

    def _waits_for_folder(self) -> bool:
        program = self._spec.program
        if program is None or not program.outputs:
            return False
        if time.monotonic() - self._adopted_at < NEXT_FOLDER_S:
            return True
        return any(not live.adopted and not live.finished for live in self._live.values())

    def _save(self, record: TrialRecord) -> None:
        record.save(self._sweep.run_dir(record.number, record.name))

    def _tell_placement(self, event: str, **details: Any) -> None:
        log_event(self._sweep, event, **details)
        self._listener(event, None, details)

    def _tell(self, event: str, record: TrialRecord, **details: Any) -> None:
        log_event(self._sweep, event, number=record.number, name=record.name, **details)
        self._listener(event, record, details)


def _size(run: RunDir) -> int:
    try:
        return run.log_file.stat().st_size
    except OSError:
        return 0


def _log_tail(live: _Live) -> str:
    """Return the end of what this attempt printed; earlier ones print into the same file."""
    try:
        with live.run.log_file.open("rb") as stream:
            end = stream.seek(0, 2)
            stream.seek(max(live.log_from, end - _LOG_TAIL_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
