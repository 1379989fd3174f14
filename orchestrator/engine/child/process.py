"""Starting, hearing and ending the process of one trial, from outside it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext

from orchestrator.engine.child.attempt import Attempt, Message
from orchestrator.engine.child.killing import kill_family
from orchestrator.sweepfile import PACKAGE, is_own

# Time for a trial to save what it has after it was asked to stop; then its group is killed.
GRACE_S = 10.0
_BEYOND_S = 2.0

# Of the 107 bytes of a path to a socket, multiprocessing puts 32 behind the temporary folder.
LONGEST_TEMPORARY_PATH = 70

_starting = threading.Lock()


class TrialProcess:
    """The process of one attempt.

    Trainers start by a forkserver that has torch loaded and CUDA untouched, so that a trial starts
    in milliseconds and gives all its memory back when it ends; where there is no forkserver, by
    spawn.

    Args:
        attempt: what to run.
    """

    def __init__(self, attempt: Attempt) -> None:
        context = _context(attempt)
        here, there = context.Pipe(duplex=True)
        self._connection: Connection = here
        with _starting, _no_main(), _short_temporary_paths(), _safe_path():
            self._process = context.Process(
                target=_enter, args=(attempt.to_json(), there), name=attempt.name
            )
            self._process.start()
        there.close()
        self._finished = False
        self._kill_at: float | None = None
        self._owed = 0
        program = attempt.to_program()
        # A script's own time to end comes first, then that of the process which ends it.
        self._grace_s = GRACE_S if program is None else program.grace_s + _BEYOND_S

    @property
    def is_alive(self) -> bool:
        """True until the process has ended and its last message was handed out."""
        return not self._finished

    def poll(self, timeout_s: float) -> list[Message]:
        """Return the messages since the last call, waiting at most `timeout_s` for the first.

        Calling again says that the reports handed out before were judged. The last message of all
        is ``["done"]`` or ``["failed", message]``, also for a process that was killed.
        """
        if self._finished:
            return []
        self._acknowledge()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self.kill()
        wait([self._connection, self._process.sentinel], timeout_s)
        messages = self._drain()
        over = bool(messages) and messages[-1][0] in ("done", "failed")
        if over or not self._process.is_alive():
            messages += self._end(over)
        self._owed = sum(message[0] == "report" for message in messages)
        return messages

    def stop(self, grace_s: float | None = None) -> None:
        """Ask the trial to save and return; it is killed when it has not after `grace_s`.

        By default that is `GRACE_S`, or what the file says of its program and a little more.
        """
        if self._kill_at is None:
            self._kill_at = time.monotonic() + (self._grace_s if grace_s is None else grace_s)
            self._send(["stop"])

    def kill(self) -> None:
        """End the process, its group and what has left that at once."""
        if self._process.pid is not None:
            kill_family(self._process.pid)
        self._process.kill()

    def close(self) -> None:
        """End the process, if it still lives, and free what it held."""
        if not self._finished:
            self.kill()
            self._end(True)

    def _end(self, over: bool) -> list[Message]:
        self._process.join(5.0)
        if self._process.is_alive():
            self.kill()
            self._process.join(5.0)
        messages = [] if over else self._drain()
        # Workers that the training code left behind.
        _kill_group(self._process.pid)
        self._connection.close()
        self._finished = True
        if not over and not (messages and messages[-1][0] in ("done", "failed")):
            messages.append(["failed", _exit_words(self._process.exitcode)])
        return messages

    def _acknowledge(self) -> None:
        if self._owed:
            self._send(["ack", self._owed])
            self._owed = 0

    def _drain(self) -> list[Message]:
        messages = []
        try:
            while self._connection.poll():
                messages.append(self._connection.recv())
        except (EOFError, OSError):
            pass
        return messages

    def _send(self, message: Message) -> None:
        try:
            self._connection.send(message)
        except OSError:
            return  # it has just ended; poll will say so


def _enter(text: str, connection: Connection) -> None:
    # Imported here so that the parent need not load what only the child uses.
    from orchestrator.engine.child.main import main

    main(text, connection)


def _context(attempt: Attempt) -> ForkServerContext | SpawnContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    preload = ["orchestrator.engine.child.main"]
    if attempt.trainer is not None:
        preload += ["torch", f"{PACKAGE}.loading"]
        if not is_own(attempt.trainer):  # foreign code would end the forkserver by what it raises
            preload.append(f"{PACKAGE}.{attempt.trainer}.train")
    # Taken by the forkserver when it starts; later calls change nothing.
    context.set_forkserver_preload(preload)
    return context


@contextmanager
def _no_main() -> Iterator[None]:
    # multiprocessing runs the parent's main module again in every child. In a Ray worker that is
    # Ray's own start-up script, which would cost each trial a second and load Ray into it.
    real = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


@contextmanager
def _short_temporary_paths() -> Iterator[None]:
    # The forkserver listens on a socket in the temporary folder, and a path to a socket holds 107
    # bytes. Only this process looks there; the trial keeps the folder that the user chose.
    real = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TEMPORARY_PATH:
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = real


@contextmanager
def _safe_path() -> Iterator[None]:
    # The forkserver starts as `python -c`, which would take modules from the working folder first.
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _kill_group(pid: int | None) -> None:
    if pid is None:
        return
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _exit_words(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}"
    return f"the process ended with exit code {code} before the trial was done"
