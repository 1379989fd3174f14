"""Decide what happens next in a sweep: which trial starts, what a report leads to, how one ends.

The conductor knows nothing of Ray or processes. A runner asks it for the next attempt, passes it
the messages of running ones, and reports when one is gone. It owns the records and the running
attempts; everything else that decides about a sweep reads them and returns its decision.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from orchestrator.engine.child.process import Attempt, Message
from orchestrator.engine.judging.judge import OtherTrials, check_watched
from orchestrator.engine.judging.program_watch import LOOK_FAR, ProgramWatch
from orchestrator.engine.queue.decisions import (
    Decisions,
    Ending,
    TimeSpent,
    has_room,
    is_timed,
    limit_reached,
)
from orchestrator.engine.queue.queue import LOOK_AHEAD
from orchestrator.engine.queue.sweep_view import INTERRUPTED, SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.oom_retry import ran_out
from orchestrator.engine.state.attempts import RunningAttempt, commit_of, for_child, start
from orchestrator.engine.state.reruns import Retries
from orchestrator.engine.state.trials import SweepTrials
from orchestrator.runs import SweepRecord, TrialRecord, TrialState, now
from orchestrator.search import Studies
from orchestrator.sweepfile.checks import shortage
from orchestrator.sweepfile.model import Spec

# Scripts often name their folder by the second; the next one starts when that has passed.
NEXT_FOLDER_S = 1.1


class Conductor:
    """Decides the course of one sweep.

    Args:
        state: the sweep's own record with the decisions so far, which are added to it.
        only: names or numbers of the only trials to run; empty for all.
        studies: by default in the journal of the sweep's folder.

    Attributes:
        records: all trials by number; read only.
        stop_reason: why the sweep was asked to end; None if it was not.
        ending: why it ends by itself before its time; None if it does not.
    """

    def __init__(
        self,
        spec: Spec,
        log: SweepLog,
        slots: SlotAllocator,
        *,
        records: Mapping[int, TrialRecord],
        state: SweepRecord | None = None,
        only: frozenset[str] = frozenset(),
        studies: Studies | None = None,
    ) -> None:
        check_watched(spec)
        self.slots = slots
        self.stop_reason: str | None = None
        self.ending: Ending | None = None
        self._spec = spec
        self._only = only
        self._log = log
        self._state = state or SweepRecord(log.folder.name)
        self._studies = studies or Studies(log.folder.study_file, log.folder.name, spec)
        self._decisions = Decisions(self._state, log)
        self.trials = SweepTrials(
            spec, log, self._studies, self._decisions, records=records, only=only
        )
        self.records = self.trials.view.records
        self._running: dict[str, RunningAttempt] = {}
        self._retries = Retries(spec.options.get("retries"))
        self._spent = TimeSpent(self._decisions)
        self._others = OtherTrials(self.trials.view)
        self._programs = ProgramWatch(spec, self.records.values())
        self._folder_seen_at = -NEXT_FOLDER_S
        self._has_warned_of_metric = False
        self._review()

    @property
    def stopping(self) -> bool:
        """True once nothing starts any more."""
        return self.stop_reason is not None or self.ending is not None

    @property
    def is_over(self) -> bool:
        """True once nothing runs and nothing will start."""
        return not self._running and (self.stopping or not self.trials.queue)

    def is_ending(self, attempt_id: str) -> bool:
        """Return whether a running attempt was asked to end."""
        attempt = self._running.get(attempt_id)
        return attempt is not None and attempt.requested_end is not None

    def next_attempt(self, attempt_id: str) -> Attempt | None:
        """Hand out the next attempt under `attempt_id`, or None if none can start now.

        Either nothing is left (`is_over`), or there is no room, or the script that started last has
        not yet shown its output folder.
        """
        if self.stopping or self.slots.is_full or self._waits_for_folder():
            return None
        if not has_room(self._spec, self.records.values(), len(self._running)):
            return None
        running = self._running.values()
        is_doubtful = self._programs.is_doubtful(running)
        candidates = self.trials.queue.candidates(LOOK_FAR if is_doubtful else LOOK_AHEAD)
        places = [
            place
            for place in self._programs.may_start(candidates, running)
            if not self._retries.is_resting(candidates[place].number)
        ]
        chosen = self.slots.choose([candidates[place] for place in places])
        if chosen is None:
            return None
        place, slot = chosen
        record = self.trials.take(places[place])
        self._programs.started(record, running)
        self.slots.started(attempt_id, record, slot)
        study = self._studies.of(record.stage)
        attempt = start(self.trials.view, record, attempt_id, slot.to_dict(), study, self._others)
        self._running[attempt_id] = attempt
        self._log.emit("trial_started", record, attempt=record.attempt, slot=record.slot)
        for text in record.warnings:
            self._log.emit("warning", record, text=text)
        cap, total = self.slots.gpu_limits(attempt_id)
        return for_child(self._spec, attempt, commit=self._commit, cap_bytes=cap, gpu_bytes=total)

    def on_messages(self, attempt_id: str, messages: list[Message]) -> None:
        """Take in the messages of an attempt, in the order in which it sent them."""
        if (attempt := self._running.get(attempt_id)) is None:
            return
        for message in messages:
            match message:
                case "report", step, metrics:
                    self._on_report(attempt, int(step), metrics)
                    self.slots.reported(attempt_id, int(step))
                case "memory", held, pid:
                    self.slots.holds(attempt_id, int(held), int(pid))
                case "adopted", _:
                    attempt.has_output_folder = True
                    self._folder_seen_at = time.monotonic()
                case "total_steps", steps:
                    attempt.record.total_steps = int(steps)
                    attempt.record.save(attempt.run)
                    attempt.judge.plan_steps(int(steps))
                case "warn", text:
                    self._log.warn(attempt.record, str(text))
                case "progress", text:
                    self._log.show("progress", attempt.record, {"text": text})
                case ["done"] if not attempt.is_finished:
                    self._finish(attempt, *attempt.reported_end())
                case "disk", text:
                    self._log.folder.lock_file.stat()  # raises if the whole folder is gone
                    self._finish(attempt, TrialState.WAITING, str(text))
                    self.stop(str(text))
                case "failed", text:
                    self._on_failed(attempt_id, attempt, str(text))

    def on_gone(self, attempt_id: str, lost: str = "") -> None:
        """Give back the room of an attempt whose process has ended, by itself or with `lost`.

        If it ran out of memory, or no message came, its trial goes back into the queue, or fails.
        """
        if (attempt := self._running.get(attempt_id)) is None:
            return
        if not attempt.is_finished and attempt.out_of_memory is None:
            reason, is_retried = self._retries.after_loss(attempt.record.number, lost)
            is_retried = is_retried and attempt.requested_end is None
            self._finish(attempt, TrialState.WAITING if is_retried else TrialState.FAIL, reason)
        del self._running[attempt_id]
        if attempt.is_finished or attempt.out_of_memory is None:
            self.slots.ended(attempt_id, is_complete=attempt.record.state is TrialState.COMPLETE)
        else:
            kind, message = attempt.out_of_memory
            found = self.slots.recover(attempt_id, kind, f"{message}\n{attempt.log_tail()}")
            if found.again is None:
                self._finish(attempt, TrialState.FAIL, f"{found.reason}\n{message}")
            else:
                self._finish(attempt, TrialState.WAITING, found.reason)
        if attempt.record.state is TrialState.WAITING and attempt.continues:
            self.trials.queue.put_back(attempt.record)
        for text in self._programs.ended(attempt, self._running.values()):
            self._log.warn(attempt.record, text)
        if note := self._programs.metrics_note(attempt):
            self._log.emit("metrics", words=note)
        self._review()

    def stop(self, reason: str = INTERRUPTED) -> None:
        """End the sweep: start nothing more and let running trials save and wait."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.slots.close()
            self._log.emit("stopping", reason=reason)
        for attempt in self._running.values():
            attempt.request_end(TrialState.WAITING, reason)

    def tick(self) -> None:
        """Look at what changes while no trial does anything: memory of others, time."""
        self.slots.tick()
        for attempt in self._running.values():
            attempt.end_in_time()
        self._spent.tick(sum(attempt.gpus for attempt in self._running.values()))
        if not self.stopping and is_timed(self._spec):
            self._end_sweep(self._limit_reached())

    def update_state(self) -> None:
        """Write down news of placement and how many trials there will be, if they changed."""
        state, placement, expected = self._state, self.slots.summary(), self.trials.expected
        if expected != state.n_trials:
            self._log.show("expected", None, {"n_trials": expected})
        if placement != state.placement or expected != state.n_trials:
            state.placement, state.n_trials = placement, expected
            state.save(self._log.folder)

    def close(self) -> None:
        """Write down that attempts still running were interrupted, and the time spent.

        A sweep that ran all that could be drawn, and less than was requested, has an ending too.
        """
        if not self.stopping and not self._running and not self._only:
            short = shortage(self._spec)
            self._end_sweep(Ending(short, exit_code=1) if short is not None else None)
        for attempt_id, attempt in list(self._running.items()):
            if not attempt.is_finished:
                attempt.request_end(TrialState.WAITING, INTERRUPTED)
                self._finish(attempt, *(attempt.requested_end or (TrialState.WAITING, None)))
            self.on_gone(attempt_id)
        self.slots.close()
        self._spent.tick(0, is_last=True)
        self.update_state()

    def vacate(self, attempt_id: str, reason: str) -> None:
        """Let an attempt save and end where it runs, so that its trial continues elsewhere."""
        if (attempt := self._running.get(attempt_id)) is not None:
            attempt.move(reason)

    def stop_trial(self, number: int, reason: str) -> None:
        """End one trial for good; one that waits is not started."""
        for attempt in self._running.values():
            if attempt.record.number == number:
                attempt.request_end(TrialState.PRUNED, reason)
                return
        record = self.records.get(number)
        if record is not None and not record.state.is_finished:
            self.trials.prune(record, reason, self._running.values())
            self._review()

    def mark_interrupted(self) -> None:
        """Write into the run directories that trials were interrupted, and do nothing else.

        A signal handler may call it, which may have broken into anything that takes a lock (the
        study, the log, the terminal). The study learns of it when the sweep is opened again.
        """
        for attempt in list(self._running.values()):
            if not attempt.is_finished:
                end = attempt.requested_end or (TrialState.WAITING, INTERRUPTED)
                attempt.record.state, attempt.record.reason = end
                attempt.record.ended_at = now()
                attempt.record.save(attempt.run)

    @cached_property
    def _commit(self) -> str | None:
        """The git commit of the code that the trials run."""
        program = self._spec.program
        return commit_of(Path(program.workdir) if program else Path(__file__).parent)

    def _on_report(self, attempt: RunningAttempt, step: int, metrics: Mapping[str, float]) -> None:
        record = attempt.record
        judged = attempt.judge.report(step, metrics, is_ending=attempt.requested_end is not None)
        self._log.show("report", record, {"step": step, "metrics": metrics})
        for text in judged.warnings:
            if text not in record.warnings:
                self._log.warn(record, text)
        if judged.withdrawn:
            record.warnings = [one for one in record.warnings if one not in judged.withdrawn]
            self._log.save(record)
        if judged.stop is not None:
            record.symptom = judged.symptom
            attempt.request_end(TrialState.PRUNED, judged.stop)

    def _on_failed(self, attempt_id: str, attempt: RunningAttempt, message: str) -> None:
        if attempt.requested_end is None and not attempt.is_finished:
            kills = self.slots.oom_kills_since_start(attempt_id)
            kind = ran_out(message, attempt.log_tail(), kills)
            if kind is not None:
                # How it continues depends on what is free once its process is gone.
                attempt.out_of_memory = kind, message
                return
            again = self._retries.after(attempt.record.number, message)
            if again is not None:
                self._finish(attempt, TrialState.WAITING, again)
                return
        self._finish(attempt, TrialState.FAIL, message)

    def _finish(self, attempt: RunningAttempt, state: TrialState, reason: str | None) -> None:
        """Write down how an attempt ended, report it, and queue what follows."""
        if attempt.is_finished:
            return
        record = attempt.record
        unknown = attempt.finish(self._spec, state, reason)
        self._log.emit(
            "trial_ended", record, state=record.state, reason=record.reason, value=record.value
        )
        if unknown and not self._has_warned_of_metric:
            self._has_warned_of_metric = True
            self._log.emit("warning", record, text=unknown)
        self.trials.ended(record, self._running.values())

    def _review(self) -> None:
        """Decide what follows from the trials that have ended, and whether the sweep has."""
        ending = self.trials.review()
        if self.stop_reason is None or ending is not None:
            running, command = self._running.values(), self._state.command
            hopeless = self._programs.ending(running, command) if self.trials.queue else None
            self._end_sweep(ending or self._limit_reached() or hopeless)

    def _limit_reached(self) -> Ending | None:
        last = self.trials.queue.last_stage
        return limit_reached(self._spec, self.records.values(), self._spent, last_stage=last)

    def _end_sweep(self, ending: Ending | None) -> None:
        if ending is None or self.ending is not None:
            return
        self.ending = ending
        self._decisions.keep("ended", {"words": ending.reason, "exit_code": ending.exit_code})
        self.slots.close()
        self._log.emit("ending", words=ending.reason)
        if ending.stops:
            for attempt in self._running.values():
                attempt.request_end(TrialState.WAITING, ending.reason)

    def _waits_for_folder(self) -> bool:
        program = self._spec.program
        if program is None or not program.outputs or program.copies:
            return False
        if time.monotonic() - self._folder_seen_at < NEXT_FOLDER_S:
            return True
        running = self._running.values()
        return any(not one.has_output_folder and not one.is_finished for one in running)
