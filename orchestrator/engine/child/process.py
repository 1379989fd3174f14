"""An attempt at a trial, and its process as the driver sees it: start, poll, end.

A message is a list in JSON types; its first item is the kind::

    from the trial                          to the trial
    ["report", step, {name: value}]         ["ack", n]     n more reports were judged
    ["total_steps", n]                      ["stop"]       save what you have and return
    ["progress", text]
    ["warn", text]
    ["adopted", path]
    ["memory", bytes, pid]
    ["done"]
    ["failed", message]
    ["disk", message]                       its folder cannot be written

The bytes of ``memory`` are, on a GPU, the peak of what torch reserved, without the context; on a
CPU the RAM of all the trial's processes. A script, which the driver measures itself, sends 0.
"""

from __future__ import annotations

import json
import math
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
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any, Protocol, Self

from orchestrator.engine.script.output_text import describe_exit
from orchestrator.placement import CPU
from orchestrator.placement.hardware import family
from orchestrator.runs import RunDir
from orchestrator.sweepfile import PACKAGE, is_own
from orchestrator.sweepfile.model import Program

# Time for a trainer to save what it has after it was asked to stop; then its group is killed.
GRACE_S = 10.0
# A script's own time to end comes first, then that of the process which ends it.
_EXTRA_S = 2.0
# Reports that `poll` returns at most, so that a fast trial makes more while those are judged.
_MOST_AT_ONCE = 32

# Of the 107 bytes of a path to a socket, multiprocessing needs 32 after the temporary folder.
LONGEST_TEMPORARY_PATH = 70

# What `multiprocessing` returns for a process whose forkserver is gone, whatever became of it.
_NO_FORKSERVER = 255

Message = list[Any]

_starting = threading.Lock()


class Channel(Protocol):
    """The trial's end of the connection to the driver."""

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""

    def send(self, message: Message) -> None:
        """Send one message; a report may wait until earlier ones were judged."""


@dataclass(frozen=True)
class Attempt:
    """One try at running a trial.

    Attributes:
        run_path: the run directory, absolute.
        attempt: which try this is, from 1.
        trainer: None for a program.
        program: fields of `Program`; None for a trainer.
        slot: `Slot.to_dict()`.
        folder: where a trainer of the user's own is looked up besides the environment.
        cap_bytes: what the trial may hold on its GPU, including its context; None for no cap.
        gpu_bytes: all memory of its GPU (of several the smallest); None if unknown.
        from_checkpoint: its first attempt finds the checkpoint of the trial that it follows.
        stops_at_non_finite: a training loss that is not finite ends it at once.
        rule: the arguments of the divergence rule, if nothing else can stop it; else None.
        new_schedule: it continues from another trial's checkpoint with its own schedule.
        private: what is written in `config` and `program` for a text that must not be, to that.
    """

    run_path: str
    number: int
    name: str
    attempt: int
    config: dict[str, Any]
    trainer: str | None
    program: dict[str, Any] | None
    slot: dict[str, Any] = field(default_factory=dict)
    stage: str | None = None
    commit: str | None = None
    folder: str | None = None
    cap_bytes: int | None = None
    gpu_bytes: int | None = None
    from_checkpoint: bool = False
    stops_at_non_finite: bool = False
    rule: dict[str, Any] | None = None
    new_schedule: bool = False
    private: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def run_dir(self) -> RunDir:
        """The run directory."""
        return RunDir(Path(self.run_path))

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""
        return "cpu" if self.slot.get("device", CPU) == CPU else "cuda"

    @property
    def threads(self) -> int:
        """CPU threads that the trial may use."""
        return int(self.slot.get("threads", 1))

    def to_json(self) -> str:
        """Return the attempt as a string, since Ray Tune interprets some nested values."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the attempt that `to_json` wrote."""
        return cls(**json.loads(text))


