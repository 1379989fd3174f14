"""Ray Tune's side of a sweep: its trainable, its searcher and its scheduler.

The trainable runs in Ray's workers and supervises the process of one trial; it never trains itself.
Searcher and scheduler run in the driver and pass everything to the conductor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.engine.child.process import Attempt, Message, TrialProcess, is_last

if TYPE_CHECKING:
    from orchestrator.engine.conductor import Conductor

# Ray reacts to Ctrl+C, and cleans up, only between two steps.
STEP_S = 0.4

# Nothing that Ray counts limits how many attempts run at once.
CPU_SHARE = 0.01

LOST = "its Ray worker was lost"


class Supervisor(tune.Trainable):
    """Starts one attempt's process and passes its messages to the driver.

    It never fails itself: whatever goes wrong becomes a ``["failed", message]`` of the attempt, so
    that the actor can be reused. The result after the attempt's last message is done.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Return a small share of a CPU: slots are counted by us, not by Ray."""
        return PlacementGroupFactory([{"CPU": CPU_SHARE}])

    def setup(self, config: dict[str, Any]) -> None:
        """Start the attempt in `config`."""
        self._process: TrialProcess | None = None
        self._pending: list[Message] = []
        self._over = False
        try:
            self._attempt = Attempt.from_json(config["attempt"])
            if self._attempt.run_dir.stop_file.exists():
                self._pending.append(["failed", "ended before it started"])
            else:
                self._process = TrialProcess(self._attempt)
        except Exception as error:
            self._pending.append(["failed", f"{type(error).__name__}: {error}"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another attempt in this actor; never refuse."""
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the messages since the last step, after at most `STEP_S` seconds."""
        if self._over:
            return {"messages": "[]", "done": True}
        messages, self._pending = self._pending, []
        process = self._process
        if process is not None:
            try:
                if self._attempt.run_dir.stop_file.exists():
                    process.stop()
                messages += process.poll(STEP_S)
                self._over = not process.is_alive
            except Exception as error:  # of any kind: it must reach the driver as a message
                self.cleanup()
                messages.append(["failed", f"{type(error).__name__}: {error}"])
        if is_last(messages):
            self._over = True
        return {"messages": json.dumps(messages), "done": False}

    def cleanup(self) -> None:
        """End the attempt's process, if it still lives."""
        if self._process is not None:
            self._process.close()
            self._process = None


class ConductorLink:
    """The conductor, and the errors that it raised while Ray was calling it.

    Tune wraps such an error in one of its own, with the traceback as text, and drops some; the user
    should read the first one.
    """

    def __init__(self, conductor: Conductor, tick: Callable[[], None]) -> None:
        self.conductor = conductor
        self.tick = tick
        self.errors: list[Exception] = []

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles searcher and scheduler to restore them later; nothing here is ever restored.
        return {}

    @contextmanager
    def recording(self) -> Iterator[Conductor]:
        """Yield the conductor; record an error of the block and raise it."""
        try:
            yield self.conductor
        except Exception as error:
            self.errors.append(error)
            raise


class ConductorSearcher(Searcher):
    """Admits trials: it suggests nothing while no slot is free."""

    def __init__(self, link: ConductorLink) -> None:
        super().__init__()
        self._link = link

    def suggest(self, trial_id: str) -> Any:
        """Return the next attempt as a Ray config, None to wait, or FINISHED."""
        with self._link.recording() as conductor:
            self._link.tick()
            attempt = conductor.next_attempt(trial_id)
            if attempt is not None:
                return {"attempt": attempt.to_json()}
            # FINISHED is final for Ray. While stopping, running trials may end without another
            # call of this, and Ray would wait for a next suggestion for minutes.
            is_last_call = conductor.stopping or conductor.is_over
            return Searcher.FINISHED if is_last_call else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Free the slot: Ray calls this when the actor has released the trial."""
        with self._link.recording() as conductor:
            conductor.on_gone(trial_id, LOST if error else None)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the run directories and the study are the record, not Ray's pickles."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as `save`."""


class ConductorScheduler(FIFOScheduler):
    """Passes every result to the conductor.

    It never stops a trial through Ray: the actor that supervises the trial ends it and then reports
    that it is done. So a slot is never given away while the trial before still holds its memory.
    """

    def __init__(self, link: ConductorLink) -> None:
        super().__init__()
        self._link = link

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Pass on the messages of a result; always continue."""
        messages = json.loads(result.get("messages") or "[]")
        with self._link.recording() as conductor:
            if messages:
                conductor.on_messages(trial.trial_id, messages)
            self._link.tick()
        return str(TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Start pending trials in order, after a search for attempts that Ray lost silently."""
        with self._link.recording() as conductor:
            self._link.tick()
            status = {trial.trial_id: trial.status for trial in tune_controller.get_trials()}
            for attempt_id in conductor.live_ids:
                if status.get(attempt_id) in (Trial.ERROR, Trial.TERMINATED):
                    conductor.on_gone(attempt_id, LOST)
        return super().choose_trial_to_run(tune_controller)
