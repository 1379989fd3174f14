"""A command on a real pseudo-terminal, whose screen is emulated as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pyte

SWEEP = (sys.executable, "-m", "orchestrator")


class Terminal:
    """Runs a command on a terminal of a size; use it in a ``with`` statement."""

    def __init__(
        self, *command: str, columns: int = 80, lines: int = 24, folder: Path, **env: str
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=5000)
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        self._set_size(theirs, columns, lines)
        known = {k: v for k, v in os.environ.items() if k not in ("LINES", "COLUMNS", "NO_COLOR")}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**known, "TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        os.close(self._ours)

    @staticmethod
    def _set_size(terminal: int, columns: int, lines: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        self.screen.resize(lines, columns)
        self._set_size(self._ours, columns, lines)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self._ours, keys.encode())

    @property
    def shown(self) -> list[str]:
        """The lines on the screen, without spaces at their ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def everything(self) -> str:
        """What scrolled off, and the screen."""
        columns = range(self.screen.columns)
        above = ["".join(line[x].data for x in columns) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display])

    def until(self, holds: Callable[[list[str]], bool], timeout_s: float = 20) -> list[str]:
        """Return the screen as soon as it satisfies a condition."""
        deadline = time.monotonic() + timeout_s
        while not holds(self.shown):
            assert time.monotonic() < deadline, "\n".join(["never seen on:", *self.shown])
            assert self._read(), "\n".join(["ended with:", self.everything])
        return self.shown

    def to_the_end(self, timeout_s: float = 30) -> int:
        """Read until the command ends, and return its exit code."""
        deadline = time.monotonic() + timeout_s
        while self._read():
            assert time.monotonic() < deadline, "\n".join(["never ended:", *self.shown])
        return self.process.wait(10)

    def _read(self) -> bool:
        """Read for a moment; return whether the command still has the terminal."""
        if not select.select([self._ours], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # the other end is closed
            return False
        self._stream.feed(data)
        return bool(data)
