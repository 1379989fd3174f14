"""Running trials in the calling process, without Ray: for a debugger."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.engine.channel import Message
from orchestrator.engine.child import run_attempt
from orchestrator.engine.conductor import Conductor

WAIT_S = 0.3


class DirectChannel:
    """A channel whose messages are judged before `send` returns.

    Args:
        conductor: judges.
        attempt_id: the attempt that speaks.
        tick: called at every message and every look at `should_stop`.
    """

    def __init__(self, conductor: Conductor, attempt_id: str, tick: Callable[[], None]) -> None:
        self._conductor = conductor
        self._attempt_id = attempt_id
        self._tick = tick

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""
        self._tick()
        return self._conductor.is_ending(self._attempt_id)

    def send(self, message: Message) -> None:
        """Hand over one message."""
        self._tick()
        if message[0] == "memory":
            return  # this process holds more than the trial
        self._conductor.on_messages(self._attempt_id, [message])


def run_inline(conductor: Conductor, tick: Callable[[], None]) -> None:
    """Run what `conductor` hands out, one after another, in this process."""
    count = 0
    while not conductor.is_over:
        tick()
        count += 1
        attempt_id = f"inline-{count}"
        attempt = conductor.next_attempt(attempt_id)
        if attempt is None:
            time.sleep(WAIT_S)  # others hold the memory
            continue
        channel = DirectChannel(conductor, attempt_id, tick)
        outcome = run_attempt(attempt, channel)
        # A terminal's Ctrl+C reaches a script too; that it fails then is the end we asked for.
        tick()
        conductor.on_messages(attempt_id, [outcome])
        conductor.on_gone(attempt_id)
