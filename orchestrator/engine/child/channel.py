"""How a trial speaks to whoever minds it.

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

import os
import threading
from multiprocessing.connection import Connection
from typing import Any, Protocol

from orchestrator.engine.child.killing import kill_family

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
