"""Writing to a standard output that fails: closed pipe, full disk, limited encoding."""

from __future__ import annotations

import io
import os
import sys


def allow_all_letters() -> None:
    """Print ``?`` for a character that the terminal's encoding lacks, instead of raising."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def mute() -> None:
    """Discard all further output, so that flushing the rest at exit does not fail."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
