"""What the live page of one sweep shows, and which parts of it a change concerns.

A page consists of parts (HTML by name), rows of the table (HTML by place) and figures, whose traces
are known by a hash of their content. So only what differs is sent: a part, a row, or a trace.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.table import Comparison
from orchestrator.files import plain
from orchestrator.reporting.content import Report, ReportedRun, varied
from orchestrator.reporting.dashboard.follower import Changes
from orchestrator.reporting.figures import draw
from orchestrator.reporting.page import context, plotly_of, template, varied_of
from orchestrator.runs import RunDir, SweepDir, SweepRecord, SweepState, TrialState

Message = dict[str, Any]

_PARTS = ("header", "verdict", "columns", "heading", "drawings", "findings", "sweeps")


@dataclass(frozen=True)
class Figure:
    """A figure as a browser draws it: its traces in order, by the hash of their content."""

    frame: Mapping[str, Any]  # layout, and what the page can switch
    order: tuple[str, ...] = ()
    traces: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A report as its page shows it."""

    report: Report
    parts: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[int, str] = field(default_factory=dict)
    runs: Mapping[int, Any] = field(default_factory=dict)  # by which the page groups them
    figures: Mapping[str, Figure] = field(default_factory=dict)


def build(report: Report, state: str) -> Built:
    """Return everything that the page shows of a report."""
    drawings = draw(report)
    figures = {}
    for drawing in drawings:
        frame = plotly_of(drawing)
        traces = {_hash(trace): trace for trace in frame.pop("data")}
        figures[drawing.id] = Figure(frame, tuple(traces), traces)
    shown = _context(report, state, drawings)
    page = template("report.html")
    parts = {name: _block("report.html", name, shown) for name in _PARTS if name in page.blocks}
    parts["status"] = template("status.html").render(shown)
    return Built(report, parts, _rows(shown), _runs(report), figures)


def first_page(
    sweep: SweepDir, changes: Changes, place_of: Mapping[Path, int], state: str
) -> Built:
    """Return a page with the records of a sweep alone, which is there at once."""
    known = SweepRecord.load(sweep)
    metric, goal = ("", "") if known is None else (known.metric or "", known.goal or "")
    nothing = Comparison((), (), metric, goal, "", 0)
    report = with_changes(Report(sweep.name, nothing, (), (), (), (), ()), changes, place_of)
    return rebuild(Built(report), replace(report, varied=varied(report.runs)), state)


def rebuild(old: Built, report: Report, state: str) -> Built:
    """Return a page whose table shows other runs; its figures stay until it is built again."""
    shown = _context(report, state, ())
    parts = {name: _block("report.html", name, shown) for name in ("columns", "heading")}
    parts["status"] = template("status.html").render(shown)
    return replace(
        old,
        report=report,
        parts={**old.parts, **parts},
        rows=_rows(shown),
        runs=_runs(report),
    )


def run_details(report: Report, place: int) -> str:
    """Return the HTML of what the page shows of one run when it is opened."""
    shown = context(report, ())
    return _block("report.html", "dialogs", {**shown, "shown": [(place, report.runs[place])]})


def difference(old: Built | None, new: Built) -> Message:
    """Return what a browser that shows `old` needs to show `new`."""
    if old is None:
        old = Built(new.report)
    figures: dict[str, Any] = {name: None for name in old.figures if name not in new.figures}
    for name, figure in new.figures.items():
        before = old.figures.get(name, Figure({}))
        if figure.order != before.order or figure.frame != before.frame:
            added = {key: each for key, each in figure.traces.items() if key not in before.traces}
            figures[name] = {**figure.frame, "order": figure.order, "traces": added}
    message = {
        "parts": _changed(old.parts, new.parts),
        "rows": _changed(old.rows, new.rows),
        "runs": _changed(old.runs, new.runs),
        "figures": figures,
    }
    return {name: changed for name, changed in message.items() if changed}


def _changed(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in new.items() if old.get(name) != value}


def with_changes(report: Report, changes: Changes, place_of: Mapping[Path, int]) -> Report:
    """Return the report with the states of changed trials, and the last values of running ones."""
    runs, metric = list(report.runs), report.comparison.sort_by
    for run, record in changes.records.items():
        place = place_of[run.path]
        state, reason = record.state.value, (record.reason or "").partition("\n")[0]
        problem = f"{state}: {reason}" if reason else ""
        if place < len(runs):
            known = runs[place]
            if known.state != state:
                runs[place] = replace(known, state=state, problem=problem)
        else:
            new = ReportedRun(
                label=record.name,
                path=run.path,
                rank=0,
                state=state,
                config=record.config,
                metrics={metric: record.value} if metric and record.value is not None else {},
                problem=problem,
            )
            runs.append(new)
    for run, reports in changes.reports.items():
        place = place_of[run.path]
        if place < len(runs) and runs[place].state == TrialState.RUNNING:
            last = {name: value for report in reports for name, value in report.metrics.items()}
            runs[place] = replace(runs[place], metrics={**runs[place].metrics, **last})
    return replace(report, runs=tuple(runs))


def points(changes: Changes, place_of: Mapping[Path, int]) -> list[Any]:
    """Return the new points of all curves: place, series, steps, values and seconds of each."""
    found = []
    for run, reports in changes.reports.items():
        names = dict.fromkeys(name for report in reports for name in report.metrics)
        for name in names:
            own = [report for report in reports if name in report.metrics]
            values = [_finite(report.metrics[name]) for report in own]
            steps, seconds = [one.step for one in own], [one.seconds for one in own]
            found.append([place_of[run.path], name, steps, values, seconds])
    return found


def _finite(value: float) -> float | None:
    return value if value - value == 0 else None


def _context(report: Report, state: str, drawings: Sequence[Any]) -> dict[str, Any]:
    counts = Counter(run.state.lower() for run in report.runs if run.state)
    return {
        **context(report, drawings),
        "to_stop": _to_stop if state == SweepState.RUNNING else lambda run: None,
        "state": state,
        "counts": counts,
    }


def _to_stop(run: ReportedRun) -> int | None:
    """Return the number of a trial that may be stopped, else None."""
    can_end = run.state in (TrialState.RUNNING, TrialState.WAITING)
    return RunDir(run.path).number if can_end else None


def _runs(report: Report) -> dict[int, Any]:
    return {place: varied_of(report, run) for place, run in enumerate(report.runs)}


def _rows(shown: Mapping[str, Any]) -> dict[int, str]:
    return {
        place: _block("report.html", "rows", {**shown, "shown": [(place, run)]})
        for place, run in shown["shown"]
    }


def _block(page: str, name: str, shown: Mapping[str, Any]) -> str:
    found = template(page)
    return "".join(found.blocks[name](found.new_context(dict(shown)))).strip()


def _hash(trace: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(plain(trace)).encode(), digest_size=9).hexdigest()
