"""Collect what a report shows: the ranking, the learning curves, the findings, the sweeps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.analysis import Examined
from orchestrator.analysis.table import Comparison, Incomplete, Lineage, Row, compare
from orchestrator.errors import SweepError
from orchestrator.files import atomic
from orchestrator.metrics import unit
from orchestrator.reporting.attempts_log import Occupancy, occupancy
from orchestrator.reporting.remembered_runs import Memory
from orchestrator.runs import RunDir, SweepDir, TrialRecord, TrialState
from orchestrator.search import Importance, importance

Scalar = str | int | float | bool | None

_LABEL = 36  # characters from which a label is long


@dataclass(frozen=True)
class ReportedRun:
    """One run of a report, ranked or not."""

    label: str  # what tells it from the others: the values that vary, or the shortest path
    path: Path
    rank: int  # from 1; 0 if it is not ranked
    state: str  # of the trial; "" for a run of another tool
    config: Mapping[str, Any]  # nested names have dots
    metrics: Mapping[str, float]  # recomputed or logged
    row: Row | None = None
    problem: str = ""  # why it is not ranked
    examined: Examined | None = None  # its curves and findings; None if it logged none
    seconds: Mapping[int, float] = field(default_factory=dict)  # since its first report, by step
    lineage: Lineage = field(default_factory=Lineage)  # of a trial; empty for a run of another tool

    @property
    def reports(self) -> Sequence[tuple[int, dict[str, float]]]:
        """Step and metrics of every report; () if there is none."""
        return () if self.examined is None else self.examined.run.reports

    @property
    def link(self) -> str:
        """How it follows another trial: "promoted", "remedy", "resumed" or ""."""
        return self.lineage.link or ""

    @property
    def is_lost(self) -> bool:
        """True if its curve diverged."""
        return self.examined is not None and self.examined.diagnosis.is_lost


@dataclass(frozen=True)
class SweepText:
    """What the sweep's own files hold of it."""

    name: str
    description: str
    verdict: tuple[str, ...]  # why it ended early, and whether it is a success
    command: str
    spec: str  # the checked sweep file as JSON, without what is empty and without `env`
    placement: str
    environment: Mapping[str, str]  # versions, host and device of its first finished trial
    occupancy: Occupancy


@dataclass(frozen=True)
class Report:
    """Everything that one page shows."""

    title: str
    comparison: Comparison
    runs: tuple[ReportedRun, ...]  # a run keeps its color as long as it keeps its place
    varied: tuple[str, ...]  # parameters that differ between runs, the most varied first
    sentences: tuple[str, ...]  # what the runs show together
    sweeps: tuple[SweepText, ...]
    importance: tuple[Importance, ...]  # of the varied parameters for the ranking metric
    joined: Comparison | None = None  # with one row for all seeds of a config; None without seeds

    @property
    def best(self) -> ReportedRun | None:
        """The run that ranks first; None if none does."""
        return min((run for run in self.runs if run.rank), key=lambda run: run.rank, default=None)

    def short_label(self, run: ReportedRun) -> str:
        """Return a name for a legend or an axis: the values that vary instead of a long label."""
        names = [name for name in self.varied if name in run.config]
        if len(run.label) <= _LABEL or not names:
            return run.label
        words = [name.rpartition(".")[2].split("_") for name in names]
        keys = ["".join(word[:1] for word in own) if len(own) > 1 else own[0] for own in words]
        keys = keys if len(set(keys)) == len(keys) else names
        text = ", ".join(
            f"{key}={value:g}" if isinstance(value := run.config[name], float) else f"{key}={value}"
            for key, name in zip(keys, names, strict=True)
        )
        return text if len(text) < len(run.label) else run.label

    def unit(self, metric: str) -> str:
        """Return the unit of a metric; "" if unknown."""
        kinds = {run.row.kind for run in self.runs if run.row is not None}
        return unit(metric, kinds.pop() if len(kinds) == 1 else None)

    def with_unit(self, metric: str) -> str:
        """Return the label of an axis."""
        found = self.unit(metric)
        return f"{metric} [{found}]" if found else metric


