"""Follow a sweep's folder: return which trials changed and what they reported since the last look.

A look costs one `stat` for each trial and reads only what is new: it can be taken twice a second.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.files import jsonl
from orchestrator.runs import RunDir, SweepDir, SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.runs.curves import tail


@dataclass(frozen=True)
class Reported:
    """One report of one trial."""

    step: int
    seconds: float | None  # since the trial's first report, if known
    metrics: dict[str, float]


@dataclass(frozen=True)
class Changes:
    """What is new since the last look."""

    records: dict[RunDir, TrialRecord] = field(default_factory=dict)
    reports: dict[RunDir, list[Reported]] = field(default_factory=dict)
    state: SweepState | None = None  # None if it has not changed

    def __bool__(self) -> bool:
        return bool(self.records or self.reports or self.state)


class Follower:
    """What is known of a sweep's folder, as far as it was looked at."""

    def __init__(self, sweep: SweepDir) -> None:
        self._sweep = sweep
        self._versions: dict[str, tuple[int, int, int] | None] = {}  # of the record, by folder
        self._logs: dict[RunDir, _Log] = {}  # of the trials that run
        self._state: SweepState | None = None

    def look(self) -> Changes:
        """Return what has changed since the last look; at the first, every record."""
        is_first = self._state is None
        record = SweepRecord.load(self._sweep)
        state = SweepState.INTERRUPTED if record is None else record.state_now(self._sweep)
        has_turned, self._state = state is not self._state, state
        records = {}
        for run in self._changed():
            found = TrialRecord.load(run)
            if found is None:
                continue
            found.state, found.reason = found.state_now(state is SweepState.RUNNING)
            records[run] = found
            if run not in self._logs:
                # What was logged before the first look is in the report.
                self._logs[run] = _Log(run, skip=is_first)
        reports = {run: new for run, log in self._logs.items() if (new := list(log.reports()))}
        for run, found in records.items():
            if found.state is not TrialState.RUNNING:
                del self._logs[run]  # it was read to its end above
        return Changes(records, reports, state if has_turned else None)

    def _changed(self) -> Iterator[RunDir]:
        """Yield the run directories whose record was written since the last look."""
        try:
            entries = sorted(os.scandir(self._sweep.trials_dir), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            run = RunDir(self._sweep.trials_dir / entry.name)
            version = tail.file_version(run.state_file)
            if version is not None and version != self._versions.get(entry.name):
                self._versions[entry.name] = version
                if run.number is not None:
                    yield run


class _Log:
    """The log of one trial."""

    def __init__(self, run: RunDir, *, skip: bool) -> None:
        before = tail.mark(run.metrics_file) if skip else None
        self._lines = tail.GrowingLines(run.metrics_file, before)
        self._run = run
        self._start: float | None = None

    def reports(self) -> Iterator[Reported]:
        """Yield what was reported since the last call."""
        for lines, _ in self._lines.lines():
            for line in lines:
                try:
                    content = json.loads(line)
                    step, time = int(content["step"]), content.get("time")
                    metrics = {
                        str(name): float(value) for name, value in content["metrics"].items()
                    }
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    continue
                yield Reported(step, self._seconds(time), metrics)

    def _seconds(self, time: object) -> float | None:
        if not isinstance(time, int | float):
            return None
        if self._start is None:
            first = jsonl.parse(tail.first_lines(self._run.metrics_file)[0].encode())
            start = first[0].get("time") if first else None
            self._start = start if isinstance(start, int | float) else time
        return time - self._start
