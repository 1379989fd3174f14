"""A read-only view of a sweep for all that do not own its records, and the log of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.runs import RunDir, SweepDir, TrialRecord, log_event
from orchestrator.sweepfile.expand import numbers_end
from orchestrator.sweepfile.model import Spec

INTERRUPTED = "interrupted"
"""The reason of a trial that waits because the sweep ended before it."""

Listener = Callable[[str, TrialRecord | None, Mapping[str, Any]], None]
"""Receives an event, the trial that it is about (None for the sweep), and its facts."""


@dataclass(frozen=True)
class SweepView:
    """A sweep file, its folder, and its trials by number, to which only their owner adds."""

    spec: Spec
    folder: SweepDir
    records: Mapping[int, TrialRecord]

    @property
    def seeds(self) -> int:
        """How many trials each config has, one per seed."""
        return max(len(self.spec.seeds), 1)

    def run_dir(self, record: TrialRecord) -> RunDir:
        """Return the run directory of a trial."""
        return self.folder.run_dir(record.number, record.name)

    def save(self, record: TrialRecord) -> None:
        """Write a record into its run directory."""
        record.save(self.run_dir(record))

    def origin_of(self, record: TrialRecord) -> TrialRecord | None:
        """Return the trial that a trial follows, if it follows one that is known."""
        return None if record.origin is None else self.records.get(record.origin)

    def lineage(self, record: TrialRecord) -> list[TrialRecord]:
        """Return the trials that led to a trial, the first one first and the trial itself last."""
        found = [record]
        while (origin := self.origin_of(found[0])) is not None and len(found) <= len(self.records):
            found.insert(0, origin)
        return found

    def replicates(self, record: TrialRecord) -> list[TrialRecord]:
        """Return the trials with the config of `record`, in the order of their seeds."""
        if record.group is None:
            return [record]
        found = [other for other in self.records.values() if other.group == record.group]
        return sorted(found, key=lambda other: other.replicate)

    def missing_replicates(self, first: TrialRecord, free: int | None = None) -> list[TrialRecord]:
        """Return records for the replicates of a config that have none yet, unsaved.

        They have the numbers after the first one or, if others have these since seeds were added,
        those from `free` on, by default the next ones.
        """
        parameter, seeds = self.spec.seed_parameter, self.spec.seeds
        known = {record.replicate for record in self.replicates(first)}
        missing = [replicate for replicate in range(len(seeds)) if replicate not in known]
        start = first.number if first.group is None else first.group
        numbers = [start + replicate for replicate in missing]
        if any(number in self.records for number in numbers):
            least = self.next_number() if free is None else free
            numbers = list(range(least, least + len(missing)))
        own = f"{parameter}={seeds[first.replicate]}"
        named = first.name if own in first.name else f"{first.name}_{own}"
        return [
            TrialRecord(
                number=number,
                name=named.replace(own, f"{parameter}={seeds[replicate]}"),
                config={**first.config, parameter: seeds[replicate]},
                stage=first.stage,
                note=dict(first.note),
                change=dict(first.change),
                group=first.group,
                replicate=replicate,
            )
            for number, replicate in zip(numbers, missing, strict=True)
        ]

    def next_number(self) -> int:
        """Return the number of a trial that is made now, or of the first of its replicates.

        The trials of a grid or a random draw have their numbers before they start; others must not
        take these. Replicates have consecutive numbers.
        """
        # Not the count of records: a folder whose record was lost must not shift the numbers.
        least = max(max(self.records, default=-1) + 1, numbers_end(self.spec))
        return -(-least // self.seeds) * self.seeds

    def unused_name(self, name: str, number: int) -> str:
        """Return the name of trial `number`, with that number added if another trial has it."""
        taken = any(record.name == name for record in self.records.values())
        return f"{name} ({number})" if taken else name


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
