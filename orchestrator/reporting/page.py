"""Render a report as one HTML page that needs neither network nor server."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator.analysis import Examined, Target
from orchestrator.files import plain
from orchestrator.reporting.content import Report, ReportedRun
from orchestrator.reporting.figures import COLORS, Drawing, draw, is_number, style_of

if TYPE_CHECKING:
    import jinja2

_MOST_METRICS = 8  # columns that are shown at first
_MOST_PARAMETERS = 6


@dataclass(frozen=True)
class TableColumn:
    """One column of the table: its heading, and for each run a value to sort by and a text."""

    title: str
    cells: tuple[tuple[Any, str], ...]
    is_shown: bool = True
    is_number: bool = False
    unit: str = ""


def render(report: Report) -> str:
    """Return the page."""
    from plotly.offline import get_plotlyjs

    drawings = draw(report)
    return template("report.html").render(
        **context(report, drawings),
        figures=_json({drawing.id: plotly_of(drawing) for drawing in drawings}),
        plotly=get_plotlyjs(),
    )


@cache
def template(name: str) -> jinja2.Template:
    """Return one of the templates of this package."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orchestrator.reporting"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = number_text
    return environment.get_template(name)


def context(report: Report, drawings: Sequence[Drawing]) -> dict[str, Any]:
    """Return what the template shows, without the figures themselves."""
    sections: dict[str, list[Drawing]] = {}
    for drawing in drawings:
        sections.setdefault(drawing.section, []).append(drawing)
    return {
        "report": report,
        "best": report.best,
        "shown": list(enumerate(report.runs)),
        "columns": _columns(report),
        "sections": sections,
        "targets": _targets(report),
        "findings": [run for run in report.runs if _findings(run.examined)],
        "findings_of": _findings,
        "problems": Counter(run.problem for run in report.runs if run.problem),
        "has_ties": any(run.row.tied for run in report.runs if run.row and run.rank > 1),
        "joined_value": _joined_value(report),
        "swatch": style_of,
        "groups": _groups(report),
        "colors": COLORS,
        "configs": _json([varied_of(report, run) for run in report.runs]),
        "to_stop": lambda run: None,
    }


