"""Where the output of a script is kept: the trial's log, and that of the step that runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class OutputLog:
    """Writes what a script prints to this process's standard output, and into its logs.

    In a trial's own process the standard output is the trial's log. With ``--inline`` it is the
    terminal, and the log is written next to it.

    Args:
        file: the trial's log.
        warn: takes a warning if the log cannot be written.
    """

    def __init__(self, file: Path, warn: Callable[[str], None]) -> None:
        self._step: BinaryIO | None = None
        self._warn = warn
        self._is_broken = False
        self._own: BinaryIO | None = None
        with suppress(OSError):
            is_stdout = file.exists() and os.path.samestat(os.fstat(1), file.stat())
            self._own = None if is_stdout else file.open("ab", buffering=0)

    def begin_step(self, log: BinaryIO | None) -> None:
        """Write into the log of the step that begins too; None if it has none."""
        self._step = log

    def write(self, data: bytes) -> None:
        """Write what was printed."""
        for log in (self._step, self._own):
            if log is not None:
                with suppress(OSError):  # the standard output shows what is missing
                    log.write(data)
                    log.flush()
        rest = memoryview(data)
        while rest and not self._is_broken:
            try:
                rest = rest[os.write(1, rest) :]
            except BlockingIOError:
                time.sleep(0.01)  # another process made the terminal non-blocking
            except OSError as error:
                # A full disk must not end a training that would otherwise continue.
                self._is_broken = True
                self._warn(f"the log is not whole: {error.strerror}")

    def close(self) -> None:
        """Close the trial's log, if it was opened here."""
        if self._own is not None:
            self._own.close()
