"""Draw the results of the runs: each metric, the best so far, and one stage against the next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.metrics import goal
from orchestrator.reporting.content import Report, ReportedRun
from orchestrator.reporting.figures.drawing import Drawing
from orchestrator.reporting.figures.style import COLORS, LABEL, plain, style_of

_MOST_BARS = 40
_MOST_METRICS = 20


def bars(report: Report) -> Iterator[Drawing]:
    """Yield a figure for each metric that several ranked runs have, the best run first."""
    first = report.comparison.sort_by
    names = dict.fromkeys([first, *sorted({name for run in report.runs for name in run.metrics})])
    drawn = 0
    for name in names:
        shown = _sorted(report, name)
        if len(shown) < 2 or drawn == _MOST_METRICS:
            continue
        drawn += 1
        yield Drawing(
            f"bars-{name}",
            name,
            "Results",
            _bars(report, name, shown[:_MOST_BARS]),
            is_wide=True,
            note=f"the best {_MOST_BARS} of {len(shown):,}" if len(shown) > _MOST_BARS else "",
        )


def _sorted(report: Report, name: str) -> list[tuple[int, ReportedRun]]:
    shown = [
        (place, run)
        for place, run in enumerate(report.runs)
        if run.rank and math.isfinite(run.metrics.get(name, math.nan))
    ]
    return sorted(shown, key=lambda each: _sign(report, name) * each[1].metrics[name])


def _sign(report: Report, name: str) -> int:
    """Return 1 if less of a metric is better, -1 if more is."""
    wanted = report.comparison.goal if name == report.comparison.sort_by else goal(name)
    return -1 if wanted == "maximize" else 1


def _bars(report: Report, name: str, shown: Sequence[tuple[int, ReportedRun]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Bar(
            x=[run.metrics[name] for _, run in shown],
            y=[plain(run.label) for _, run in shown],
            orientation="h",
            text=[f"{run.metrics[name]:.4g}" for _, run in shown],
            textposition="auto",
            marker_color=[style_of(place)["color"] for place, _ in shown],
            hovertemplate="%{y}: %{x:.5g}<extra></extra>",
            meta={"runs": [place for place, _ in shown]},
        )
    )
    figure.update_layout(xaxis_title=report.with_unit(name), height=120 + 26 * len(shown))
    _name_rows(figure, [report.short_label(run) for _, run in shown])
    return figure


def _name_rows(figure: Any, names: Sequence[str]) -> None:
    """Put the first bar at the top, and write short names next to all."""
    texts = [plain(name, LABEL) for name in names]
    figure.update_yaxes(
        autorange="reversed", automargin=True, tickvals=figure.data[0].y, ticktext=texts
    )


def best_so_far(report: Report) -> Iterator[Drawing]:
    """Yield what the search had found after each trial, on validation and on test data.

    If the two part, the search fits the validation data and not the problem.
    """
    import plotly.graph_objects as go

    metric = report.comparison.sort_by
    tried = [run for run in report.runs if run.rank and run.lineage.number is not None]
    tried.sort(key=lambda run: run.lineage.number or 0)
    if len(tried) < 3 or len(report.sweeps) != 1:
        return
    sign = _sign(report, metric)
    best: ReportedRun | None = None
    chosen: list[ReportedRun] = []
    for run in tried:
        value = run.metrics.get(metric, math.nan)
        if math.isfinite(value) and (best is None or sign * (value - best.metrics[metric]) < 0):
            best = run
        if best is not None:
            chosen.append(best)
    if not chosen:
        return
    steps = [run.lineage.number for run in tried[len(tried) - len(chosen) :]]
    figure = go.Figure()
    names = [metric, metric.removeprefix("val_")] if metric.startswith("val_") else [metric]
    for place, name in enumerate(names):
        values = [run.metrics.get(name) for run in chosen]
        if any(value is not None for value in values):
            figure.add_scatter(
                x=steps,
                y=values,
                name=name,
                mode="lines",
                line={"shape": "hv", "color": COLORS[place], "dash": ("solid", "dot")[place]},
                text=[plain(run.label) for run in chosen],
                hovertemplate="%{y:.5g}: %{text}<extra></extra>",
            )
    figure.add_scatter(
        x=[run.lineage.number for run in tried],
        y=[run.metrics.get(metric) for run in tried],
        name="each trial",
        mode="markers",
        marker={"size": 5, "color": "gray"},
        text=[plain(run.label) for run in tried],
        hovertemplate="%{y:.5g}: %{text}<extra></extra>",
    )
    figure.update_layout(xaxis_title="trial", yaxis_title=report.with_unit(metric))
    figure.update_xaxes(tickformat="d", dtick=1 if (steps[-1] or 0) < 20 else None)
    yield Drawing("best-so-far", "Best so far", "Search", figure, has_log=True)


def stages(report: Report) -> Iterator[Drawing]:
    """Yield what promoted runs reached at an earlier stage, against the last one."""
    import plotly.graph_objects as go

    metric = report.comparison.sort_by
    names = dict.fromkeys(
        name for run in report.runs if run.row is not None for name in run.row.earlier
    )
    for name in names:
        shown = [
            (place, run, run.row.earlier[name])
            for place, run in enumerate(report.runs)
            if run.row is not None
            and name in run.row.earlier
            and math.isfinite(run.metrics.get(metric, math.nan))
        ]
        if not shown:
            continue
        later = shown[0][1].lineage.stage or "later"
        figure = go.Figure(
            go.Scatter(
                x=[before for _, _, before in shown],
                y=[run.metrics[metric] for _, run, _ in shown],
                mode="markers",
                marker={"size": 9, "color": [style_of(place)["color"] for place, _, _ in shown]},
                text=[plain(run.label) for _, run, _ in shown],
                hovertemplate="%{text}<br>%{x:.4g} → %{y:.4g}<extra></extra>",
                meta={"runs": [place for place, _, _ in shown]},
            )
        )
        figure.update_layout(
            xaxis_title=f"{report.with_unit(metric)}, {name}",
            yaxis_title=f"{report.with_unit(metric)}, {later}",
        )
        yield Drawing(f"stage-{name}", f"{name} against {later}", "Search", figure)


def effects(report: Report) -> Iterator[Drawing]:
    """Yield the effect of each change of an ablation on the ranking metric, with intervals."""
    import plotly.graph_objects as go

    metric = report.comparison.sort_by
    found = [
        (place, run, run.row.differences["baseline"][metric])
        for place, run in enumerate(report.runs)
        if run.row is not None and metric in run.row.differences.get("baseline", {})
    ]
    if not found:
        return
    sign = _sign(report, metric)
    found.sort(key=lambda each: sign * each[2].value)
    intervals = [
        (each.high - each.value, each.value - each.low)
        if each.is_noise is not None
        else (None, None)
        for _, _, each in found
    ]
    better = [sign * each.value < 0 for _, _, each in found]
    figure = go.Figure(
        go.Bar(
            x=[each.value for _, _, each in found],
            y=[plain(run.lineage.words or run.label) for _, run, _ in found],
            orientation="h",
            marker={
                "color": [COLORS[0] if is_better else COLORS[3] for is_better in better],
                "pattern": {"shape": ["" if is_better else "/" for is_better in better]},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [up for up, _ in intervals],
                "arrayminus": [down for _, down in intervals],
            },
            text=[
                ("better" if is_better else "worse") + (", within noise" if each.is_noise else "")
                for is_better, (_, _, each) in zip(better, found, strict=True)
            ],
            hovertemplate="%{y}: %{x:+.4g} (%{text})<extra></extra>",
            meta={"runs": [place for place, _, _ in found]},
        )
    )
    figure.update_layout(
        xaxis_title=f"difference of {report.with_unit(metric)} to the baseline",
        height=140 + 30 * len(found),
    )
    _name_rows(figure, [run.lineage.words or report.short_label(run) for _, run, _ in found])
    yield Drawing("effects", "Effect of each change", "Ablation", figure, is_wide=True)
