"""The process that runs one trial, from its first line to its last.

It leads a session and process group of its own, writes its output into the run directory's log,
sees only its slot's device, and holds a lifeline (`PipeChannel`): when whoever minds it goes away,
it ends its whole group.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

from orchestrator.engine.child import memory
from orchestrator.engine.child.attempt import Attempt, Channel, PipeChannel
from orchestrator.engine.child.trial_run import TrialRun
from orchestrator.errors import SweepError, TrialError
from orchestrator.files import atomic, lock
from orchestrator.sweepfile import PACKAGE

# How long an attempt waits for the one before it to let go of the run directory.
LOCK_TIMEOUT_S = 30.0


def main(text: str, connection: Connection) -> None:
    """Run one attempt in this process and end it.

    Args:
        text: `Attempt.to_json`.
        connection: messages go both ways; its end is the end of this process.
    """
    os.setsid()
    # Ray blocks SIGINT in what it starts, and a blocked signal stays blocked in the script.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # It was for our own start (`process._safe_path`); a script looks beside itself for modules.
    os.environ.pop("PYTHONSAFEPATH", None)
    channel = PipeChannel(connection)
    attempt = Attempt.from_json(text)
    try:
        _redirect(attempt)
    except OSError as error:
        outcome = ["failed", f"{attempt.run_dir.log_file.name}: {_words(error)}"]
    else:
        isolate(attempt)
        if attempt.program is not None:
            channel.send(["memory", 0, os.getpid()])
        elif attempt.cap_bytes is not None:
            memory.cap(attempt.cap_bytes)
        outcome = run_attempt(attempt, channel, echo=attempt.trainer is not None)
        with suppress(OSError):  # the log's disk may be full
            sys.stdout.flush()
            sys.stderr.flush()
    channel.send(outcome)
    connection.close()
    # Threads that training code left behind must not keep the process.
    os._exit(0 if outcome[0] == "done" else 1)


def run_attempt(attempt: Attempt, channel: Channel, *, echo: bool = False) -> list[str]:
    """Run one attempt in this process, without touching its environment.

    Args:
        attempt: what to run.
        channel: where its messages go.
        echo: print each report, for a log that would be empty otherwise.

    Returns:
        ``["done"]`` or ``["failed", message]``.
    """
    try:
        held = lock.acquire(
            attempt.run_dir.lock_file, timeout_s=LOCK_TIMEOUT_S, holder="the run directory"
        )
    except SweepError as error:
        return ["failed", _describe(error, attempt)]
    try:
        return _run_held(attempt, channel, echo)
    finally:
        held.release()


def _run_held(attempt: Attempt, channel: Channel, echo: bool) -> list[str]:
    run: TrialRun | None = None
    try:
        atomic.remove_leftovers(attempt.run_dir.path, attempt.run_dir.written_by_child)
        run = TrialRun(attempt, channel, echo=echo)
        _train(attempt, run)
        run.finish("stopped" if run.should_stop else "complete")
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        # Whatever goes wrong in training code is this trial's failure and nobody else's.
        message = _describe(error, attempt)
        if run is not None:
            with suppress(OSError):  # the folder may be gone or full; the message is what counts
                run.finish("failed", error=message)
        return ["failed", message]
    return ["done"]


def _train(attempt: Attempt, run: TrialRun) -> None:
    program = attempt.to_program()
    if program is not None:
        from orchestrator.engine.script.follow import run_script

        run_script(program, attempt.config, run)
        return
    loading = importlib.import_module(f"{PACKAGE}.loading")
    try:
        trainer = loading.load_trainer(str(attempt.trainer), attempt.folder)
    except loading.TrainerError as error:
        raise TrialError(f"trainer {error}.") from error
    config = trainer.make_config(attempt.config)
    run.describe(config=trainer.full_config(config), set=dict(attempt.config))
    if trainer.data_kind:
        run.describe(data={"kind": trainer.data_kind})
    try:
        trainer.train(config, run)
    except ValueError as error:
        if _is_told(error):
            raise TrialError(str(error)) from error
        raise


def _is_told(error: ValueError) -> bool:
    """Tell whether a trainer that ships raised it itself: it then says what the user can mend."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return raised_in.startswith(f"{PACKAGE}.")


def _describe(error: BaseException, attempt: Attempt) -> str:
    with suppress(OSError):  # the log's disk may be full
        if isinstance(error, SweepError):
            print(f"Error: {error}", file=sys.stderr)
        else:
            traceback.print_exception(error)
    if isinstance(error, TrialError):
        return str(error)
    if type(error).__name__ == "OutOfMemoryError":
        return f"out of memory on {attempt.slot.get('device')}: {error}"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return _words(error)


def _words(error: BaseException) -> str:
    kind = type(error).__name__
    return f"{kind}: {error}" if str(error) else kind


def _redirect(attempt: Attempt) -> None:
    log = os.open(attempt.run_dir.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.close(nothing)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)


def isolate(attempt: Attempt) -> None:
    """Let this process, and what it starts, see its slot's device and use its slot's threads.

    It holds for CUDA as long as nothing here has touched that yet.
    """
    # An empty list hides all GPUs; torch reads it when it first touches CUDA, which is not yet.
    visible = "" if attempt.device == "cpu" else str(attempt.slot.get("visible", ""))
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    # Where UUIDs are unknown the slot names a card by its index, counted as NVML counts.
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(attempt.threads)
    os.environ["SWEEP_RUN_DIR"] = attempt.run_path
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(attempt.threads)
