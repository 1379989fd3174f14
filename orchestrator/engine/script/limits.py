"""How long a command may take, and how long it may be silent."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.files.units import format_duration


@dataclass(frozen=True)
class Limits:
    """The limits of one command.

    Attributes:
        timeout_s: longest time that it may take; None for any.
        stall_timeout_s: longest time without output; None for any.
    """

    timeout_s: float | None = None
    stall_timeout_s: float | None = None

    def broken(self, took_s: float, silent_s: float) -> str | None:
        """Return which limit is broken, for a message, or None.

        Args:
            took_s: how long the command has run.
            silent_s: how long it has printed nothing.
        """
        if self.timeout_s is not None and took_s >= self.timeout_s:
            return f"must end within {format_duration(self.timeout_s)} (timeout), but still ran"
        if self.stall_timeout_s is not None and silent_s >= self.stall_timeout_s:
            limit = format_duration(self.stall_timeout_s)
            return f"must print something every {limit} (stall_timeout), but was silent for longer"
        return None
