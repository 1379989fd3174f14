"""Ctrl+C: the first ends the sweep in order, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def catching(first: Callable[[], None], second: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `first` at the first SIGINT, SIGTERM or SIGHUP, and `second` at the next; then exit.

    SIGHUP counts because a terminal that closes sends it; a detached sweep has no terminal, and one
    under ``nohup`` goes on. It is never the second: a shell sends it beside the terminal. What is
    yielded puts the handlers in again, after somebody else has put in theirs. Outside the main
    thread there are no handlers.

    Args:
        first: must return at once; it runs between two instructions of the main thread.
        second: the last words; the process ends after it with exit code 130.
    """
    calls = 0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            first()
            return
        if number == signal.SIGHUP:
            return
        try:
            second()
        finally:
            # Not sys.exit: Ray would wait for its actors. Its processes end with this one, and
            # each trial's process ends its own group when its lifeline closes.
            os._exit(130)

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers}
        if before[signal.SIGHUP] is signal.SIG_IGN:
            del before[signal.SIGHUP]

    def install() -> None:
        for number in before:
            signal.signal(number, on_signal)

    install()
    try:
        yield install
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
