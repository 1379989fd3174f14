"""Which failed attempts run again: those that failed for a reason that has nothing to do with them.

A worker may be lost, a process may be killed from outside, a disk may be full for a while. A wrong
config, an error in the code or a broken limit fails again, so such a trial has failed for good.

A SIGTERM that nobody here sent is how batch systems and service managers end a machine's processes,
all at once: it is no failure of the trial, which runs again even if the file has no ``retries``.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable

MOST_LOST = 2
"""How often a lost or terminated trial runs again if the sweep file has no ``retries``."""
REST_S = (1.0, 10.0, 60.0)
"""How long a trial rests before its first, its second and each further retry."""

_LOST = "its worker process was lost"
_KILLED = re.compile(
    r"(?:ended by|killed by|which means|process got) SIG(?:KILL|TERM|HUP|INT|BUS)\b"
    r"|killed by signal: (?:Killed|Terminated|Bus error)|its forkserver has ended"
)
_TERMINATED = re.compile(r"SIGTERM\b|killed by signal: Terminated|its forkserver has ended")
_PASSING = re.compile(
    r"No space left on device|Disk quota exceeded|PytorchStreamWriter failed writing"
    r"|Stale file handle|Input/output error|Connection reset by peer"
    r"|Temporary failure in name resolution"
)


class Retries:
    """Counts what runs again, for each trial of one driver.

    Args:
        most: the file's ``retries``; None if it has none.
    """

    def __init__(self, most: int | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._monotonic = monotonic
        self._counts: Counter[int] = Counter()
        self._rests: dict[int, float] = {}

    def after_loss(self, number: int, lost: str = "") -> tuple[str, bool]:
        """Return the reason of a trial whose worker was lost, and whether it runs again.

        `lost` is what was lost if it was not the worker alone.
        """
        self._counts[number] += 1
        return lost or _LOST, self._counts[number] <= self._most_of(is_lost=True)

    def after(self, number: int, message: str) -> str | None:
        """Return the reason of a trial that failed and runs again; None if it failed for good."""
        cause = passing_cause(message)
        if cause is None:
            return None
        most = self._most_of(is_lost=_TERMINATED.search(cause) is not None)
        if self._counts[number] >= most:
            return None
        self._counts[number] += 1
        count = self._counts[number]
        rest = REST_S[min(count, len(REST_S)) - 1]
        self._rests[number] = self._monotonic() + rest
        return f"{cause}; waits to run again (retry {count} of {most})"

    def _most_of(self, *, is_lost: bool) -> int:
        if self._most is not None:
            return self._most
        return MOST_LOST if is_lost else 0

    def is_resting(self, number: int | None) -> bool:
        """Return whether a trial has yet to wait before it runs again."""
        return number in self._rests and self._monotonic() < self._rests[number]


def is_killed(message: str) -> bool:
    """Return whether a failure is that the process was killed."""
    return _KILLED.search(message.partition("\n")[0]) is not None


def passing_cause(message: str) -> str | None:
    """Return the line of a failure that names a reason that may pass; None without one."""
    if is_killed(message):
        return message.partition("\n")[0].rstrip(".")
    for line in message.splitlines():
        if _PASSING.search(line) or _KILLED.search(line):
            return line.strip().rstrip(".")
    return None
