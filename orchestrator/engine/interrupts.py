"""Ctrl+C: the first ends the sweep in order, the second at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def catching(first: Callable[[], None], second: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `first` at the first SIGINT, SIGTERM or SIGHUP, and `second` at the next; then exit.

    SIGHUP counts because a terminal that closes sends it; a detached sweep has no terminal. What
    is yielded puts the handlers in again, after somebody else has put in theirs.

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
        try:
            second()
        finally:
            # Not sys.exit: Ray would wait for its actors. Its processes end with this one, and
            # each trial's process ends its own group when its lifeline closes.
            os._exit(130)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}

    def install() -> None:
        for number in numbers:
            signal.signal(number, on_signal)

    install()
    try:
        yield install
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
