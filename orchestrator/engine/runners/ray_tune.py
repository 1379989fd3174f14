"""Ray Tune's side of a sweep: its trainable, its searcher and its scheduler.

A trial of Tune is not a trial of the sweep but a worker, which runs attempts one after another.
Workers run in Ray's processes and never train themselves; searcher and scheduler run in the driver
and pass everything to the conductor.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.engine.child import shared_forkserver
from orchestrator.engine.child.process import Attempt, Message, TrialProcess, is_last

if TYPE_CHECKING:
    from orchestrator.engine.conductor import Conductor

# Ray reacts to Ctrl+C, and cleans up, only between two steps.
STEP_S = 0.4

# How often a worker without an attempt looks for the next one.
IDLE_S = 0.005

# Nothing that Ray counts limits how many attempts run at once.
CPU_SHARE = 0.01

# Workers have the driver's environment anyway; what Tune forwards, credentials of AWS among it,
# Ray would write into a log.
class_cache.ENV_VARS_TO_PROPAGATE.clear()


class Inbox:
    """The file through which the driver hands attempts to one worker, one at a time.

    Neither configs nor environments travel through Ray, which keeps what it transports in files
    and logs of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, attempt: Attempt | None) -> None:
        """Hand over the next attempt; None ends the worker."""
        temporary = self.path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as stream:
            stream.write("" if attempt is None else attempt.to_json())
        temporary.replace(self.path)

    def take(self) -> str | None:
        """Remove and return what was handed over: an attempt as JSON or ""; None if nothing was."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        self.path.unlink()
        return text


class Worker(tune.Trainable):
    """Runs the attempts from its inbox in a process each, and passes their messages to the driver.

    It lives as long as the sweep needs a slot, so that a trial costs Ray neither an actor nor a
    Tune trial. It never fails itself: whatever goes wrong becomes a ``["failed", message]`` of the
    attempt. A result is ``{"messages": "[…]"}``, of one attempt; the last result is done.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Return a small share of a CPU: slots are counted by us, not by Ray."""
        return PlacementGroupFactory([{"CPU": CPU_SHARE}])

    def setup(self, config: dict[str, Any]) -> None:
        """Find the inbox that `config` names, and the driver's forkserver next to it."""
        self._inbox = Inbox(Path(config["inbox"]))
        shared_forkserver.use(self._inbox.path.parent)
        self._process: TrialProcess | None = None

    def step(self) -> dict[str, Any]:
        """Return the messages since the last step, after at most `STEP_S` seconds."""
        messages: list[Message] = []
        if self._process is None:
            text = self._wait_for_attempt()
            if text == "":
                return {"messages": "[]", "done": True}
            if text is None:
                return {"messages": "[]", "done": False}
            self._guarded(messages, lambda: self._begin(text))
        if self._process is not None:
            self._guarded(messages, lambda: self._poll(messages))
        if is_last(messages):
            self.cleanup()
        return {"messages": json.dumps(messages), "done": False}

    def cleanup(self) -> None:
        """End the attempt's process, if it still lives."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _wait_for_attempt(self) -> str | None:
        deadline = time.monotonic() + STEP_S
        while (text := self._inbox.take()) is None and time.monotonic() < deadline:
            time.sleep(IDLE_S)
        return text

    def _begin(self, text: str) -> None:
        attempt = Attempt.from_json(text)
        self._stop_file = attempt.run_dir.stop_file
        if self._stop_file.exists():
            raise InterruptedError("ended before it started")
        self._process = TrialProcess(attempt)

    def _poll(self, messages: list[Message]) -> None:
        assert self._process is not None
        if self._stop_file.exists():
            self._process.stop()
        messages += self._process.poll(STEP_S)

    @staticmethod
    def _guarded(messages: list[Message], action: Any) -> None:
        try:
            action()
        except InterruptedError as error:
            messages.append(["failed", str(error)])
        except Exception as error:  # of any kind: it must reach the driver as a message
            messages.append(["failed", f"{type(error).__name__}: {error}"])


class Workers:
    """The workers, which attempt each one has, and the conductor that hands these out.

    Tune wraps an error of the conductor in one of its own, with the traceback as text, and drops
    some; the user should read the first one, so they are kept in `errors`.

    Args:
        conductor: decides what starts and what ends.
        tick: called many times a second, to handle requests from outside.
        folder: for the inboxes; readable by this user alone.
    """

    def __init__(self, conductor: Conductor, tick: Callable[[], None], folder: Path) -> None:
        self.errors: list[Exception] = []
        self._lock = threading.RLock()
        self._is_abandoned = False
        self._conductor = conductor
        self._tick = tick
        self._folder = folder
        # Ids of workers, each with the id of its attempt; None while it has none.
        self._attempts: dict[str, str | None] = {}
        self._count = 0

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles searcher and scheduler to restore them later; nothing here is ever restored.
        return {}

    def abandon(self, reason: str) -> None:
        """End the sweep from another thread; what Tune calls from now on is refused."""
        with self._lock:
            self._is_abandoned = True
            self._conductor.stop(reason)

    def tick(self) -> None:
        """Handle requests, and give free workers the next attempts or, at the end, nothing more."""
        with self._recording():
            self._tick()
            for worker, attempt in list(self._attempts.items()):
                if attempt is None:
                    self._hand_out(worker)

    def add(self, worker: str) -> dict[str, Any] | None:
        """Return the Ray config of a new worker if an attempt can start and no worker is free."""
        with self._recording():
            if None in self._attempts.values() or not self._hand_out(worker):
                return None
            return {"inbox": str(self._inbox_of(worker).path)}

    def is_over(self) -> bool:
        """Return whether no attempt will start any more."""
        return self._conductor.stopping or self._conductor.is_over

    def on_messages(self, worker: str, messages: list[Message]) -> None:
        """Take in the messages of a worker's attempt; after the last one it gets the next."""
        with self._recording() as conductor:
            attempt = self._attempts.get(worker)
            if attempt is None or not messages:
                return
            conductor.on_messages(attempt, messages)
            if is_last(messages):
                conductor.on_gone(attempt)
                self._attempts[worker] = None

    def on_gone(self, worker: str) -> None:
        """Free what a worker held that is gone."""
        with self._recording() as conductor:
            attempt = self._attempts.pop(worker, None)
            if attempt is not None:
                conductor.on_gone(attempt)

    def check(self, status: dict[str, str]) -> None:
        """Look for workers that Ray lost without a word.

        Args:
            status: Tune's status of each worker.
        """
        for worker in list(self._attempts):
            if status.get(worker) in (Trial.ERROR, Trial.TERMINATED):
                self.on_gone(worker)

    def _hand_out(self, worker: str) -> bool:
        """Put the next attempt into a worker's inbox, or the end; return whether there is one."""
        attempt_id = f"{worker}-{self._count}"
        attempt = self._conductor.next_attempt(attempt_id)
        if attempt is not None:
            self._count += 1
            self._attempts[worker] = attempt_id
            self._inbox_of(worker).put(attempt)
        elif worker in self._attempts and self.is_over():
            del self._attempts[worker]
            self._inbox_of(worker).put(None)
        return attempt is not None

    def _inbox_of(self, worker: str) -> Inbox:
        return Inbox(self._folder / f"{worker}.json")

    @contextmanager
    def _recording(self) -> Iterator[Conductor]:
        """Yield the conductor; keep an error of the block and raise it."""
        with self._lock:
            if self._is_abandoned:
                raise RuntimeError("Ray is gone")
            try:
                yield self._conductor
            except Exception as error:
                if error not in self.errors:
                    self.errors.append(error)
                raise


