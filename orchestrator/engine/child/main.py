"""The process that runs one attempt, from its first line to its last.

It leads its own session and process group, writes its output into the run directory's log, sees
only its slot's device, and ends its whole group when its parent goes away (`PipeChannel`).
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import traceback
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, TextIO

from orchestrator.divergence import DivergenceRule
from orchestrator.engine.child import memory
from orchestrator.engine.child.process import Attempt, Channel, Message, kill_family
from orchestrator.errors import SweepError, TrialError
from orchestrator.files import atomic, lock
from orchestrator.sweepfile import PACKAGE, Private
from orchestrator.sweepfile.model import Program

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun

# How long an attempt waits for the one before it to release the run directory.
LOCK_TIMEOUT_S = 30.0

# Reports that may be in transit unjudged. The rule that stops a diverging trial promises to act
# within three reports, so a trial that reports faster than the driver judges has to wait for it,
# unless the rule itself, applied here, finds nothing.
WINDOW = 2
CALM_WINDOW = 64


class PipeChannel:
    """The trial's end of a pipe that is also its lifeline.

    When the other end closes, the parent of this process is gone, and with it everything that could
    end this one: the whole process group is killed at once, with descendants that have left it.

    Args:
        rule: what can stop the trial, if nothing else can.
    """

    def __init__(self, connection: Connection, rule: DivergenceRule | None = None) -> None:
        self._connection = connection
        self._rule = rule
        self._window = WINDOW if rule is None else CALM_WINDOW
        self._unjudged = 0
        self._judged = threading.Condition()
        self._stop = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, name="lifeline", daemon=True).start()

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""
        return self._stop.is_set()

    def send(self, message: Message) -> None:
        """Send one message; a report waits while too many earlier ones are unjudged."""
        if message[0] == "report":
            with self._judged:
                self._judged.wait_for(lambda: self._unjudged < self._window or self.should_stop)
                self._unjudged += 1
            if self._rule is not None:
                is_calm = not self._rule.update(*message[1:]).stops and not self._rule.is_rising
                self._window = CALM_WINDOW if is_calm else WINDOW
        with self._sending:
            try:
                self._connection.send(message)
            except OSError:
                kill_family(os.getpgrp())

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                kind, *details = self._connection.recv()
                with self._judged:
                    if kind == "ack":
                        self._unjudged -= details[0]
                    elif kind == "stop":
                        self._stop.set()
                    self._judged.notify_all()
        kill_family(os.getpgrp())


def main(text: str, connection: Connection) -> None:
    """Run the attempt of `Attempt.to_json` in this process, which ends with it or `connection`."""
    os.setsid()
    # Ray blocks SIGINT in what it starts, and a blocked signal stays blocked in the script.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # It was for our own start (see `process`); a script imports modules from its folder.
    os.environ.pop("PYTHONSAFEPATH", None)
    attempt = Attempt.from_json(text)
    rule = None if attempt.rule is None else DivergenceRule(**attempt.rule)
    channel = PipeChannel(connection, rule)
    try:
        _redirect(attempt)
    except OSError as error:
        message = f"{attempt.run_dir.log_file.name}: {_text(error)}"
        trouble = atomic.disk_trouble(attempt.run_dir.path, message)
        outcome = ["failed", message] if trouble is None else ["disk", trouble]
    else:
        isolate(attempt)
        if attempt.program is not None:
            channel.send(["memory", 0, os.getpid()])
        outcome = run_attempt(
            attempt, channel, echo=None if attempt.trainer is None else sys.stdout
        )
        with suppress(OSError):  # the log's disk may be full
            sys.stdout.flush()
            sys.stderr.flush()
    channel.send(outcome)
    connection.close()
    # Threads that training code left behind must not keep the process alive.
    os._exit(0 if outcome[0] == "done" else 1)


def isolate(attempt: Attempt) -> None:
    """Restrict this process, and what it starts, to its slot's device, threads and memory.

    The device is effective as long as nothing here has used CUDA yet. The memory of a script is
    limited by the script's runner.
    """
    os.environ["SWEEP_RUN_DIR"] = attempt.run_path
    # An empty list hides all GPUs; torch reads it when it first uses CUDA, which is not yet.
    visible = "" if attempt.device == "cpu" else str(attempt.slot.get("visible", ""))
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    # If UUIDs are unknown the slot names a card by its index, counted as NVML counts.
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(attempt.threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(attempt.threads)
    if attempt.program is None and attempt.cap_bytes is not None:
        memory.cap(attempt.cap_bytes)


def run_attempt(attempt: Attempt, channel: Channel, *, echo: TextIO | None = None) -> Message:
    """Run one attempt in this process and return its last message; `echo` takes its reports."""
    # Imported here because the process that starts this one imports `main`, but does not need it.
    from orchestrator.engine.child.trial_run import TrialRun

    run: TrialRun | None = None
    files = attempt.run_dir
    with ExitStack() as stack:
        try:
            held = lock.acquire(
                files.lock_file, timeout_s=LOCK_TIMEOUT_S, holder="the run directory"
            )
            stack.callback(held.release)
            atomic.remove_leftovers(files.path, files.written_by_child)
            if _ended_before(attempt):
                return ["done"]
            run = TrialRun(attempt, channel, echo=echo)
            _train(attempt, run)
            run.finish("stopped" if run.should_stop else "complete")
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            # Whatever goes wrong in training code is this trial's failure and no other's.
            trouble = atomic.disk_trouble(files.path, _text(error))
            if trouble is not None:
                return ["disk", trouble]
            message = _describe(error, attempt)
            if run is not None:
                with suppress(OSError):  # the folder may be gone or full; the message matters
                    run.finish("failed", error=run.masked(message))
            return ["failed", message if run is None else run.masked(message)]
    return ["done"]


def _ended_before(attempt: Attempt) -> bool:
    """Return whether an earlier attempt was complete, but its driver died before it knew that."""
    before = atomic.read_json(attempt.run_dir.metadata_file) if attempt.attempt > 1 else None
    return before is not None and before.get("status") == "complete"


def _train(attempt: Attempt, run: TrialRun) -> None:
    private = Private(attempt.private)
    config = private.put_in(attempt.config)
    if attempt.program is not None:
        from orchestrator.engine.script.follow import run_script

        run_script(Program.from_dict(private.put_in(attempt.program)), config, run)
        return
    loading = importlib.import_module(f"{PACKAGE}.loading")
    try:
        trainer = loading.load_trainer(str(attempt.trainer), attempt.folder)
    except loading.TrainerError as error:
        raise TrialError(f"trainer {error}.") from error
    made = trainer.make_config(config)
    run.describe(config=trainer.full_config(made), set=config)
    if trainer.data_kind:
        run.describe(data={"kind": trainer.data_kind})
    try:
        trainer.train(made, run)
    except ValueError as error:
        *_, (last, _line) = traceback.walk_tb(error.__traceback__)
        if str(last.f_globals.get("__name__", "")).startswith(f"{PACKAGE}."):
            # The message of a shipped trainer states what the user can correct.
            raise TrialError(str(error)) from error
        raise


def _describe(error: BaseException, attempt: Attempt) -> str:
    """Print an error into the log and return it as the message of the failure."""
    with suppress(OSError):  # the log's disk may be full
        if isinstance(error, SweepError):
            # The indented lines are the end of what a script has just printed.
            lines = [line for line in str(error).splitlines() if not line.startswith("    ")]
            print("Error: " + "\n".join(lines), file=sys.stderr)
        else:
            traceback.print_exception(error)
    if isinstance(error, TrialError):
        return str(error)
    if type(error).__name__ == "OutOfMemoryError":
        return f"out of memory on {attempt.slot.get('device')}: {error}"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else _text(error)


def _text(error: BaseException) -> str:
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind


def _redirect(attempt: Attempt) -> None:
    """Write the output of this process into the log; give it no input."""
    log = os.open(attempt.run_dir.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
