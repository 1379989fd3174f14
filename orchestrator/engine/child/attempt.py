"""What travels to the process that runs a trial: everything it needs, in JSON types.

How a trial speaks to whoever minds it.

Messages are lists in JSON types; the first item is the kind::

    from the trial                          to the trial
    ["report", step, {name: value}]         ["ack", n]     n more reports were judged
    ["total_steps", n]                      ["stop"]       save what you have and return
    ["progress", text]
    ["warn", text]
    ["adopted", path]
    ["memory", bytes, pid]
    ["done"]
    ["failed", message]

The bytes of ``memory`` are, on a GPU, the peak of what torch reserved, without the context; on a
CPU the RAM of all the trial's processes. A script, of which the driver finds out itself, says 0.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, Self

from orchestrator.engine.child.killing import kill_family
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program


@dataclass(frozen=True)
class Attempt:
    """One try at running a trial.

    Attributes:
        run_path: the run directory, absolute.
        number: the trial's number.
        name: the trial's name.
        attempt: which try this is, from 1.
        config: the values that the sweep gave.
        trainer: name of the training system, or None for a program.
        program: fields of `Program`, or None for a trainer.
        slot: `placement.model.Slot.to_dict()`.
        stage: the stage that runs, or None.
        commit: git commit of the code that is run, or None.
        folder: where a trainer of the user's own is looked for; None for the environment alone.
        cap_bytes: what the trial may hold on its GPU, its context counted in; None for no cap.
        gpu_bytes: all that its GPU has (of several the smallest); None where that is unknown.
        stops_at_non_finite: True where a training loss that is not finite ends it at once.
        keeps_best: True where the checkpoint of its best report is kept beside the last one, for
            a remedy that goes on from there.
        new_schedule: True where it goes on from another trial's checkpoint with a schedule of its
            own.
        from_checkpoint: True where its first attempt finds the checkpoint of the trial that it
            follows in the run directory.
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
    keeps_best: bool = False
    new_schedule: bool = False

    @property
    def run_dir(self) -> RunDir:
        """The run directory."""
        return RunDir(Path(self.run_path))

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""
        return "cpu" if self.slot.get("device", "cpu") == "cpu" else "cuda"

    @property
    def threads(self) -> int:
        """CPU threads that the trial may use."""
        return int(self.slot.get("threads", 1))

    def to_program(self) -> Program | None:
        """Return the program, where the trial is one."""
        if self.program is None:
            return None
        return Program.from_dict(self.program)

    def to_json(self) -> str:
        """Return the attempt as one string.

        Ray Tune reads meaning into some nested values (``grid_search``, lambdas); a string passes
        it unread.
        """
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the attempt that `to_json` wrote."""
        return cls(**json.loads(text))


# Reports that may be under way unjudged. The rule that stops a diverging trial promises to act
# within three reports, so a trial that reports faster than the driver judges has to wait for it.
WINDOW = 2

Message = list[Any]


class Channel(Protocol):
    """The trial's end."""

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""

    def send(self, message: Message) -> None:
        """Hand over one message; a report may wait until earlier ones were judged."""


class PipeChannel:
    """The trial's end of a pipe that is also its lifeline.

    When the other end closes, whoever minded this process is gone, and with it everybody who could
    end it: the whole process group is killed at once, and all that has left it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._window = threading.Semaphore(WINDOW)
        self._stop = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, name="lifeline", daemon=True).start()

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""
        return self._stop.is_set()

    def send(self, message: Message) -> None:
        """Hand over one message; a report waits while `WINDOW` earlier ones are unjudged."""
        if message[0] == "report":
            while not self._window.acquire(timeout=0.2):
                if self.should_stop:
                    break
        with self._sending:
            try:
                self._connection.send(message)
            except OSError:
                _end_own_group()

    def _listen(self) -> None:
        while True:
            try:
                kind, *details = self._connection.recv()
            except (EOFError, OSError):
                _end_own_group()
                return
            if kind == "ack":
                self._window.release(details[0])
            elif kind == "stop":
                self._stop.set()


def _end_own_group() -> None:
    kill_family(os.getpgrp())