class TrialProcess:
    """The process of one attempt.

    Trainers start by a forkserver that has torch loaded and CUDA unused, so that a trial starts in
    milliseconds and frees all its memory when it ends; without a forkserver, by spawn.

    Attributes:
        is_alive: True until the process has ended and its last message was returned.
    """

    def __init__(self, attempt: Attempt) -> None:
        # Imported here because it imports this module.
        from orchestrator.engine.child.main import main

        context = _context(attempt)
        self._connection: Connection
        self._connection, there = context.Pipe(duplex=True)
        with _starting, _start_conditions():
            self._process = context.Process(
                target=main, args=(attempt.to_json(), there), name=attempt.name
            )
            self._process.start()
        there.close()
        self.is_alive = True
        self._kill_at: float | None = None
        self._unacknowledged = 0
        self._grace_s = GRACE_S
        if attempt.program is not None:
            self._grace_s = Program.from_dict(attempt.program).grace_s + _EXTRA_S

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid or 0

    @property
    def sources(self) -> list[Any]:
        """What becomes ready when `poll` has something to return."""
        return [self._connection, self._process.sentinel] if self.is_alive else []

    @property
    def seconds_left(self) -> float | None:
        """The seconds until `poll` kills it; None if it was not asked to stop."""
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def poll(self, timeout_s: float) -> list[Message]:
        """Return the messages since the last call, waiting at most `timeout_s` for the first.

        Calling again acknowledges that the reports returned before were judged. The last message
        of all is ``["done"]``, or another that ends it, also for a process that was killed.
        """
        if not self.is_alive:
            return []
        if self._unacknowledged:
            self._send(["ack", self._unacknowledged])
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self.kill()
        wait([self._connection, self._process.sentinel], timeout_s)
        messages = self._receive(_MOST_AT_ONCE)
        over = is_last(messages)
        if over or not self._process.is_alive():
            messages += self._end(over)
        self._unacknowledged = sum(message[0] == "report" for message in messages)
        return messages

    def stop(self) -> None:
        """Ask the trial to save and return; if it does not in time, it is killed."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_s
            self._send(["stop"])

    def kill(self) -> None:
        """Kill the process, its group and descendants that have left that."""
        if self._process.pid is not None:
            kill_family(self._process.pid)
        self._process.kill()

    def close(self) -> None:
        """End the process, if it still lives, and free what it held."""
        if self.is_alive:
            self.kill()
            self._end(True)

    def _end(self, over: bool) -> list[Message]:
        self._process.join(5.0)
        if self._process.is_alive():
            self.kill()
            self._process.join(5.0)
        messages = [] if over else self._receive()
        if self._process.pid is not None:  # workers that the training code left behind
            _kill_group(self._process.pid)
        self._connection.close()
        self.is_alive = False
        if not over and not is_last(messages):
            messages.append(["failed", _how_it_ended(self._process.exitcode or 0)])
        return messages

    def _receive(self, most: float = math.inf) -> list[Message]:
        messages: list[Message] = []
        with suppress(EOFError, OSError):
            while len(messages) < most and self._connection.poll():
                messages.append(self._connection.recv())
        return messages

    def _send(self, message: Message) -> None:
        with suppress(OSError):  # it has just ended, as poll will notice
            self._connection.send(message)


def modules_to_load(trainer: str | None) -> list[str]:
    """Return what a forkserver loads for the attempts of a trainer; None for a program."""
    modules = ["orchestrator.engine.child.preloaded"]
    if trainer is None:
        return [*modules, "orchestrator.engine.script.follow"]
    modules += ["torch", f"{PACKAGE}.loading"]
    if not is_own(trainer):  # an error in the user's code would end the forkserver
        modules.append(f"{PACKAGE}.{trainer}.train")
    return modules


def is_last(messages: list[Message]) -> bool:
    """Return whether the last of `messages` ends the attempt."""
    return bool(messages) and messages[-1][0] in ("done", "failed", "disk")


def kill_family(pid: int) -> None:
    """Kill the process group of `pid` and all its descendants, at last maybe this process.

    A daemon has a session of its own, so a signal to the group does not reach it; while the leader
    lives it is found among its descendants.
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
    # The forkserver reads this when it starts; later calls change nothing.
    context.set_forkserver_preload(modules_to_load(attempt.trainer))
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


def _how_it_ended(code: int) -> str:
    if code == _NO_FORKSERVER:
        return f"the process was lost, as its forkserver has ended (exit code {code})"
    return f"the process {describe_exit(code)}{'' if code < 0 else ' before the trial was done'}"
