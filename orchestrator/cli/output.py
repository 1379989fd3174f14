"""Standard output that fails: a reader who has gone, a full disk, too small an alphabet."""

from __future__ import annotations

import io
import os
import sys


def allow_all_letters() -> None:
    """Let a letter that the terminal's encoding lacks (✓ in Latin-1) print as ``?``, not raise."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def mute() -> None:
    """Send all further output nowhere, so that the exit does not fail on what is still to flush."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