def collect(
    paths: Sequence[Path],
    *,
    sort_by: str | None = None,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    with_importance: bool = True,
    memory: Memory | None = None,
    most_curves: int | None = None,
) -> Report:
    """Read everything at and below `paths` that a report shows.

    The arguments are those of `analysis.table.compare`, which ranks the runs. To estimate the
    importance of parameters takes seconds, so it can be left out. With a `memory`, runs that have
    not changed since the last call are not read again. To diagnose thousands of curves takes
    minutes: with `most_curves`, only those of running trials and of the best are read.

    Raises:
        NotFoundError: one of `paths` is not a folder.
        UsageError: no run has the metric `sort_by`.
    """
    memory = memory or Memory()
    rank = partial(
        compare, paths, sort_by=sort_by, kind=kind, data=data, measure_run=memory.measure
    )
    found = rank(single=True, on_progress=on_progress)
    groups = [row.lineage.group for row in found.rows if row.lineage.group is not None]
    has_seeds = len(groups) > len(set(groups))
    wanted = None if most_curves is None else _first(found, most_curves)
    examined, sentences = _examine(paths, memory, wanted)
    labels = _labels([*found.rows, *found.incomplete])
    runs = [
        *(_ranked(row, labels, examined, memory) for row in found.rows),
        *(_incomplete(item, labels, examined, memory) for item in found.incomplete),
    ]
    names = varied(runs)
    return Report(
        title=", ".join(path.resolve().name or str(path) for path in paths),
        comparison=found,
        runs=tuple(runs),
        varied=names,
        sentences=tuple(sentences),
        sweeps=tuple(_sweep_text(sweep) for sweep in _sweeps(found)),
        importance=_importance(runs, found.sort_by, names) if with_importance else (),
        joined=rank() if has_seeds else None,
    )


def _importance(
    runs: Sequence[ReportedRun], metric: str, names: Sequence[str]
) -> tuple[Importance, ...]:
    ranked = [run for run in runs if run.rank]
    values = [run.metrics.get(metric, math.nan) for run in ranked]
    return importance([run.config for run in ranked], values, names)


def _first(found: Comparison, most: int) -> list[Path]:
    """Return the folders of the runs whose curves come first: those that run, then the best."""
    runs = [item.path for item in found.incomplete if item.state == TrialState.RUNNING]
    others = [item.path for item in found.incomplete if item.state != TrialState.RUNNING]
    return [*runs, *(row.path for row in found.rows), *others][:most]


def _examine(
    paths: Sequence[Path], memory: Memory, wanted: Sequence[Path] | None
) -> tuple[dict[Path, Examined], list[str]]:
    """Return the curves and findings of every run folder that logged some."""
    by_path: dict[Path, Examined] = {}
    sentences: list[str] = []
    for path in paths:
        for part in _parts(path):
            try:
                examination = memory.examine(part, wanted)
            except SweepError:
                continue  # nothing here was logged, which the table shows
            for one in examination.runs:
                place = one.run.path.resolve()
                by_path[place if place.is_dir() else place.parent] = one
            sentences += examination.together
    return by_path, sentences


def _parts(path: Path) -> list[Path]:
    """Return the sweeps in a results folder, or the path itself if it is none."""
    if SweepDir(path).trials_dir.is_dir() or not path.is_dir():
        return [path]
    sweeps = [child for child in sorted(path.iterdir()) if SweepDir(child).trials_dir.is_dir()]
    return sweeps or [path]


def _ranked(
    row: Row, labels: Mapping[Path, str], examined: Mapping[Path, Examined], memory: Memory
) -> ReportedRun:
    one = examined.get(row.path.resolve())
    return ReportedRun(
        label=labels[row.path],
        path=row.path,
        rank=row.rank,
        state=row.state or "",
        config=row.config,
        metrics={**row.logged, **row.metrics},
        row=row,
        examined=one,
        seconds=memory.seconds(row.path, one),
        lineage=row.lineage,
    )


