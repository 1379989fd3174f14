"""What happens next in a sweep: which trial starts, what a report leads to, how a trial ends.

The conductor knows nothing of Ray or processes. Whoever runs trials asks it for the next attempt,
hands it the messages of running ones, and tells it when one is gone; it keeps the records, the
slots and the study, and decides. Every report takes the same path: divergence rule, then pruner,
then a decision that is written down with its reason.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from orchestrator.engine.attempts import Endings, Starting, UnderWay
from orchestrator.engine.child import environment
from orchestrator.engine.child.attempt import Attempt, Message
from orchestrator.engine.judge import check_watched
from orchestrator.engine.program_watch import Scripts
from orchestrator.engine.queue.budget import Limits, Spent
from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.engine.queue.queue import Agenda
from orchestrator.engine.queue.study_trials import Configs
from orchestrator.engine.remedies import Remedies, by_number
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.sweep_log import SweepLog
from orchestrator.runs import SweepRecord, TrialRecord, TrialState, now
from orchestrator.search import Studies
from orchestrator.sweepfile.model import Spec

INTERRUPTED = "interrupted"

# Scripts often name their folder by the second; the next one starts when that has passed.
NEXT_FOLDER_S = 1.1


class Conductor:
    """Decides the course of one sweep.

    Args:
        spec: the sweep file.
        log: writes into the sweep's folder, which this process has locked.
        placing: gives trials their room.
        records: the trials that the folder holds, by number.
        state: the sweep's own record with the decisions so far, which are added to it.
        only: names or numbers of the only trials to run; empty for all.

    Attributes:
        records: all trials, by number.
        placing: gives trials their room.
        stop_reason: why the sweep was asked to end; None while it was not.
        ending: why it ends by itself before its time; None while it does not.
    """

    def __init__(
        self,
        spec: Spec,
        log: SweepLog,
        placing: SlotAllocator,
        *,
        records: Mapping[int, TrialRecord],
        state: SweepRecord | None = None,
        only: frozenset[str] = frozenset(),
    ) -> None:
        self.stop_reason: str | None = None
        self.ending: Ending | None = None
        self.records = dict(records)
        self._spec = spec
        self._log = log
        sweep = log.folder
        state = state or SweepRecord(sweep.name)
        studies = Studies(sweep.study_file, sweep.name, spec)
        self.placing = placing
        self._live: dict[str, UnderWay] = {}
        self._adopted_at = -NEXT_FOLDER_S
        check_watched(spec)
        self._remedies = Remedies(spec, sweep, self.records)
        self.records |= by_number(self._remedies.owed())
        self._decisions = Decisions(state.course, partial(state.save, sweep), log.emit)
        self._configs = Configs(spec, sweep, studies, self.records)
        self._agenda = Agenda(
            spec, sweep, self._configs, self.records, decisions=self._decisions, only=only
        )
        self._endings = Endings(
            spec,
            sweep,
            self._configs,
            self._agenda,
            self._remedies,
            self.records,
            self._live,
            tell=log.emit,
            follow=self.follow,
        )
        self._spent = Spent(state.course, self._decisions.save)
        self._limits = Limits(spec, self._spent, last_stage=self._agenda.last_stage)
        self._starting = Starting(spec, sweep, studies, self._remedies, self.records, _commit(spec))
        self._scripts = Scripts(spec, self.records, self._live)
        self._configs.reconcile()
        self._endings.catch_up()
        self._review()

    @property
    def stopping(self) -> bool:
        """True once nothing starts any more."""
        return self.stop_reason is not None or self.ending is not None

    @property
    def is_complete(self) -> bool:
        """True once every trial that is wanted has ended for good."""
        waits = any(
            not record.state.is_finished and self._agenda.is_wanted(record.name, record.number)
            for record in self.records.values()
        )
        return not waits and not self._agenda

    @property
    def is_over(self) -> bool:
        """True once nothing runs and nothing will start."""
        return not self._live and (self.stopping or not self._agenda)

    @property
    def expected(self) -> int | None:
        """How many trials there will be, as far as can be said; None where unbounded."""
        asked, most = self._agenda.expected(), self._spec.budget.trials
        return asked if most is None else most if asked is None else min(asked, most)

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
        if self.stopping or self._waits_for_folder():
            return None
        if not self._limits.has_room(self.records.values(), len(self._live)):
            return None
        chosen = self.placing.choose(self._agenda.candidates())
        if chosen is None:
            return None
        place, slot = chosen
        record = self._agenda.take(place)
        self.placing.started(attempt_id, record, slot)
        live = self._starting.begin(record, attempt_id, slot.to_dict())
        self._live[attempt_id] = live
        self._log.emit("trial_started", record, attempt=record.attempt, slot=record.slot)
        limits = self.placing.cap_bytes(attempt_id), self.placing.gpu_bytes(attempt_id)
        return self._starting.attempt(live, *limits)

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
                self._warn(live, str(details[0]))
            elif kind == "progress":
                self._log.show("progress", live.record, {"text": details[0]})
            elif kind == "done":
                self._endings.done(live)
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
        else:
            kind, message = live.out_of_memory
            found = self.placing.recover(attempt_id, kind, f"{message}\n{live.log_tail()}")
            if found.retry is None:
                self._endings.finish(live, TrialState.FAIL, f"{found.reason}\n{message}")
            else:
                self._endings.finish(live, TrialState.WAITING, found.reason)
                if live.ending is None:
                    self._agenda.put_back(live.record)
        for text in self._scripts.ended(live):
            self._warn(live, text)
        self._review()

    def follow(self, successor: TrialRecord) -> None:
        """Queue a trial that follows from another, after its record is safe."""
        self._log.save(successor)
        self._agenda.add(successor)
        self._log.emit("trial_added", successor, origin=successor.origin, link=successor.link)

    def stop(self, reason: str = INTERRUPTED) -> None:
        """End the sweep: start nothing more and let running trials save and wait."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.placing.close()
            self._log.emit("stopping", reason=reason)
        for live in self._live.values():
            self._endings.ask(live, TrialState.WAITING, reason)

    def tick(self) -> None:
        """Look at what changes without a trial's doing: memory that is held, time that passes."""
        self.placing.tick()
        self._spent.tick(sum(live.gpus for live in self._live.values()))
        if not self.stopping and self._limits.is_timed:
            self._close(self._limits.ending(self.records.values()))

    def close(self) -> None:
        """Note that this driver is at its end."""
        self.placing.close()
        self._spent.tick(0, is_last=True)

    def stop_trial(self, number: int, reason: str) -> None:
        """End one trial for good; one that waits is not started."""
        for live in self._live.values():
            if live.record.number == number:
                self._endings.ask(live, TrialState.PRUNED, reason)
                return
        record = self.records.get(number)
        if record is not None and not record.state.is_finished:
            self._endings.prune(record, reason)
            self._review()

    def abandon(self, reason: str = INTERRUPTED) -> None:
        """Write down that every attempt still under way was interrupted; the last thing to do."""
        for attempt_id, live in list(self._live.items()):
            if not live.finished:
                live.ending = live.ending or (TrialState.WAITING, reason)
                self._endings.finish(live, *live.ending)
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

    def _warn(self, live: UnderWay, text: str) -> None:
        live.record.warnings.append(text)
        live.record.save(live.run)
        self._log.emit("warning", live.record, text=text)

    def _on_report(self, live: UnderWay, step: int, metrics: Mapping[str, float]) -> None:
        record = live.record
        judged = live.judge.report(step, metrics, is_ending=live.ending is not None)
        self._log.show("report", record, {"step": step, "metrics": metrics})
        for text in judged.warnings:
            if text not in record.warnings:
                record.warnings.append(text)
                record.save(live.run)
                self._log.emit("warning", record, text=text)
        if judged.stop is not None:
            record.symptom = judged.symptom
            self._endings.ask(live, TrialState.PRUNED, judged.stop)

    def _on_failed(self, attempt_id: str, live: UnderWay, message: str) -> None:
        kills = partial(self.placing.oom_kills_since_start, attempt_id)
        self._endings.failed(live, message, kills)

    def _review(self) -> None:
        """Decide what follows from the trials that have ended, and whether the sweep has."""
        ending = self._agenda.review(self.follow)
        if self.stop_reason is None or ending is not None:
            hopeless = self._scripts.ending if self._agenda else None
            self._close(ending or self._limits.ending(self.records.values()) or hopeless)

    def _close(self, ending: Ending | None) -> None:
        if ending is None or self.ending is not None:
            return
        self.ending = ending
        self._decisions.course["ended"] = {"words": ending.words, "exit_code": ending.exit_code}
        self._decisions.save()
        self.placing.close()
        self._log.emit("ending", words=ending.words)
        if ending.stops:
            for live in self._live.values():
                self._endings.ask(live, TrialState.WAITING, ending.words)

    def _waits_for_folder(self) -> bool:
        program = self._spec.program
        if program is None or not program.outputs or program.copies:
            return False
        if time.monotonic() - self._adopted_at < NEXT_FOLDER_S:
            return True
        return any(not live.adopted and not live.finished for live in self._live.values())


def _commit(spec: Spec) -> str | None:
    """Return the git commit of the code that the trials run."""
    program = spec.program
    return environment.commit_of(Path(program.workdir) if program else Path(__file__).parent)
