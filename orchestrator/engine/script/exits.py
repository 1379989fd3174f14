"""How a process ended, in words, with the lines of its output that say why."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from orchestrator.engine.script.reports.output_lines import headline, lines_that_matter
from orchestrator.files.units import format_duration

_HINTS = {
    "SIGKILL": " (the system may have run out of memory)",
    "SIGSEGV": " (a crash inside native code)",
    "SIGBUS": " (a crash inside native code; shared memory may be full)",
}
# Words of argparse, click and absl about an argument that they do not know.
_UNKNOWN_ARGUMENT = ("unrecognized arguments", "No such option", "Unknown command line flag")


def exit_words(code: int) -> str:
    """Return an exit code in words.

    Args:
        code: as `subprocess` gives it: negative for a signal.

    Returns:
        For instance ``"ended with exit code 3"`` or ``"was ended by SIGSEGV (a crash ...)"``.
    """
    # Shells pass a signal on as 128 + its number.
    number = -code if code < 0 else code - 128 if code > 128 else 0
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit code {code}"
    hint = _HINTS.get(name, "")
    if code < 0:
        return f"was ended by {name}{hint}"
    return f"ended with exit code {code}, which stands for {name}{hint}"


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
        code: its exit code, negative for a signal; not 0.
        took_s: how long it ran, s.
        output: the last lines of its output, the oldest first.
        log: the file with all of its output, named where it exists.
        broken: the limit for which it was ended; None where it ended by itself.
    """
    lines = lines_that_matter(output)
    fault = headline(output) if broken is None else ""
    message = f"{Path(program).name}: "
    message += broken or f"must end with exit code 0, but {exit_words(code)}"
    message += f" after {format_duration(took_s)}"
    # Tables show the first line alone.
    message += f": {fault}" if fault else "."
    if lines:
        message += "".join(f"\n    {line}" for line in lines)
    else:
        message += " It printed nothing."
    if any(words in line for line in lines for words in _UNKNOWN_ARGUMENT):
        message += (
            "\nThe script does not know an argument by this name: compare its --help with the "
            "names in the sweep file; `args: hyphen-space` sends --like-this 1."
        )
    return message + (f"\nLog: {log}" if log.exists() else "")