def _incomplete(
    item: Incomplete, labels: Mapping[Path, str], examined: Mapping[Path, Examined], memory: Memory
) -> ReportedRun:
    one = examined.get(item.path.resolve())
    record = TrialRecord.load(RunDir(item.path)) if one is None and item.state else None
    missing = f"missing {', '.join(item.missing)}" if item.missing else ""
    return ReportedRun(
        label=labels[item.path],
        path=item.path,
        rank=0,
        state=item.state or "",
        config=one.run.config if one is not None else record.config if record is not None else {},
        metrics=one.run.reports[-1][1]
        if one is not None and item.state == TrialState.RUNNING
        else {},
        problem=item.problem or missing,
        examined=one,
        seconds=memory.seconds(item.path, one),
        lineage=item.lineage,
    )


def _labels(items: Sequence[Row | Incomplete]) -> dict[Path, str]:
    """Return a name for each run: its trial's, with folders before it until all differ."""
    labels = {item.path: item.trial or item.path.name for item in items}
    depth = 1
    while len(set(labels.values())) < len(labels):
        depth += 1
        counts: dict[str, int] = {}
        for label in labels.values():
            counts[label] = counts.get(label, 0) + 1
        longer = {
            path: "/".join(path.resolve().parts[-depth:]) if counts[label] > 1 else label
            for path, label in labels.items()
        }
        if longer == labels:
            break
        labels = longer
    return labels


def varied(runs: Sequence[ReportedRun]) -> tuple[str, ...]:
    """Return the parameters that differ between runs, the most varied first."""
    values: dict[str, set[str]] = {}
    with_config = [run for run in runs if run.config]
    for run in with_config:
        for name, value in run.config.items():
            values.setdefault(name, set()).add(repr(value))
    for name, found in values.items():
        if any(name not in run.config for run in with_config):
            found.add("(absent)")
    counts = {name: len(found) for name, found in values.items() if len(found) > 1}
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def _sweeps(found: Comparison) -> list[SweepDir]:
    folders = {row.path.parent.parent for row in found.rows if row.sweep is not None}
    folders |= {item.path.parent.parent for item in found.incomplete if item.sweep is not None}
    return [SweepDir(folder) for folder in sorted(folders)]


def _sweep_text(sweep: SweepDir) -> SweepText:
    record: dict[str, Any] = atomic.read_json(sweep.state_file) or {}
    plan: dict[str, Any] = atomic.read_json(sweep.plan_file) or {}
    spec: dict[str, Any] = atomic.read_json(sweep.spec_file) or {}
    growth = (record.get("placement") or {}).get("growth")
    gains = [f"{device}: {text}" for device, text in growth.items()] if growth else []
    program = spec.get("program")
    if isinstance(program, dict):
        program.pop("env", None)  # it may hold secrets, and a report is passed on
    return SweepText(
        name=str(record.get("sweep") or sweep.name),
        description=str(spec.get("description") or ""),
        verdict=_verdict(record),
        command=str(record.get("command") or ""),
        spec=json.dumps(_filled(spec), indent=2, ensure_ascii=False),
        placement="; ".join(text for text in (str(plan.get("reason") or ""), *gains) if text),
        environment=_environment(sweep),
        occupancy=occupancy(sweep),
    )


def _verdict(record: Mapping[str, Any]) -> tuple[str, ...]:
    course = record.get("course") or {}
    success = course.get("success")
    words = success.get("words") if isinstance(success, dict) else None
    return tuple(str(text) for text in (record.get("reason"), words) if text)


def _environment(sweep: SweepDir) -> dict[str, str]:
    """Return where the first trial that wrote it down ran, and with which versions."""
    for run in sweep.run_dirs():
        metadata = atomic.read_json(run.metadata_file)
        if isinstance(metadata, dict) and isinstance(metadata.get("versions"), dict):
            places = {name: metadata.get(name) for name in ("host", "device", "device_name")}
            known = {**places, "commit": metadata.get("commit"), **metadata["versions"]}
            return {str(name): str(value) for name, value in known.items() if value}
    return {}


def _filled(value: Any) -> Any:
    """Return nested JSON without what is empty."""
    if isinstance(value, dict):
        kept = {name: _filled(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, "", [], {})}
    return value