def number_text(value: Any) -> str:
    """Return a value for people: four significant digits for numbers that are not whole."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "–"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    return str(value)


def _columns(report: Report) -> list[TableColumn]:
    """Return what varies and what ranks first; constants are not shown at first."""
    runs, comparison = report.runs, report.comparison
    aims = [name for run in runs if run.row for name in run.row.targets]
    logged = {name for run in runs if run.row for name in run.row.logged}
    others = sorted((n for run in runs for n in run.metrics), key=logged.__contains__)
    metrics = list(dict.fromkeys([comparison.sort_by, *aims, *others]))  # recomputed ones first
    parameters = list(dict.fromkeys([*report.varied, *(n for run in runs for n in run.config)]))
    first_metrics = [name for name in metrics if any(name in run.metrics for run in runs)]
    columns = [
        TableColumn("rank", tuple(map(_rank, runs)), is_number=True),
        _column("run", [run.label for run in runs]),
        _column("state", [_state(run) for run in runs], any(run.state for run in runs)),
    ]
    if len(stages := {run.lineage.stage for run in runs}) > 1 and stages - {None, ""}:
        columns.append(_column("stage", [run.lineage.stage or "" for run in runs]))
    shown_metrics = [name for name in first_metrics if name != "lr"][:_MOST_METRICS]

    def metric(name: str) -> TableColumn:
        column = _column(
            name,
            [run.metrics.get(name) for run in runs],
            name in shown_metrics,
            report.unit(name),
        )
        marks = [_mark(run, name) for run in runs]
        cells = [
            (value, text + mark) for (value, text), mark in zip(column.cells, marks, strict=True)
        ]
        return replace(column, cells=tuple(cells))

    columns += map(metric, first_metrics[:1])
    intervals = [run.row.interval if run.row else None for run in runs]
    if any(intervals):
        texts = [f"{one.low:.4g} to {one.high:.4g}" if one else "–" for one in intervals]
        lows = [one.low if one else None for one in intervals]
        columns.append(TableColumn("95 %", tuple(zip(lows, texts, strict=True)), is_number=True))
    columns += [
        _column(name, [run.config.get(name) for run in runs])
        for name in parameters
        if name in report.varied[:_MOST_PARAMETERS]
    ]
    columns += map(metric, first_metrics[1:])
    columns += [
        _column(name, [run.config.get(name) for run in runs], False)
        for name in parameters
        if name not in report.varied[:_MOST_PARAMETERS]
    ]
    return columns


def _mark(run: ReportedRun, name: str) -> str:
    """Return the sign of a target that the run meets or misses."""
    target = run.row.targets.get(name) if run.row is not None else None
    return "" if target is None or target.met is None else f" {'✓' if target.met else '✗'}"


def _rank(run: ReportedRun) -> tuple[int | None, str]:
    if not run.rank:
        return None, "–"
    is_tied = run.rank > 1 and run.row is not None and run.row.tied
    return run.rank, f"{run.rank} ≈" if is_tied else str(run.rank)


def _column(
    title: str, values: Sequence[Any], is_shown: bool = True, unit: str = ""
) -> TableColumn:
    cells = tuple((value if is_number(value) else None, number_text(value)) for value in values)
    numeric = all(value is None or isinstance(value, float) or is_number(value) for value in values)
    return TableColumn(title, cells, is_shown, numeric, unit)


def _state(run: ReportedRun) -> str:
    text = run.problem or ("diverged" if run.is_lost else run.state)
    return text.lower() if text == run.state else text


def _targets(report: Report) -> list[dict[str, Any]]:
    """Return each target with the value of the best run and how many runs meet it."""
    best = report.best
    if best is None or best.row is None:
        return []
    rows = []
    for name, target in {**best.row.targets, **best.row.expected}.items():
        tally = report.comparison.tallies.get(name)
        rows.append(
            {
                "name": name,
                "bound": target.bound,
                "value": target.value,
                "met": target.met,
                "missed_by": _missed_by(target),
                "count": f"{tally.met} of {tally.judged}" if tally is not None else "",
            }
        )
    return rows


def _missed_by(target: Target) -> str:
    distance = target.distance
    return f", by {number_text(abs(distance))}" if distance is not None and not target.met else ""


def _joined_value(report: Report) -> str:
    """Return the mean and spread of the config that is best over its seeds; "" without seeds."""
    if report.joined is None or not report.joined.rows:
        return ""
    row, metric = report.joined.rows[0], report.joined.sort_by
    spread = row.spread.get(metric)
    of_seeds = f" ± {spread.deviation:.2g} ({spread.n} seeds)" if spread is not None else ""
    return f"{metric} {number_text(row.metrics.get(metric))}{of_seeds}"


def _groups(report: Report) -> list[dict[str, Any]]:
    """Return the parameters by which runs can be grouped; with replicates all but the seed are."""
    rows = [run.row for run in report.runs if run.row is not None]
    seeds = {row.info.seed_parameter for row in rows}
    groups = [(row.sweep, row.lineage.group) for row in rows if row.lineage.group is not None]
    has_replicates = len(groups) > len(set(groups))
    names = [name for name in report.varied if any(name in run.config for run in report.runs)]
    return [{"name": name, "is_chosen": has_replicates and name not in seeds} for name in names]


def varied_of(report: Report, run: ReportedRun) -> dict[str, Any]:
    """Return the label and the varied parameters of a run, by which a page groups runs."""
    config = {name: number_text(run.config[name]) for name in report.varied if name in run.config}
    return {"label": run.label, "config": config}


def _findings(examined: Examined | None) -> tuple[Any, ...]:
    return () if examined is None else examined.diagnosis.findings


def plotly_of(drawing: Drawing) -> dict[str, Any]:
    """Return a figure as a page draws it, in JSON types."""
    import json

    drawing.figure.update_layout(template="none")
    known: dict[str, Any] = json.loads(drawing.figure.to_json())
    return {
        "data": known["data"],
        "layout": known["layout"],
        "log": drawing.has_log,
        "time": drawing.has_time,
    }


def _json(value: Any) -> Any:
    """Return JSON that may be put into a script element: no text in it can end the element."""
    import json

    import markupsafe

    text = json.dumps(plain(value), ensure_ascii=True, separators=(",", ":"))
    return markupsafe.Markup(text.replace("<", "\\u003c").replace(">", "\\u003e"))
