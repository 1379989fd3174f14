"""A conductor for one of several drivers of a sweep; see `drivers` for what they share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from orchestrator.engine.child.process import Attempt, Message
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.driver.drivers import Drivers
from orchestrator.engine.queue.decisions import has_room
from orchestrator.engine.queue.sweep_view import INTERRUPTED, SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.state.attempts import RunningAttempt
from orchestrator.errors import SweepError
from orchestrator.files import lock
from orchestrator.runs import SweepRecord, TrialRecord, TrialState, load_trials
from orchestrator.search import Studies
from orchestrator.sweepfile.model import Spec

LOOK_EVERY_S = 1.0


class SharedConductor(Conductor):
    """Decides as a `Conductor` does, in turns, with the trials of the other drivers in view.

    Args:
        records: those of the run folders, if this driver is alone; what others have is in
            `drivers`.
    """

    def __init__(
        self,
        spec: Spec,
        log: SweepLog,
        slots: SlotAllocator,
        drivers: Drivers,
        *,
        records: Mapping[int, TrialRecord],
        state: SweepRecord,
        studies: Studies,
    ) -> None:
        self._drivers = drivers
        self._elsewhere: dict[int, str] = {}  # trials that run, and their drivers
        self._shared: dict[int, tuple[Any, ...]] = {}  # what all drivers know of each trial
        self._stops: list[int | None] = []
        self._living = set(drivers.others())
        self._looked_at = time.monotonic()
        with drivers.turn():
            super().__init__(spec, log, slots, records=records, state=state, studies=studies)
            self._learn()
            self._take_over()
            self._publish()

    @property
    def is_over(self) -> bool:
        """True once nothing runs here, and what runs elsewhere cannot come back to be run."""
        return super().is_over and (self.stop_reason is not None or not self._elsewhere)

    def next_attempt(self, attempt_id: str) -> Attempt | None:
        """Hand out the next attempt, which no other driver does."""
        if self.stopping or self.slots.is_full or not self.trials.queue:
            return None
        with self._turn():
            at_work = len(self._running) + len(self._elsewhere)
            if not has_room(self._spec, self.records.values(), at_work):
                return None
            return super().next_attempt(attempt_id)

    def on_messages(self, attempt_id: str, messages: list[Message]) -> None:
        """Take in the messages of an attempt; a trial in this process calls this itself."""
        with self._drivers.watched():
            super().on_messages(attempt_id, messages)

    def on_gone(self, attempt_id: str, lost: str = "") -> None:
        """Give back the room of an attempt; from now on others may run its trial if it waits."""
        with self._turn():
            super().on_gone(attempt_id, lost)

    def close(self) -> None:
        """Write down that attempts still running were interrupted."""
        with self._turn():
            super().close()

    def stop_trial(self, number: int, reason: str) -> None:
        """End one trial for good, unless it runs elsewhere."""
        with self._turn():
            if number not in self._elsewhere:
                super().stop_trial(number, reason)

    def tick(self) -> None:
        """Look at what changes while no trial here does anything; each second, at the others."""
        super().tick()
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        if self._drivers.has_news or self._has_lost(self._drivers.others()):
            with self._turn():
                pass

    def pass_on(self, stops: list[int | None]) -> list[int | None]:
        """Pass requests to stop on to the others, and return them with those that others had."""
        if stops:
            with self._turn():
                for number in stops:
                    self._drivers.write(stop=number)
        found, self._stops = [*stops, *self._stops], []
        return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Decide in the block with all news, and publish what was decided."""
        with self._drivers.turn() as began:
            if began:
                self._learn()
                living = self._drivers.others()
                if self._has_lost(living):
                    self._take_over()
                self._living = set(living)
            yield
            if began:
                self._publish()

    def _has_lost(self, living: list[str]) -> bool:
        """Return whether a driver ended since the last turn, or left trials that are not free."""
        return not self._living.union(self._elsewhere.values()) <= set(living)

    def _finish(self, attempt: RunningAttempt, state: TrialState, reason: str | None) -> None:
        with self._turn():
            super()._finish(attempt, state, reason)

    def _learn(self) -> None:
        """Take in what the others have done."""
        news = self._drivers.news()
        for entry in news:
            if "stop" in entry:
                self._stops.append(entry["stop"])
                continue
            record = TrialRecord.from_dict(entry["record"])
            if record is None:
                continue
            for attempt_id, attempt in list(self._running.items()):
                if attempt.record.number == record.number:
                    del self._running[attempt_id]  # what it writes from now on would be wrong
                    raise SweepError(
                        f"trial {record.number}: another driver has taken it over, since this one "
                        "was cut off. To join again, give the same command."
                    )
            self._note(record, entry["driver"])
            self.trials.learn(record, self._running.values())
            if record.state.is_finished:
                self._log.show("trial_ended", record, {"elsewhere": True})
        if news:
            self._review()

    def _publish(self) -> None:
        """Let the others know what has changed since they were told last."""
        here = {attempt.record.number for attempt in self._running.values()}
        for number, record in self.records.items():
            is_leaving = record.state is TrialState.WAITING and number in here
            if _essence(record) != self._shared.get(number) and not is_leaving:
                self._drivers.write(record=asdict(record))
                self._note(record)

    def _note(self, record: TrialRecord, driver: str | None = None) -> None:
        self._shared[record.number] = _essence(record)
        self._elsewhere.pop(record.number, None)
        if driver is not None and record.state is TrialState.RUNNING:
            self._elsewhere[record.number] = driver

    def _take_over(self) -> None:
        """Let the trials of drivers that ended wait for any driver, once their processes ended."""
        for record in load_trials(self._log.folder):
            if record.number not in self.records:  # its driver died before others knew of it
                self._adopt(record)
        lives = {name: self._drivers.lives(name) for name in set(self._elsewhere.values())}
        for number, driver in list(self._elsewhere.items()):
            run = self.trials.view.run_dir(self.records[number])
            if not lives[driver] and not lock.is_held(run.lock_file):
                del self._elsewhere[number]
                # The driver may have died between its last word there and here.
                self._adopt(TrialRecord.load(run) or self.records[number])
        self.trials.study_trials.close_stale()
        self._review()

    def _adopt(self, record: TrialRecord) -> None:
        """Let a trial of a driver that ended wait, unless it has ended too."""
        if not record.state.is_finished:
            record.state, record.reason = TrialState.WAITING, INTERRUPTED
            self._log.save(record)
        self.trials.learn(record, self._running.values())
        self.trials.study_trials.left_by_other(record)
        facts = {"state": record.state, "reason": record.reason, "value": record.value}
        self._log.emit("trial_ended", record, **facts)


def _essence(record: TrialRecord) -> tuple[Any, ...]:
    """Return what others need to know of a trial."""
    return record.state, record.attempt, record.value, record.optuna_number, str(record.need)
