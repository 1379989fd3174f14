"""What was read of runs, so that a page that is computed again reads only those that changed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.analysis import Examination, Examined, examine
from orchestrator.analysis.measure import measure
from orchestrator.analysis.table import Incomplete, Row
from orchestrator.files import jsonl
from orchestrator.reporting.thinning import thin
from orchestrator.runs import RunDir, SweepDir
from orchestrator.runs.curves import tail
from orchestrator.runs.read import StoredRun

_MOST_POINTS = 200  # of each curve of a run that is remembered

_Version = tuple[tuple[int, int, int] | None, ...]


class Memory:
    """The runs that were read, each with the version of its files."""

    def __init__(self) -> None:
        self._measured: dict[Path, tuple[_Version, Row | Incomplete]] = {}
        self._examined: dict[Path, tuple[_Version, Examined]] = {}
        self._seconds: dict[Path, tuple[_Version, Mapping[int, float]]] = {}

    def measure(self, run: StoredRun, *settings: Any) -> Row | Incomplete:
        """Return the row of a run, as `measure` does with the same settings."""
        version = _version(run.path)
        known = self._measured.get(run.path)
        if known is not None and known[0] == version and run.state == known[1].state:
            return known[1]
        found = measure(run, *settings)
        if isinstance(found, Row) and found.run is not None:
            found = replace(found, run=replace(found.run))  # without the logs that were read
        self._measured[run.path] = version, found
        return found

    def examine(self, path: Path, wanted: Collection[Path] | None = None) -> Examination:
        """Return the curves and findings of the runs at a path.

        Of a sweep, only runs that are `wanted` are read; None for all.
        """
        if not SweepDir(path).trials_dir.is_dir():
            return examine(path)
        versions = {run.path: _version(run.path) for run in SweepDir(path).run_dirs()}
        known = {
            folder: one
            for folder, (version, one) in self._examined.items()
            if versions.get(folder) == version and one.run.state != "RUNNING"
        }
        skipped = set() if wanted is None else set(versions).difference(known, wanted)
        found = examine(path, known=known, skipped=skipped)
        for one in found.runs:
            if one.run.path in versions and one.run.path not in known:
                self._examined[one.run.path] = versions[one.run.path], _shortened(one)
        return found

    def seconds(self, folder: Path, one: Examined | None) -> Mapping[int, float]:
        """Return when each step of a curve was reported, in seconds since the first report.

        {} if that is unknown, or there is no curve.
        """
        if one is None:
            return {}
        version = _version(folder)
        known = self._seconds.get(folder)
        if known is None or known[0] != version:
            known = self._seconds[folder] = version, _seconds(folder, one)
        return known[1]


def _version(folder: Path) -> _Version:
    run = RunDir(folder)
    files = (run.state_file, run.metadata_file, run.metrics_file, run.predictions_file())
    return tuple(tail.file_version(file) for file in files)


def _shortened(one: Examined) -> Examined:
    """Return a run without reports that no figure would show, since a sweep may have a million."""
    steps = {step for name in one.run.names for step, _ in thin(one.run.series(name), _MOST_POINTS)}
    kept = tuple(report for report in one.run.reports if report[0] in steps)
    return replace(one, run=replace(one.run, reports=kept))


def _seconds(folder: Path, one: Examined) -> dict[int, float]:
    shown = {step for step, _ in one.run.reports}  # of a million reports, few
    times: dict[int, float] = {}
    start = math.inf
    for line in jsonl.iterate(RunDir(folder).metrics_file):
        step, time = line.get("step"), line.get("time")
        if isinstance(step, int) and isinstance(time, int | float) and math.isfinite(time):
            start = min(start, float(time))
            if step in shown:
                times[step] = float(time)
    return {step: time - start for step, time in times.items()}
