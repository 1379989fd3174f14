"""Draw parameters against results: slices and importance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from orchestrator.reporting.content import Report
from orchestrator.reporting.figures.drawing import WIDE, Drawing, is_number
from orchestrator.reporting.figures.style import plain, style_of

_FEW_VALUES = 6
_MOST_TEXTS = 24  # on one axis


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
        figure.update_layout(xaxis_title=name, yaxis_title=report.with_unit(metric))
        _name_values(figure, values)
        if is_log and max(numbers) / min(numbers) >= WIDE:
            figure.update_xaxes(type="log")
        yield Drawing(f"slice-{name}", name, "Parameters", figure, has_log=True)


def _name_values(figure: Any, values: Sequence[Any]) -> None:
    """Write few distinct values as they are, and shorten text."""
    are_numbers = all(is_number(value) for value in values)
    distinct = sorted(set(values)) if are_numbers else list(dict.fromkeys(map(str, values)))
    if not are_numbers or len(distinct) <= _FEW_VALUES:
        distinct = distinct[:: 1 + len(distinct) // _MOST_TEXTS]
        texts = [f"{value:.4g}" if are_numbers else plain(value, 16) for value in distinct]
        figure.update_xaxes(tickvals=distinct, ticktext=texts)


def importances(report: Report) -> Iterator[Drawing]:
    """Yield how much of the result's variance each parameter explains, for enough trials."""
    import plotly.graph_objects as go

    found = report.importance
    if not found:
        return
    figure = go.Figure(
        go.Bar(
            x=[each.share for each in found],
            y=[plain(each.name) for each in found],
            orientation="h",
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [each.high - each.share for each in found],
                "arrayminus": [each.share - each.low for each in found],
            },
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis_title=f"share of the variance of {report.comparison.sort_by} (fANOVA; bars: range "
        "over five forests)",
        height=140 + 30 * len(found),
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    yield Drawing("importance", "Importance", "Parameters", figure)
