"""What happens in a sweep, written into its folder and passed on to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.runs import SweepDir, TrialRecord, log_event

Listener = Callable[[str, TrialRecord | None, Mapping[str, Any]], None]
"""Receives an event, the trial that it is about (None for the sweep), and its facts."""


class SweepLog:
    """Writes events and records into the folder of a sweep; the listener hears each event after."""

    def __init__(self, folder: SweepDir, listener: Listener) -> None:
        self.folder = folder
        self.show = listener

    def emit(self, event: str, record: TrialRecord | None = None, /, **facts: Any) -> None:
        """Log an event with its facts (JSON types), then pass it to the listener."""
        trial = {} if record is None else {"number": record.number, "name": record.name}
        log_event(self.folder, event, **trial, **facts)
        self.show(event, record, facts)

    def save(self, record: TrialRecord) -> None:
        """Write a trial's record into its run directory."""
        record.save(self.folder.run_dir(record.number, record.name))

    def warn(self, record: TrialRecord, text: str) -> None:
        """Add a warning to a trial's record and report it."""
        record.warnings.append(text)
        self.save(record)
        self.emit("warning", record, text=text)
