"""Draw parameters against results: parallel coordinates and slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.reporting.content import Report
from orchestrator.reporting.figures.drawing import WIDE, Drawing, is_number, with_unit
from orchestrator.reporting.figures.style import plain, style_of


def parallel(report: Report) -> Iterator[Drawing]:
    """Yield parallel coordinates: the varied parameters, then the metric that ranks."""
    import plotly.graph_objects as go

    runs = [run for run in report.runs if run.rank]
    names = [name for name in report.varied if any(name in run.config for run in runs)][:10]
    if len(runs) < 2 or not names:
        return
    metric = report.comparison.sort_by
    axes = [_axis(name, [run.config.get(name) for run in runs]) for name in names]
    values = [run.metrics.get(metric, math.nan) for run in runs]
    axes.append(_axis(with_unit(metric), values))
    figure = go.Figure(
        go.Parcoords(
            dimensions=axes,
            line={
                "color": [value if math.isfinite(value) else None for value in values],
                "colorscale": "Viridis",
                "reversescale": report.comparison.goal == "maximize",
                "showscale": True,
                "colorbar": {"title": {"text": metric}},
            },
            meta={"runs": [place for place, run in enumerate(report.runs) if run.rank]},
        )
    )
    yield Drawing("parallel", "Parameters and result", "Parameters", figure)


def _axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return one axis: linear, logarithmic, or of text."""
    numbers = [value for value in values if is_number(value)]
    if len(numbers) < len(values):
        texts = sorted({str(value) for value in values})
        return {
            "label": name,
            "values": [texts.index(str(value)) for value in values],
            "tickvals": list(range(len(texts))),
            "ticktext": [plain(text[:30]) for text in texts],
        }
    if min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE:
        ticks = sorted(set(numbers))
        ticks = ticks if len(ticks) <= 8 else [ticks[0], ticks[len(ticks) // 2], ticks[-1]]
        return {
            "label": f"{name} (log)",
            "values": [math.log10(value) for value in values],
            "tickvals": [math.log10(tick) for tick in ticks],
            "ticktext": [f"{tick:g}" for tick in ticks],
        }
    return {"label": name, "values": list(values)}


def slices(report: Report) -> Iterator[Drawing]:
    """Yield the ranking metric over each varied parameter."""
    import plotly.graph_objects as go

    metric = report.comparison.sort_by
    ranked = [(place, run) for place, run in enumerate(report.runs) if run.rank]
    for name in report.varied[:6]:
        shown = [
            (place, run)
            for place, run in ranked
            if run.config.get(name) is not None and math.isfinite(run.metrics.get(metric, math.nan))
        ]
        if len({repr(run.config[name]) for _, run in shown}) < 2:
            continue
        values = [run.config[name] for _, run in shown]
        numbers = [value for value in values if is_number(value)]
        is_log = len(numbers) == len(values) and min(numbers) > 0
        figure = go.Figure(
            go.Scatter(
                x=values if len(numbers) == len(values) else [str(value) for value in values],
                y=[run.metrics[metric] for _, run in shown],
                mode="markers",
                marker={"size": 9, "color": [style_of(place)["color"] for place, _ in shown]},
                text=[plain(run.label) for _, run in shown],
                meta={"runs": [place for place, _ in shown]},
                hovertemplate=f"%{{text}}<br>{plain(name)} %{{x}}: %{{y:.4g}}<extra></extra>",
            )
        )
        figure.update_layout(xaxis_title=name, yaxis_title=with_unit(metric))
        if is_log and max(numbers) / min(numbers) >= WIDE:
            figure.update_xaxes(type="log")
        yield Drawing(f"slice-{name}", name, "Parameters", figure, has_log=True)