def run(workers: Workers, folder: Path) -> None:
    """Let Tune run the workers until no attempt is left; any error is kept in `workers`."""
    tuner = tune.Tuner(
        Worker,
        tune_config=tune.TuneConfig(
            search_alg=ConductorSearcher(workers),
            scheduler=ConductorScheduler(workers),
            num_samples=-1,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(folder),  # the run directories are the record, not this
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    )
    try:
        tuner.fit()
    except Exception as error:  # of any kind: it is raised in the driver's own thread
        workers.errors.append(error)


class ConductorSearcher(Searcher):
    """Suggests a worker when an attempt can start that no worker is free for."""

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers

    def suggest(self, trial_id: str) -> Any:
        """Return the config of a new worker, None to wait, or FINISHED."""
        self._workers.tick()
        config = self._workers.add(trial_id)
        # FINISHED is final for Ray. While stopping, running trials may end without another call of
        # this, and Ray would wait for a next suggestion for minutes.
        if config is None and self._workers.is_over():
            return Searcher.FINISHED
        return config

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Free what a worker held: Ray calls this when its actor is gone."""
        self._workers.on_gone(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the run directories and the study are the record, not Ray's pickles."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as `save`."""


class ConductorScheduler(FIFOScheduler):
    """Passes every result to the conductor.

    It never stops a trial through Ray: the conductor's decision goes to the worker, which ends the
    attempt's process and then sends its last message. So a slot is never given to the next trial
    while the one before still holds its memory.
    """

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Pass on the messages of a result; always continue."""
        self._workers.on_messages(trial.trial_id, json.loads(result.get("messages") or "[]"))
        self._workers.tick()
        return str(TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Start workers in order, after a search for those that Ray lost silently."""
        self._workers.tick()
        self._workers.check({one.trial_id: one.status for one in tune_controller.get_trials()})
        return super().choose_trial_to_run(tune_controller)
