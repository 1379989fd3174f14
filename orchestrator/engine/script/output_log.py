"""Where the output of a script is kept: the trial's log, and that of the step that runs."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# Control sequences, commands such as those that set the clipboard, and what is left of them.
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_COLOR = re.compile(r"\x1b\[[\d;:]*m")
_LONGEST_LINE = 65_536
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,4096}\x1b?|[ -/]*)\Z")


class Shown:
    """What a terminal is shown of a script's output: text, and on a terminal colors.

    Cursor movements and commands to the terminal are left out; a sequence may come in parts.
    """

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def of(self, data: bytes) -> bytes:
        """Return what is shown of further output."""
        text = self._begun + self._decoder.decode(data)
        begun = _BEGUN.search(text, max(0, len(text) - 5000))
        cut = begun.start() if begun is not None else len(text)
        self._begun = text[cut:]
        return _ESCAPE.sub(self._kept, text[:cut]).encode()

    def _kept(self, found: re.Match[str]) -> str:
        return found[0] if self._colors and _COLOR.fullmatch(found[0]) else ""


class OutputLog:
    """Writes what a script prints to this process's standard output, and into its logs.

    In a trial's own process the standard output is the trial's log. With ``--inline`` it is the
    terminal, and the log is written next to it. There a line appears once it is whole, since the
    sweep prints lines too.

    Args:
        file: the trial's log.
        warn: takes a warning if the log cannot be written.
    """

    def __init__(self, file: Path, warn: Callable[[str], None]) -> None:
        self._step: BinaryIO | None = None
        self._warn = warn
        self._is_broken = False
        self._own: BinaryIO | None = None
        self._shown = Shown(colors=os.isatty(1))
        self._held = b""
        with suppress(OSError):
            is_stdout = file.exists() and os.path.samestat(os.fstat(1), file.stat())
            self._own = None if is_stdout else file.open("ab", buffering=0)

    def begin_step(self, log: BinaryIO | None) -> None:
        """Write into the log of the step that begins too; None if it has none."""
        self._end_line()
        self._step = log

    def write(self, data: bytes) -> None:
        """Write what was printed."""
        for log in (self._step, self._own):
            if log is not None:
                with suppress(OSError):  # the standard output shows what is missing
                    log.write(data)
                    log.flush()
        self._print(data if self._own is None else self._whole_lines(self._shown.of(data)))

    def note(self, text: str) -> None:
        """Write a line of the sweep's own, into the trial's log alone."""
        data = f"sweep: {text}\n".encode()
        if self._own is None:
            self._print(data)
            return
        with suppress(OSError):
            self._own.write(data)

    def _whole_lines(self, data: bytes) -> bytes:
        """Return further output up to the end of its last line, and hold the rest."""
        text = self._held + data
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if len(text) - end > _LONGEST_LINE:
            end = len(text)
        self._held = text[end:]
        return text[:end]

    def _end_line(self) -> None:
        """Show a last line that has no end."""
        if self._held:
            self._print(self._held + b"\n")
            self._held = b""

    def _print(self, data: bytes) -> None:
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
        self._end_line()
        if self._own is not None:
            self._own.close()
