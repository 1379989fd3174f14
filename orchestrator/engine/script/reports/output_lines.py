"""The output of a script as lines: progress bars, colours, broken bytes and floods included."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_LINE = 16_384  # bytes of one line that are read; the log keeps all of them
LONGEST_SHOWN = 500  # characters of one line in an error message

# What ends a line. A carriage return, backspaces and cursor movements go back over the text, so
# that what follows replaces it: progress bars are made of these.
_BREAK = re.compile(rb"\r\n|\n|\r|\x08+|\x1b\[[0-9;]*[ABEFGHfd]")
# The beginning of a break or an escape whose end has not arrived yet.
_TORN = re.compile(rb"(?:\r|\x1b(?:\[[0-9;?]{0,24})?)\Z")
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, erasing, modes
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    r"|\x1b[ -/]*[0-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Line:
    """One line of output.

    Attributes:
        text: without escapes, control characters and trailing blanks; never empty.
        in_place: True if the next line overwrites it, as in a progress bar.
    """

    text: str
    in_place: bool = False


class Lines:
    """Cuts a stream of bytes into lines, in memory that does not grow with the output."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._torn = b""

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that `data` completes, except those without visible text."""
        data = self._torn + data
        torn = _TORN.search(data, max(0, len(data) - 32))
        end = torn.start() if torn else len(data)
        self._torn = data[end:]
        start = 0
        for found in _BREAK.finditer(data, 0, end):
            self._keep(data[start : found.start()])
            start = found.end()
            text = clean(bytes(self._line))
            self._line.clear()
            if text:
                yield Line(text, in_place=found[0] not in (b"\n", b"\r\n"))
        self._keep(data[start:end])

    def unfinished(self) -> Line | None:
        """Return the line that has begun but not ended, or None if it shows nothing."""
        text = clean(bytes(self._line))
        return Line(text, in_place=True) if text else None

    def _keep(self, piece: bytes) -> None:
        self._line += piece[: LONGEST_LINE - len(self._line)]


def clean(raw: bytes) -> str:
    """Return `raw` as text without terminal escapes; undecodable bytes become U+FFFD."""
    text = raw.decode("utf-8", errors="replace")
    return _CONTROL.sub("", _ESCAPE.sub("", text)).rstrip()


class Tail:
    """The last lines of a script's output as a terminal would show them.

    Attributes:
        lines: the oldest first; a line that was overwritten is gone.
    """

    def __init__(self, longest: int = 200) -> None:
        self.lines: deque[str] = deque(maxlen=longest)
        self._in_place = False

    def add(self, line: Line) -> None:
        """Take one more line."""
        if self._in_place and self.lines:
            self.lines.pop()
        self.lines.append(line.text[:LONGEST_SHOWN])
        self._in_place = line.in_place
