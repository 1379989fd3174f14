"""The message for a program that failed: how it ended, and the output lines that say why."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from orchestrator.files import format_duration

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
        program: path or name of the script.
        code: its exit code, negative for a signal.
        took_s: how long it ran.
        output: the last lines of its output, without empty ones.
        log: the file with all of its output, named if it exists.
        broken: the limit for which it was ended; None if it ended by itself.
    """
    lines = lines_that_matter(output)
    fault = headline(output) if broken is None else ""
    message = f"{Path(program).name}: {broken or describe_exit(code)}"
    message += f" after {format_duration(took_s)}"
    # Tables show the first line alone.
    message += f": {fault}" if fault else "."
    if lines:
        message += "".join(f"\n    {line}" for line in lines)
    else:
        message += " It printed nothing."
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
    hint = _HINTS.get(name, "")
    if code < 0:
        return f"was killed by {name}{hint}"
    return f"ended with exit code {code}, which means {name}{hint}"


def lines_that_matter(lines: Sequence[str], most: int = 10) -> list[str]:
    """Return the `most` lines that say why a script failed.

    They are the innermost frames and the error of the last Python traceback, whatever was printed
    after it; without a traceback, the last lines.
    """
    inner, error = _last_traceback(lines)
    if not error:
        return [*inner, *lines][-most:]
    error = error[: max(1, most // 2)]
    inner = inner[-(most - len(error)) :]
    while inner and not _FRAME.search(inner[0]):
        inner.pop(0)
    return [*inner, *error]


def headline(lines: Sequence[str]) -> str:
    """Return the one line that names the error, or an empty string if there is none.

    It is the error of the last traceback, or the last line that contains the word error, as in
    ``train.py: error: unrecognized arguments: --lr``.
    """
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
