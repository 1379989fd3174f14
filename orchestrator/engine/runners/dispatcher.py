"""The driver's end of all attempts: hands them out, passes what they report to the conductor."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from orchestrator.engine.child.process import is_last
from orchestrator.engine.child.supervisor import (
    JUDGED,
    STOP,
    accept,
    listen,
    receive,
    send,
    start_thread,
)
from orchestrator.engine.conductor import Conductor

# How often to look for room for another attempt, if no attempt reports anything that changes it.
LOOK_EVERY_S = 0.5
STEP_S = 0.2
_TIME_TO_END_S = 15.0


class Dispatcher:
    """Runs each attempt below an agent or, while none is free, in a thread of this process.

    Only one thread may use it. See `supervisor` for what is sent.

    Args:
        tick: handles requests from outside.
        folder: for the socket; readable by this user alone.
    """

    def __init__(self, conductor: Conductor, tick: Callable[[], None], folder: Path) -> None:
        self._conductor = conductor
        self._tick = tick
        self._listener = listen(folder)
        self._agents: dict[Connection, str | None] = {}  # each with its attempt, if it has one
        self._attempts: dict[Connection, str] = {}
        self._asked_to_stop: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._count = 0
        self._ticked_at = self._looked_at = -math.inf

    @property
    def agents(self) -> int:
        """How many agents are connected."""
        return len(self._agents)

    @property
    def running(self) -> int:
        """How many attempts run, below an agent or not; so many agents would be of use."""
        return len(self._attempts)

    def step(self) -> None:
        """Start what can start, and take in what attempts report within `STEP_S`."""
        now = time.monotonic()
        if now - self._ticked_at >= STEP_S:
            self._ticked_at = now
            self._tick()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._hand_out()
        self._pass_on_stops()
        sources: list[Any] = [self._listener, *self._agents, *self._attempts]
        for source in wait(sources, STEP_S):
            if source is self._listener:
                self._welcome(accept(self._listener))
            elif source in self._agents:
                self._lost(source)
            elif source in self._attempts:
                self._take_in(source)

    def close(self) -> None:
        """End the attempts that still run, and let agents end."""
        self._listener.close()
        for link in (*self._attempts, *self._agents):
            link.close()
        for thread in self._threads:
            thread.join(_TIME_TO_END_S)

    def _hand_out(self) -> None:
        """Start attempts as long as one can start."""
        while True:
            attempt_id = f"a{self._count}"
            attempt = self._conductor.next_attempt(attempt_id)
            if attempt is None:
                return
            self._count += 1
            self._start(attempt_id, attempt.to_json())

    def _start(self, attempt_id: str, text: str) -> None:
        for agent, busy in self._agents.items():
            if busy is None:
                with suppress(OSError):  # it is lost, as the next step will notice
                    send(agent, [attempt_id, text])
                    self._agents[agent] = attempt_id
                    return
        here, there = Pipe()
        self._attempts[here] = attempt_id
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(start_thread(text, lambda: there))

    def _welcome(self, link: Connection) -> None:
        """Learn whose connection it is: an agent's, or that of an attempt started by one."""
        try:
            name = receive(link)
        except (EOFError, OSError):
            link.close()
            return
        if name in self._agents.values():
            self._attempts[link] = name
        else:
            self._agents[link] = None

    def _lost(self, agent: Connection) -> None:
        """Forget an agent, and what it was to start; one that runs is noticed by itself."""
        agent.close()
        attempt_id = self._agents.pop(agent)
        if attempt_id is not None and attempt_id not in self._attempts.values():
            self._gone(attempt_id)

    def _take_in(self, link: Connection) -> None:
        """Take in messages of an attempt; the last one, or a lost connection, is its end."""
        attempt_id = self._attempts[link]
        try:
            messages = receive(link)
        except (EOFError, OSError):
            messages = None
        if messages:
            self._conductor.on_messages(attempt_id, messages)
            if any(message[0] != "report" for message in messages):
                self._looked_at = -math.inf  # there may be room now
        if messages is None or is_last(messages):
            del self._attempts[link]
            link.close()
            self._gone(attempt_id)
            return
        with suppress(OSError):  # it is lost, as the next step will notice
            send(link, JUDGED)

    def _gone(self, attempt_id: str) -> None:
        for agent, busy in self._agents.items():
            if busy == attempt_id:
                self._agents[agent] = None
        self._asked_to_stop.discard(attempt_id)
        self._conductor.on_gone(attempt_id)
        self._looked_at = -math.inf

    def _pass_on_stops(self) -> None:
        """Ask the attempts to end that are to end."""
        for link, attempt_id in self._attempts.items():
            if attempt_id not in self._asked_to_stop and self._conductor.is_ending(attempt_id):
                self._asked_to_stop.add(attempt_id)
                with suppress(OSError):
                    send(link, STOP)
