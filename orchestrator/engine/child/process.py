"""Start, poll and end the process of one attempt, from outside it."""

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
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext

from orchestrator.engine.child.attempt import Attempt, Message
from orchestrator.placement.hardware import family
from orchestrator.sweepfile import PACKAGE, is_own

# Time for a trial to save what it has after it was asked to stop; then its group is killed.
GRACE_S = 10.0
_EXTRA_S = 2.0

# Of the 107 bytes of a path to a socket, multiprocessing needs 32 after the temporary folder.
LONGEST_TEMPORARY_PATH = 70

_starting = threading.Lock()


class TrialProcess:
    """The process of one attempt.

    Trainers start by a forkserver that has torch loaded and CUDA unused, so that a trial starts in
    milliseconds and frees all its memory when it ends; without a forkserver, by spawn.
    """

    def __init__(self, attempt: Attempt) -> None:
        # Imported here because it imports this module.
        from orchestrator.engine.child.main import main

        context = _context(attempt)
        here, there = context.Pipe(duplex=True)
        self._connection: Connection = here
        with _starting, _start_conditions():
            self._process = context.Process(
                target=main, args=(attempt.to_json(), there), name=attempt.name
            )
            self._process.start()
        there.close()
        self._finished = False
        self._kill_at: float | None = None
        self._unacknowledged = 0
        program = attempt.to_program()
        # A script's own time to end comes first, then that of the process which ends it.
        self._grace_s = GRACE_S if program is None else program.grace_s + _EXTRA_S

    @property
    def is_alive(self) -> bool:
        """True until the process has ended and its last message was returned."""
        return not self._finished

    def poll(self, timeout_s: float) -> list[Message]:
        """Return the messages since the last call, waiting at most `timeout_s` for the first.

        Calling again acknowledges that the reports returned before were judged. The last message
        of all is ``["done"]`` or ``["failed", message]``, also for a process that was killed.
        """
        if self._finished:
            return []
        if self._unacknowledged:
            self._send(["ack", self._unacknowledged])
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self.kill()
        wait([self._connection, self._process.sentinel], timeout_s)
        messages = self._receive()
        over = is_last(messages)
        if over or not self._process.is_alive():
            messages += self._end(over)
        self._unacknowledged = sum(message[0] == "report" for message in messages)
        return messages

    def stop(self, grace_s: float | None = None) -> None:
        """Ask the trial to save and return; it is killed if it has not after `grace_s`.

        By default that is `GRACE_S`, or for a program slightly more than its own grace period.
        """
        if self._kill_at is None:
            self._kill_at = time.monotonic() + (self._grace_s if grace_s is None else grace_s)
            self._send(["stop"])

    def kill(self) -> None:
        """Kill the process, its group and descendants that have left that."""
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
        messages = [] if over else self._receive()
        # Workers that the training code left behind.
        if self._process.pid is not None:
            _kill_group(self._process.pid)
        self._connection.close()
        self._finished = True
        if not over and not is_last(messages):
            messages.append(["failed", _describe_exit(self._process.exitcode)])
        return messages

    def _receive(self) -> list[Message]:
        messages = []
        with suppress(EOFError, OSError):
            while self._connection.poll():
                messages.append(self._connection.recv())
        return messages

    def _send(self, message: Message) -> None:
        with suppress(OSError):  # it has just ended, as poll will notice
            self._connection.send(message)


def is_last(messages: list[Message]) -> bool:
    """Return whether the last of `messages` ends the attempt."""
    return bool(messages) and messages[-1][0] in ("done", "failed")


def kill_family(pid: int) -> None:
    """Kill a process group and all descendants of its leader.

    A daemon has a session of its own, so a signal to the group does not reach it; while the leader
    lives it is found among its descendants. If this process belongs to the group, the call does
    not return.

    Args:
        pid: of the leader.
    """
    # What starts while the others are looked up is found in the next round.
    for _ in range(3):
        below = family([pid]) - {pid, os.getpid()}
        for member in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        if not below:
            break
    _kill_group(pid)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _context(attempt: Attempt) -> ForkServerContext | SpawnContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    preload = ["orchestrator.engine.child.main", "orchestrator.engine.child.trial_run"]
    if attempt.trainer is not None:
        preload += ["torch", f"{PACKAGE}.loading"]
        if not is_own(attempt.trainer):  # an error in the user's code would end the forkserver
            preload.append(f"{PACKAGE}.{attempt.trainer}.train")
    # The forkserver reads this when it starts; later calls change nothing.
    context.set_forkserver_preload(preload)
    return context


@contextmanager
def _start_conditions() -> Iterator[None]:
    """Set what a new process takes over from this one and must not, for as long as it starts."""
    main, folder = sys.modules["__main__"], tempfile.tempdir
    safe_path = os.environ.get("PYTHONSAFEPATH")
    try:
        # multiprocessing runs the parent's main module again in every child. In a Ray worker that
        # is Ray's own start-up script, which would cost each trial a second and load Ray into it.
        sys.modules["__main__"] = types.ModuleType("__main__")
        # The forkserver listens on a socket in the temporary folder, and a path to a socket holds
        # 107 bytes. Only this process looks there; the trial keeps the folder of the user.
        if len(os.fsencode(tempfile.gettempdir())) > LONGEST_TEMPORARY_PATH:
            tempfile.tempdir = "/tmp"
        # The forkserver starts as `python -c`, which imports from the working folder first.
        os.environ["PYTHONSAFEPATH"] = "1"
        yield
    finally:
        sys.modules["__main__"], tempfile.tempdir = main, folder
        os.environ.pop("PYTHONSAFEPATH", None)
        if safe_path is not None:
            os.environ["PYTHONSAFEPATH"] = safe_path


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{hint}"
    return f"the process ended with exit code {code} before the trial was done"
