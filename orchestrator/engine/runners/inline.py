"""Running trials in the calling process, without Ray: for a debugger.

A trial has this process to itself and this process one place: it sees the GPU of its slot and no
other, torch's allocator is held to the slot, and threads are the slot's, all as in a child. What a
process may see of CUDA is settled when it first touches it, so a sweep keeps to one device (or
group), that of the plan's first slot; and a caller that has touched CUDA already sees what it saw.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.engine.child import memory
from orchestrator.engine.child.attempt import Attempt, Message
from orchestrator.engine.child.main import isolate, run_attempt
from orchestrator.engine.child.reaper import MARK, start_reaper
from orchestrator.engine.conductor import Conductor

WAIT_S = 0.3


class DirectChannel:
    """A channel whose messages are judged before `send` returns.

    Args:
        conductor: judges.
        attempt_id: the attempt that speaks.
        tick: called at every message and every look at `should_stop`.
        tells_memory: False where this process holds more than the trial.
    """

    def __init__(
        self,
        conductor: Conductor,
        attempt_id: str,
        tick: Callable[[], None],
        *,
        tells_memory: bool,
    ) -> None:
        self._conductor = conductor
        self._attempt_id = attempt_id
        self._tick = tick
        self._tells_memory = tells_memory

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""
        self._tick()
        return self._conductor.is_ending(self._attempt_id)

    def send(self, message: Message) -> None:
        """Hand over one message."""
        self._tick()
        if message[0] != "memory" or self._tells_memory:
            self._conductor.on_messages(self._attempt_id, [message])


def run_inline(conductor: Conductor, tick: Callable[[], None]) -> None:
    """Run what `conductor` hands out, one after another, in this process.

    Where this process is killed, what trials started ends with it.
    """
    with _reaped():
        count = 0
        while not conductor.is_over:
            tick()
            count += 1
            attempt_id = f"inline-{count}"
            attempt = conductor.next_attempt(attempt_id)
            if attempt is None:
                time.sleep(WAIT_S)  # others hold the memory
                continue
            # RAM is all of this process's; of a GPU torch tells what the trial took.
            tells = attempt.device != "cpu"
            channel = DirectChannel(conductor, attempt_id, tick, tells_memory=tells)
            with _place(attempt):
                outcome = run_attempt(attempt, channel)
            # A terminal's Ctrl+C reaches a script too; that it fails then is the end we asked for.
            tick()
            conductor.on_messages(attempt_id, [outcome])
            conductor.on_gone(attempt_id)


@contextmanager
def _reaped() -> Iterator[None]:
    """Let a reaper end what carries the mark of this process, should it be killed."""
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    reaper = start_reaper(folder)
    before = os.environ.get(MARK)  # of a sweep within which this one runs
    os.environ[MARK] = str(folder)
    try:
        yield
    finally:
        del os.environ[MARK]
        os.environ.update({} if before is None else {MARK: before})
        if reaper is not None:
            # At an end in order each trial has ended its own; the caller's others may live on.
            reaper.kill()
            reaper.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _place(attempt: Attempt) -> Iterator[None]:
    """Hold this process to the slot of an attempt while that runs."""
    before = dict(os.environ)
    isolate(attempt)
    if attempt.program is None and attempt.cap_bytes is not None:
        memory.cap(attempt.cap_bytes)
    try:
        yield
    finally:
        memory.release()
        os.environ.clear()
        os.environ.update(before)
