"""Run trials in the calling process, without Ray: for a debugger.

The process is restricted to the slot of the trial that runs, as a child is. CUDA's view is fixed
when a process first uses it, so a sweep keeps to one device (or group), that of the plan's first
slot; and a caller that has used CUDA already sees what it saw.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, cast

from orchestrator.engine.child import memory
from orchestrator.engine.child.main import isolate, run_attempt
from orchestrator.engine.child.process import Attempt, Message
from orchestrator.engine.child.reaper import marked_folder
from orchestrator.engine.conductor import Conductor

WAIT_S = 0.3


class DirectChannel:
    """A channel whose messages are judged before `send` returns; it ticks at every call."""

    def __init__(
        self, conductor: Conductor, attempt_id: str, tick: Callable[[], None], *, drops: Set[str]
    ) -> None:
        self._output = sys.stdout, sys.stderr
        self._conductor = conductor
        self._attempt_id = attempt_id
        self._tick = tick
        self._drops = drops

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""
        with self._outside():
            self._tick()
            return self._conductor.is_ending(self._attempt_id)

    def send(self, message: Message) -> None:
        """Send one message."""
        with self._outside():
            self._tick()
            if message[0] not in self._drops:
                self._conductor.on_messages(self._attempt_id, [message])

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """Keep what the sweep prints out of the trial's log, and on lines of its own."""
        out, errors = self._output
        tees = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, _Tee)]
        own_lines = cast(TextIO, _OwnLines(out, tees))
        with redirect_stdout(own_lines), redirect_stderr(errors):
            yield


class _Tee:
    """A stream that also writes into a log; in all else it is the stream, for debuggers."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream = stream
        self._log = log
        self._is_in_line = False

    def end_line(self) -> None:
        """End the last line that was written, if it has no end yet."""
        if self._is_in_line:
            self._is_in_line = False
            self._stream.write("\n")

    def write(self, text: str) -> int:
        """Write `text` to both."""
        self._is_in_line = not text.endswith("\n") if text else self._is_in_line
        with suppress(OSError, ValueError):  # a full disk must not end the training
            self._log.write(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _OwnLines:
    """A stream that begins with a new line if a trial has left its own without an end."""

    def __init__(self, stream: TextIO, trial: Sequence[_Tee]) -> None:
        self._stream = stream
        self._trial = trial

    def write(self, text: str) -> int:
        """Write `text`, on a line of its own."""
        for tee in self._trial if text else ():
            tee.end_line()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run_trials(conductor: Conductor, tick: Callable[[], None]) -> None:
    """Run what `conductor` hands out, one after another; see `runners`.

    If this process is killed, what trials started ends with it.
    """
    # At a normal end each trial has ended its own processes; the caller's others may live on.
    with marked_folder(ends_all=False):
        count = 0
        while not conductor.is_over:
            tick()
            count += 1
            attempt_id = f"inline-{count}"
            attempt = conductor.next_attempt(attempt_id)
            if attempt is None:
                time.sleep(WAIT_S)  # others hold the memory
                continue
            drops = set()
            if attempt.device == "cpu":  # on a GPU torch reports what the trial took
                drops.add("memory")  # RAM is all of this process's
            if attempt.program is not None:
                drops.add("progress")  # its lines are on the terminal themselves
            channel = DirectChannel(conductor, attempt_id, tick, drops=drops)
            with _isolated(attempt), _logged(attempt) as log:
                outcome = run_attempt(attempt, channel, echo=log)
            # A terminal's Ctrl+C reaches a script too; if that fails then, it was asked to end.
            tick()
            conductor.on_messages(attempt_id, [outcome])
            conductor.on_gone(attempt_id)


@contextmanager
def _logged(attempt: Attempt) -> Iterator[TextIO | None]:
    """Keep what a trainer prints in its log too, and yield that; scripts have a log already."""
    with ExitStack() as stack:
        log = None
        with suppress(OSError):
            if attempt.trainer is not None:
                file = attempt.run_dir.log_file.open("a", 1, encoding="utf-8", errors="replace")
                log = stack.enter_context(file)
                tees = _Tee(sys.stdout, log), _Tee(sys.stderr, log)
                stack.enter_context(redirect_stdout(cast(TextIO, tees[0])))
                stack.enter_context(redirect_stderr(cast(TextIO, tees[1])))
                for tee in tees:
                    stack.callback(tee.end_line)
        yield log


@contextmanager
def _isolated(attempt: Attempt) -> Iterator[None]:
    """Restrict this process to the slot of an attempt while that runs."""
    before = dict(os.environ)
    isolate(attempt)
    try:
        yield
    finally:
        memory.release()
        os.environ.clear()
        os.environ.update(before)
