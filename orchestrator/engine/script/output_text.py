"""The output of a script as lines, and the lines of it that explain a failure."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.files import format_duration

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
_C_NAN = re.compile(r"\b1\.#(?:[QS]?NAN|IND|(?P<inf>INF))\d*")  # of Microsoft's C: 1.#QNAN
_HINTS = {
    "SIGKILL": " (the system may have run out of memory)",
    "SIGSEGV": " (a crash inside native code)",
    "SIGBUS": " (a crash inside native code; shared memory may be full)",
}
# How argparse, click and absl complain about an argument that they do not know.
_UNKNOWN_ARGUMENT = ("unrecognized arguments", "No such option", "Unknown command line flag")
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'(?:^|\s)File "')
_ERROR = re.compile(r"\berror\b", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """One line of output: visible text, and whether the next line overwrites it."""

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
            text = clean(self._line)
            self._line.clear()
            if text:
                yield Line(text, in_place=found[0] not in (b"\n", b"\r\n"))
        self._keep(data[start:end])

    def unfinished(self) -> Line | None:
        """Return the line that has begun but not ended, or None if it shows nothing."""
        text = clean(self._line)
        return Line(text, in_place=True) if text else None

    def _keep(self, piece: bytes) -> None:
        self._line += piece[: LONGEST_LINE - len(self._line)]


def clean(raw: bytes | bytearray) -> str:
    """Return `raw` as text without terminal escapes; undecodable bytes become U+FFFD.

    ``1.#QNAN`` becomes ``nan``, of which a pattern would take the 1.
    """
    text = raw.decode("utf-8", errors="replace")
    if "1.#" in text:
        text = _C_NAN.sub(lambda found: "inf" if found["inf"] else "nan", text)
    return _CONTROL.sub("", _ESCAPE.sub("", text)).rstrip()


class Tail:
    """The last lines of a script's output as a terminal would show them, the oldest first."""

    def __init__(self, longest: int = 200) -> None:
        self.lines: deque[str] = deque(maxlen=longest)
        self._in_place = False

    def add(self, line: Line) -> None:
        """Take one more line."""
        if self._in_place and self.lines:
            self.lines.pop()
        self.lines.append(line.text[:LONGEST_SHOWN])
        self._in_place = line.in_place


def failure(
    program: str,
    code: int,
    took_s: float,
    output: Sequence[str],
    log: Path,
    broken: str | None = None,
) -> str:
    """Return the message for a script that failed.

    Args:
        code: its exit code, negative for a signal.
        log: the file with all of its output, named if it exists.
        broken: the limit for which it was ended; None if it ended by itself.
    """
    lines = lines_that_matter(output)
    fault = headline(output) if broken is None else ""
    message = f"{Path(program).name}: {broken or describe_exit(code)}"
    message += f" after {format_duration(took_s)}"
    # Tables show only the first line.
    message += f": {fault}" if fault else "."
    message += "".join(f"\n    {line}" for line in lines) or " It printed nothing."
    if any(text in line for line in lines for text in _UNKNOWN_ARGUMENT):
        message += (
            "\nThe script does not know an argument by this name: compare its --help with the "
            "names in the sweep file; `args: hyphen-space` sends --like-this 1."
        )
    return message + (f"\nLog: {log}" if log.exists() else "")


def describe_exit(code: int) -> str:
    """Return how a process ended, such as ``"was killed by SIGSEGV (a crash ...)"``."""
    # Shells pass a signal on as 128 + its number.
    number = -code if code < 0 else code - 128 if code > 128 else 0
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit code {code}"
    way = "was killed by" if code < 0 else f"ended with exit code {code}, which means"
    return f"{way} {name}{_HINTS.get(name, '')}"


def lines_that_matter(lines: Sequence[str], most: int = 10) -> list[str]:
    """Return the innermost frames and the error of the last traceback, else the last lines."""
    inner, error = _last_traceback(lines)
    if not error:
        return [*inner, *lines][-most:]
    error = error[: max(1, most // 2)]
    inner = inner[-(most - len(error)) :]
    while inner and not _FRAME.search(inner[0]):
        inner.pop(0)
    return [*inner, *error]


def headline(lines: Sequence[str]) -> str:
    """Return the error of the last traceback, else the last line with the word error, else ""."""
    _, error = _last_traceback(lines)
    if error:
        return error[0]
    return next((line for line in reversed(lines) if _ERROR.search(line)), "")


def _last_traceback(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the frames of the last traceback, and its error with all that follows it."""
    starts = [index for index, line in enumerate(lines) if _TRACEBACK in line]
    if not starts:
        return [], []
    # A launcher may put a name before each line, as in "[rank0]: Traceback ...".
    prefix = lines[starts[-1]].partition(_TRACEBACK)[0]
    block = list(lines[starts[-1] + 1 :])
    frames = 0
    while frames < len(block) and block[frames].startswith(prefix + " "):
        frames += 1
    return block[:frames], block[frames:]
