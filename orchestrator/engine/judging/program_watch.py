"""What the trials of a user's own program show together.

A program that fails at once in every trial, whatever the config, need not run in the others; trials
that write the same file leave it with the content of the last.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.analysis.status import parse_time
from orchestrator.engine.judging.inert_parameters import InertParameters
from orchestrator.engine.queue.decisions import Ending
from orchestrator.engine.queue.queue import Candidate
from orchestrator.engine.state.attempts import RunningAttempt
from orchestrator.files import atomic
from orchestrator.runs import TrialRecord, TrialState, now
from orchestrator.sweepfile.model import Spec

AT_ONCE_S = 60.0
"""A trial that fails within this time, and without a report, fails at once."""
ENOUGH = 3
"""So many such failures, with no other outcome, are the program's fault and not the trials'."""

# What differs between messages of one kind: times, values, quoted text.
_VARYING = re.compile(
    r"'[^']*'|\"[^\"]*\"|=\S*|0x[\da-f]+|[-+]?\d[\d.,]*(?:e[-+]?\d+)?|\b(?:nan|inf|True|False|None)\b"
)
# Clocks of file systems are coarser than ours, and times are rounded.
_SLACK_S = 0.05
_MOST_NAMED = 3
_MOST_READ = 1 << 16
LOOK_FAR = 2000
"""Among how many trials the one is chosen that differs most from those that failed."""


@dataclass
class _SharedFile:
    """What was seen of one file.

    Attributes:
        seen: time, size and inode of the write that was seen last.
        writers: the trials any of which may have made all writes so far.
        head: digest of the beginning of the file that was seen last; None if it cannot be read.
        versions: the write that each trial saw last.
        is_reported: True once the user was warned about it.
    """

    seen: tuple[float, int, int]
    writers: set[int]
    head: bytes | None = None
    versions: dict[int, tuple[float, int, int]] = field(default_factory=dict)
    is_reported: bool = False


class ProgramWatch:
    """Watches the trials of a program; `records` are those of earlier drivers."""

    def __init__(self, spec: Spec, records: Collection[TrialRecord] = ()) -> None:
        self._is_program = spec.program is not None
        self._folder = Path() if spec.program is None else Path(spec.program.workdir)
        self._inert = InertParameters(spec.seed_parameter)
        self._is_shared = spec.program is not None and not spec.program.copies
        self._is_noted = not self._is_program or bool(records)
        self._works = any(_ended_well(record) for record in records)
        self._failed: list[TrialRecord] = []
        self._records: dict[int, TrialRecord] = {}
        self._last_try: int | None = None
        self._intervals: dict[int, list[tuple[float, float]]] = {}
        self._files: dict[str, _SharedFile] = {}

    def ended(self, attempt: RunningAttempt, others: Collection[RunningAttempt]) -> list[str]:
        """Take in that an attempt is gone; return what the user should know."""
        if not self._is_program:
            return []
        record = attempt.record
        start, end = parse_time(record.started_at), parse_time(record.ended_at)
        interval = None if start is None or end is None else (start, end)
        if _ended_well(record) or attempt.run.metrics_file.exists():
            self._works = True
        elif record.state is TrialState.FAIL:
            if interval is None or interval[1] - interval[0] < AT_ONCE_S:
                self._failed.append(record)
            else:
                self._works = True  # it ran for long
        is_complete = record.state is TrialState.COMPLETE
        texts = self._inert.ended(record, attempt.run) if is_complete else []
        if interval is not None and self._is_shared:
            self._intervals.setdefault(record.number, []).append(interval)
            self._records[record.number] = record
            texts += self._overwritten(attempt, others)
        return texts

    def metrics_note(self, attempt: RunningAttempt) -> str:
        """Return, once in a sweep, which metrics are taken from output if its file names none."""
        if self._is_noted:
            return ""
        taken = (atomic.read_json(attempt.run.metadata_file) or {}).get("taken")
        if not isinstance(taken, list) or not taken:
            return ""
        self._is_noted = True
        return f"the file names no metrics; taken from the output: {', '.join(map(str, taken))}"

    def is_doubtful(self, running: Collection[RunningAttempt]) -> bool:
        """Return whether all trials so far failed at once with the same message."""
        if self._works or len(self._failed) < ENOUGH:
            return False
        messages = [(record.reason or "").partition("\n")[0] for record in self._failed]
        kinds = {_VARYING.sub("", message) for message in messages}
        return len(kinds) == 1 and not any(map(_has_come_far, running))

    def may_start(
        self, candidates: Sequence[Candidate], running: Collection[RunningAttempt]
    ) -> list[int]:
        """Return the places of the candidates that may start.

        Those are all, unless the program has failed at once in every trial. Then it is the one
        whose config differs most from those that failed, and none while that one runs.
        """
        if not self.is_doubtful(running):
            return list(range(len(candidates)))
        if not candidates or any(attempt.record.number == self._last_try for attempt in running):
            return []
        failed = [record.config for record in self._failed]
        return [max(range(len(candidates)), key=lambda i: distance(candidates[i].config, failed))]

    def started(self, record: TrialRecord, running: Collection[RunningAttempt]) -> None:
        """Take in that a trial starts, maybe as the last try of the program."""
        if self.is_doubtful(running):
            self._last_try = record.number

    def ending(self, running: Collection[RunningAttempt], command: str) -> Ending | None:
        """Return why the sweep ends if its program fails at once in every trial.

        `command` is what continues the sweep.
        """
        failed = {record.number: record for record in self._failed}
        if self._last_try not in failed or not self.is_doubtful(running):
            return None
        last = failed[self._last_try]
        message = (last.reason or "").partition("\n")[0].rstrip(".")
        return Ending(
            f"the first {len(failed)} trials failed at once with the same message, also the one "
            f"that differs most ({last.name}), so the others do not start: {message}. Fix it and "
            f"run again: {command or 'the same command'} --retry-failed. Without --retry-failed "
            "only the others run",
            stops=True,
            exit_code=1,
        )

    def _overwritten(
        self, attempt: RunningAttempt, others: Collection[RunningAttempt]
    ) -> list[str]:
        """Return a warning if the trial and another wrote the same files.

        The time of a write shows who made it: a trial that did not run then did not. Two trials
        wrote a file if no single one can have made all writes that were seen.
        """
        written = (atomic.read_json(attempt.run.metadata_file) or {}).get("written")
        found: dict[str, set[int]] = {}
        for name, write in written.items() if isinstance(written, dict) else ():
            earlier = self._earlier_writers(str(name), write, attempt.record.number, others)
            if earlier:
                found[str(name)] = earlier
        if not found:
            return []
        names = ", ".join([*found][:_MOST_NAMED])
        names += f" and {len(found) - _MOST_NAMED} more files" if len(found) > _MOST_NAMED else ""
        numbers = sorted(set().union(*found.values()))
        whom = f"trial {numbers[0]}" if len(numbers) == 1 else "several other trials"
        return [
            f"{names}: written by this trial and {whom}, one over the other. Write workdir: copy, "
            "so that each has a folder of its own, or name ${run_dir} in the path that it writes"
        ]

    def _earlier_writers(
        self, name: str, write: Any, number: int, others: Collection[RunningAttempt]
    ) -> set[int]:
        """Take in one write; return who wrote the file before if another trial surely did."""
        try:
            at, size, inode = float(write[0]), int(write[1]), int(write[2])
        except (TypeError, ValueError, IndexError):
            return set()
        version = at, size, inode
        writers = self._running_at(at, others)
        file = self._files.get(name)
        if file is None:
            if writers:
                head = _head(self._folder / name, size)
                self._files[name] = _SharedFile(version, writers, head, {number: version})
            return set()
        file.versions[number] = version
        if file.seen == version or at < file.seen[0] or not writers:
            return set()
        # A file that only grows is shared on purpose: a log, a table to which each trial adds.
        grows = inode == file.seen[2] and size > file.seen[1]
        grows = grows and _head(self._folder / name, file.seen[1]) == file.head
        together = set() if grows else self._together(number, file, version)
        numbers = (writers | file.writers | together | {number}) & self._records.keys()
        known = [*map(self._records.__getitem__, numbers), *(other.record for other in others)]
        if together and any(_is_of(name, each) for each in known):
            together = set()
        before, file.seen = file.writers, version
        file.head = _head(self._folder / name, size)
        file.writers = before & writers
        if grows or file.is_reported or (file.writers and not together):
            file.writers = file.writers or writers
            return set()
        others_wrote = (before - {number} or before) if not file.writers else together
        file.writers, file.is_reported = writers, True
        return others_wrote

    def _together(
        self, number: int, file: _SharedFile, version: tuple[float, int, int]
    ) -> set[int]:
        """Return the trials that ran at the same time and saw another version of the file.

        All run the same program, so a name that holds nothing of one trial is the name for all.
        """
        own = self._intervals[number][-1]
        return {
            other
            for other, seen in file.versions.items()
            if other != number and seen != version
            and any(start < own[1] and own[0] < end for start, end in self._intervals[other])
        }  # fmt: skip

    def _running_at(self, at: float, others: Collection[RunningAttempt]) -> set[int]:
        """Return the trials that ran at a time."""
        running = {
            number
            for number, intervals in self._intervals.items()
            if any(start - _SLACK_S <= at <= end + _SLACK_S for start, end in intervals)
        }
        for attempt in others:
            start = parse_time(attempt.record.started_at)
            if start is not None and start - _SLACK_S <= at:
                running.add(attempt.record.number)
        return running


def _head(path: Path, size: int) -> bytes | None:
    """Return a digest of the first `size` bytes of a file, at most `_MOST_READ` of them."""
    try:
        with path.open("rb") as stream:
            return hashlib.blake2b(stream.read(min(size, _MOST_READ))).digest()
    except OSError:
        return None


def _is_of(path: str, record: TrialRecord) -> bool:
    """Return whether the path of a file holds something of one trial: a value, or its number."""
    parts = set(re.split(r"[^\w.]+|_|\.(?=[A-Za-z])", path))
    texts = {str(record.number), record.name}
    for name, value in record.config.items():
        if not isinstance(value, Mapping):
            texts |= {str(value), f"{name}{value}"}
    return bool(parts & texts)


def distance(config: Mapping[str, Any], others: Collection[Mapping[str, Any]]) -> float:
    """Return how far a config is from the nearest of others, parameter by parameter.

    A number counts by its distance on a logarithmic scale, anything else by being different.
    """
    return sum(
        min((_difference(value, other.get(name)) for other in others), default=0.0)
        for name, value in config.items()
    )


def _difference(value: Any, other: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float(value != other)
    if isinstance(other, bool) or not isinstance(other, int | float):
        return 1.0
    # From 0 to 1: a factor of 10 is a third, a change of sign is all.
    apart = abs(math.asinh(value * 1e6) - math.asinh(other * 1e6))
    return apart / (apart + 5.0)


def _ended_well(record: TrialRecord) -> bool:
    return record.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _has_come_far(attempt: RunningAttempt) -> bool:
    """Return whether a running attempt has come further than those that failed."""
    start = parse_time(attempt.record.started_at)
    is_long = start is not None and (parse_time(now()) or 0.0) - start >= AT_ONCE_S
    return not attempt.is_finished and (attempt.run.metrics_file.exists() or is_long)
