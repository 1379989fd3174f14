"""A part of the terminal that is drawn again and again, below what is printed meanwhile.

While it is open, what this process and its children print goes through a pipe and appears above the
frame, so that nothing garbles it. The cursor stays visible and no mode of the terminal is changed:
a driver that is killed leaves nothing to clean up.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.console import Console, RenderableType

from orchestrator.engine.script import Lines

_EVERY_S = 0.5
_BLOCK = 65_536
_PIPES = (1, 2)

Draw = Callable[[Console, int], RenderableType]
"""Returns a frame for a console, at most so many lines high."""


class Screen:
    """Draws frames at the end of a terminal.

    Args:
        draw: called twice a second by a thread of the screen.
        captures: let what is printed appear above; without it nothing may be printed.
    """

    def __init__(self, draw: Draw, *, captures: bool = True) -> None:
        self._draw = draw
        self._terminal = os.dup(1)
        self._captured = [fd for fd in _PIPES if captures and os.isatty(fd)]
        self._saved = {fd: os.dup(fd) for fd in self._captured}
        self._lock = threading.Lock()
        self._size = _size_of(self._terminal)
        self._height = 0
        self._typed = _typed()
        self._is_open = True
        self._hook: Any = sys.breakpointhook
        self._ended = threading.Event()
        self._reading, writing = os.pipe()
        self._wake, self._waking = os.pipe()
        _flush()
        for fd in self._captured:
            os.dup2(writing, fd)
        os.close(writing)
        sys.breakpointhook = self._break
        self.refresh()
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._refresh_all, *([self._read] if self._captured else []))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Draw a frame now."""
        self._write("")

    def close(self) -> None:
        """Remove the frame; what is printed from now on goes to the terminal as usual."""
        if not self._is_open:
            return
        _flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        self._ended.set()
        os.write(self._waking, b".")
        for thread in self._threads:
            thread.join(timeout=5)
        with self._lock:
            self._is_open = False
            self._put(self._erased())
        sys.breakpointhook = self._hook
        for fd in (self._terminal, self._reading, self._wake, self._waking):
            os.close(fd)

    def leave(self, message: str) -> None:
        """Print a message below the frame, since the process ends now.

        A signal handler may call it: it takes no lock.
        """
        with suppress(OSError):
            os.write(self._terminal, f"\r\n{message}\r\n".encode())

    def _break(self, *arguments: Any, **options: Any) -> Any:
        """Let a debugger have the terminal for itself from now on."""
        self.close()
        return self._hook(*arguments, **options)

    def _refresh_all(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.refresh()

    def _read(self) -> None:
        """Print above the frame what arrives in the pipe, until the screen is closed."""
        lines = Lines()
        while True:
            ready, _, _ = select.select([self._reading, self._wake], [], [])
            # Children may hold the other end longer than we live, so its end is not awaited.
            data = os.read(self._reading, _BLOCK) if self._reading in ready else b""
            text = "".join(f"{line.text}\n" for line in lines.feed(data) if not line.in_place)
            rest = None if data else lines.unfinished()
            text += "" if rest is None else f"{rest.text}\n"
            if text:
                self._write(text)
            if not data:
                return

    def _write(self, above: str) -> None:
        """Print lines, then a frame below them."""
        with self._lock:
            if not self._is_open:
                return
            size = _size_of(self._terminal)
            # After a change nobody knows where the frame is: terminals break lines differently.
            start = self._erased() if size == self._size else "\x1b[H\x1b[2J"
            self._size = size
            width, height = size
            frame = self._lines(max(20, width - 1), max(4, height - 1))
            self._height = len(frame)
            # At the beginning of its last line an echo of a key, such as ^C, breaks no line.
            self._put(start + above + "\n".join(frame) + "\r")

    def _lines(self, width: int, height: int) -> list[str]:
        console = Console(
            file=sys.stdout, force_terminal=True, width=width, height=height, legacy_windows=False
        )
        with console.capture() as captured:
            console.print(self._draw(console, height), end="")
        return captured.get().rstrip("\n").split("\n")[:height]

    def _erased(self) -> str:
        """Return what removes the frame; the cursor is in its last line."""
        # Each Enter that was pressed has moved the cursor by a line; nothing reads them here.
        typed, before = _typed(), self._typed
        self._typed = typed
        lines = self._height - 1 + max(0, typed - before)
        up = f"\x1b[{lines}A" if self._height and lines > 0 else ""
        self._height = 0
        return f"\r{up}\x1b[J"

    def _put(self, text: str) -> None:
        # Terminals that know it show the whole at once, the others ignore it.
        data = f"\x1b[?2026h{text}\x1b[?2026l".replace("\n", "\r\n").encode(errors="replace")
        with suppress(OSError):  # the terminal may be closed, which must not end the training
            while data:
                data = data[os.write(self._terminal, data) :]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _typed() -> int:
    """Return how many characters of finished lines wait at standard input; 0 without a terminal."""
    if not os.isatty(0):
        return 0
    with suppress(OSError):
        return int(struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, bytes(4)))[0])
    return 0


def _size_of(terminal: int) -> tuple[int, int]:
    """Return columns and lines; a terminal that reports none has 80 and 24."""
    try:
        lines, columns, _, _ = struct.unpack(
            "HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))
        )
    except OSError:
        lines, columns = 0, 0
    return columns or 80, lines or 24
