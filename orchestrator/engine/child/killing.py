"""Ending a trial's processes at once, those included that have left its process group."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from orchestrator.placement.hardware import family

_ROUNDS = 3
"""What starts while the others are looked up is found the next time."""


def kill_family(pid: int) -> None:
    """Kill a group and all that descends from its leader.

    A daemon has a session of its own, so that a signal to the group does not reach it; while the
    leader lives it is found among those that descend from it. Where the leader is this process,
    the call does not return.

    Args:
        pid: of the leader.
    """
    for _ in range(_ROUNDS):
        below = family([pid]) - {pid, os.getpid()}
        for member in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        if not below:
            break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
