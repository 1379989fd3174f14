"""What the trials of a person's own program tell of it together.

A program that fails at once in every trial need not run in the others; and one whose trials write
the same file leaves one of them with what is another's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.engine.attempts import UnderWay
from orchestrator.engine.queue.decisions import Ending
from orchestrator.files import atomic
from orchestrator.runs import TrialRecord, TrialState, now
from orchestrator.sweepfile.model import Spec

AT_ONCE_S = 60.0
"""A trial that fails within so long, and without a report, fails at once."""
ENOUGH = 3
"""So many such failures, with no other outcome, are the program's and not the trials'."""

# What differs between messages of one kind: times, values, what stands in quotes.
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|=\S*|\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# Clocks of file systems are coarser than ours, and times are rounded.
_SLACK_S = 0.05
_MOST_NAMED = 3

_Window = tuple[float, float]


@dataclass
class _File:
    """What was seen of one file.

    Attributes:
        seen: time, size and inode of the write that was seen last.
        by: the trials any of which may have made all writes so far.
        told: True once it was reported.
    """

    seen: tuple[float, int, int]
    by: set[int] = field(default_factory=set)
    told: bool = False


class Scripts:
    """Watches over the trials of a program; does nothing where a trainer runs them.

    Args:
        spec: what was asked.
        records: all trials by number; the conductor's own mapping.
        live: the attempts under way; the conductor's own mapping.
    """

    def __init__(
        self, spec: Spec, records: Mapping[int, TrialRecord], live: Mapping[str, UnderWay]
    ) -> None:
        self._is_script = spec.program is not None
        self._shares = spec.program is not None and not spec.program.copies
        self._live = live
        self._works = any(
            record.state in (TrialState.COMPLETE, TrialState.PRUNED) for record in records.values()
        )
        self._failed: list[TrialRecord] = []
        self._windows: dict[int, list[_Window]] = {}
        self._files: dict[str, _File] = {}

    def ended(self, live: UnderWay) -> list[str]:
        """Take in that an attempt is gone; return what its user should know."""
        if not self._is_script:
            return []
        record = live.record
        if record.state in (TrialState.COMPLETE, TrialState.PRUNED) or _has_reports(live):
            self._works = True
        elif record.state is TrialState.FAIL and _took_s(record) < AT_ONCE_S:
            self._failed.append(record)
        elif record.state is TrialState.FAIL:
            self._works = True  # it came a long way
        return self._overwritten(live) if self._shares else []

    @property
    def ending(self) -> Ending | None:
        """Why the sweep ends, where its program fails at once in every trial."""
        if self._works or len(self._failed) < ENOUGH:
            return None
        kinds = {_VARYING.sub("", _first_line(record)) for record in self._failed}
        if len(kinds) > 1 or any(map(_is_on_its_way, self._live.values())):
            return None
        said = _first_line(self._failed[-1]).rstrip(".")
        return Ending(
            f"the first {len(self._failed)} trials failed at once, all with the same words, so the "
            f"others do not start: {said}. Mend it and run again with --retry-failed",
            stops=True,
            exit_code=1,
        )

    def _overwritten(self, live: UnderWay) -> list[str]:
        """Return a warning where the trial and another wrote the same files.

        Who wrote a file is known by when: a trial that did not run then did not. Two trials wrote
        it where no single one can have made all writes that were seen.
        """
        record = live.record
        window = _window(record)
        if window is None:
            return []
        self._windows.setdefault(record.number, []).append(window)
        written = (atomic.read_json(live.run.metadata_file) or {}).get("written")
        found: dict[str, set[int]] = {}
        for name, facts in written.items() if isinstance(written, dict) else ():
            others = self._note(str(name), facts, record.number)
            if others:
                found[str(name)] = others
        if not found:
            return []
        names = ", ".join([*found][:_MOST_NAMED])
        names += f" and {len(found) - _MOST_NAMED} more files" if len(found) > _MOST_NAMED else ""
        numbers = sorted(set().union(*found.values()))
        whom = f" (trial {numbers[0]} among them)" if len(numbers) == 1 else ""
        return [
            f"{names}: written by several trials{whom}, one over the other. With workdir: copy "
            "each trial has a folder of its own"
        ]

    def _note(self, name: str, facts: Any, number: int) -> set[int]:
        """Take in one write; return who wrote the file before where another trial surely did."""
        try:
            at, size, inode = float(facts[0]), int(facts[1]), int(facts[2])
        except (TypeError, ValueError, IndexError):
            return set()
        by = self._running_at(at)
        file = self._files.get(name)
        if file is None:
            if by:
                self._files[name] = _File((at, size, inode), by)
            return set()
        if file.seen == (at, size, inode) or at < file.seen[0] or not by:
            return set()
        # What only grows is shared on purpose: a log, a table to which each trial adds a line.
        grows = inode == file.seen[2] and size > file.seen[1]
        before, file.seen = file.by, (at, size, inode)
        file.by = before & by
        if file.by or grows or file.told:
            file.by = file.by or by
            return set()
        file.by, file.told = by, True
        return before - {number} or before

    def _running_at(self, at: float) -> set[int]:
        """Return the trials that ran at a time."""
        running = {
            number
            for number, windows in self._windows.items()
            if any(start - _SLACK_S <= at <= end + _SLACK_S for start, end in windows)
        }
        for live in self._live.values():
            start = _seconds(live.record.started_at)
            if start is not None and start - _SLACK_S <= at:
                running.add(live.record.number)
        return running


def _has_reports(live: UnderWay) -> bool:
    return live.run.metrics_file.exists()


def _is_on_its_way(live: UnderWay) -> bool:
    """Tell whether an attempt that runs has come further than those that failed."""
    start = _seconds(live.record.started_at)
    is_long = start is not None and (_seconds(now()) or 0.0) - start >= AT_ONCE_S
    return not live.finished and (_has_reports(live) or is_long)


def _first_line(record: TrialRecord) -> str:
    return (record.reason or "").partition("\n")[0]


def _took_s(record: TrialRecord) -> float:
    window = _window(record)
    return 0.0 if window is None else window[1] - window[0]


def _window(record: TrialRecord) -> _Window | None:
    start, end = _seconds(record.started_at), _seconds(record.ended_at)
    return None if start is None or end is None else (start, end)


def _seconds(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
