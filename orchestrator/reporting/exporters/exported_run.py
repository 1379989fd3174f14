"""One run as every exporter gets it, and what an exporter is."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.files import atomic, jsonl, plain
from orchestrator.files.discover import records
from orchestrator.reporting.content import Report, ReportedRun
from orchestrator.runs import RunDir

_STATE_FILE = ".sweep-export.json"

Point = tuple[int, float, Mapping[str, float]]
"""Step, time in seconds since 1970, and metrics of one report."""


@dataclass(frozen=True)
class ExportedRun:
    """One run, ranked or not.

    Attributes:
        sweep: the sweep's name; that of the exported folder for a run of another tool.
        name: unique among the runs of its sweep.
        state: as in `ReportedRun`.
        summary: metrics that are recomputed from arrays, or the best or last logged ones.
    """

    sweep: str
    name: str
    path: str
    state: str
    config: Mapping[str, Any]
    points: Sequence[Point]
    summary: Mapping[str, float]

    @property
    def identity(self) -> str:
        """A text of 32 hexadecimal digits that every export gives this run."""
        return hashlib.sha256(f"{self.sweep}/{self.name}".encode()).hexdigest()[:32]

    @property
    def digest(self) -> str:
        """A text that changes when anything of the run does."""
        content = json.dumps(plain(asdict(self)), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def is_over(self) -> bool:
        """True if it will not report again; not known of a run of another tool."""
        return self.state not in ("RUNNING", "WAITING")

    @property
    def started(self) -> float:
        """Seconds since 1970; 0 before its first report."""
        return self.points[0][1] if self.points else 0.0

    @property
    def ended(self) -> float:
        """The time of its last report, likewise."""
        return self.points[-1][1] if self.points else 0.0


@dataclass(frozen=True)
class Exporter:
    """One format.

    Attributes:
        write: writes one run into a folder, in place of what an earlier export wrote of it, which
            is the second argument, a path inside the folder or ""; returns the new path. It raises
            a `SweepError` if a package is missing.
        opens: the command that shows the folder, with ``{folder}``.
    """

    name: str
    write: Callable[[ExportedRun, str, Path], str]
    opens: str

    def export(self, runs: Sequence[ExportedRun], folder: Path) -> tuple[int, int]:
        """Write what has changed; return how many runs were written, and how many were not."""
        folder.mkdir(parents=True, exist_ok=True)
        known = atomic.read_json(folder / _STATE_FILE) or {}
        written = 0
        for run in runs:
            before = known.get(run.identity)
            digest, path = before if isinstance(before, list) and len(before) == 2 else ("", "")
            if digest == run.digest and (folder / path).exists():
                continue
            known[run.identity] = [run.digest, self.write(run, path, folder)]
            atomic.write_json(folder / _STATE_FILE, known)
            written += 1
        return written, len(runs) - written


@cache
def all_exporters() -> Mapping[str, Exporter]:
    """Return every exporter by name."""
    return {one.name: one for one in records("orchestrator.reporting.exporters", "EXPORTER")}


def runs_of(report: Report) -> list[ExportedRun]:
    """Return the runs of a report; those without a report or a metric are left out."""
    found = [_run(run, report.title) for run in report.runs]
    return [run for run in found if run.points or run.summary]


def safe_part(text: str) -> str:
    """Return `text` as one part of a path; two texts never become the same one."""
    kept = "".join(letter if letter.isalnum() or letter in "-_.=+," else "_" for letter in text)
    kept = kept.strip(".")[:100]
    if kept == text:
        return kept
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{kept or 'run'}-{digest}"


def _run(run: ReportedRun, title: str) -> ExportedRun:
    is_ours = run.row is not None and run.row.sweep
    sweep = run.row.sweep if run.row is not None and is_ours else ""
    if not sweep and run.path.parent.name == "trials":
        sweep = run.path.parent.parent.name
    began = _began(run.path)
    return ExportedRun(
        sweep=str(plain(sweep or title)),
        name=str(plain(run.path.name if sweep else run.label)),
        path=str(plain(run.path.absolute())),
        state=run.state,
        config=run.config,
        points=[
            (step, began + run.seconds.get(step, 0.0), _finite(metrics))
            for step, metrics in run.reports
        ],
        summary=_finite(run.metrics),
    )


def _began(folder: Path) -> float:
    """Return when a run reported first, in seconds since 1970; for other tools, when it ended."""
    first = next(iter(jsonl.read(RunDir(folder).metrics_file)), {}).get("time")
    if isinstance(first, int | float) and not isinstance(first, bool):
        return float(first)
    return folder.stat().st_mtime if folder.exists() else 0.0


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
