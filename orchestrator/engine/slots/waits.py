"""The waiting of a sweep for memory that others hold: when it began, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.engine.slots.device_state import Tell
from orchestrator.placement.admission.waiting import Waiting

CALM_S = 3.0
"""For how long nothing is missing before the waiting is over, where nothing starts. While a trial
that has ended still has its room, its memory seems to be there twice."""


class Waits:
    """Follows what admission says from one look to the next.

    Args:
        tell: told of ``waiting`` and ``waited``.
        clock: seconds since 1970.
        monotonic: seconds that never go back.

    Attributes:
        now: why nothing starts; None where it need not wait.
    """

    def __init__(
        self, tell: Tell, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.now: Waiting | None = None
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        self._calm_from: float | None = None

    def note(self, found: Waiting | None, *, starts: bool) -> None:
        """Take in what admission says.

        Args:
            found: why the next trial has to wait; None where it need not.
            starts: whether a trial starts now.
        """
        before = self.now
        if before is not None and not starts:
            if found is None and not self._is_calm():
                return
            found = None if found is None else replace(found, since=before.since)
        self._calm_from = None
        self.now = found
        if found is not None and before is None:
            self._tell("waiting", **found.to_dict(), words=str(found))
        elif found is None and before is not None:
            self._tell("waited", seconds=round(before.waited_s(self._clock()), 1))

    def is_over(self, timeout_s: float | None) -> bool:
        """Tell whether it has waited for so long; None waits for ever."""
        return self.now is not None and self.now.is_over(self._clock(), timeout_s)

    def _is_calm(self) -> bool:
        """Tell whether nothing has been missing for long enough."""
        now = self._monotonic()
        if self._calm_from is None:
            self._calm_from = now
        return now - self._calm_from >= CALM_S
