"""Draw the results of the runs next to each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.reporting.content import Report
from orchestrator.reporting.figures.drawing import Drawing, with_unit
from orchestrator.reporting.figures.style import style_of


def bars(report: Report) -> Iterator[Drawing]:
    """Yield the ranking metric of each ranked run, the best first."""
    import plotly.graph_objects as go

    metric = report.comparison.sort_by
    shown = [
        (place, run)
        for place, run in enumerate(report.runs)
        if run.rank and math.isfinite(run.metrics.get(metric, math.nan))
    ][:40]
    if len(shown) > 1:
        figure = go.Figure(
            go.Bar(
                x=[run.metrics[metric] for _, run in shown],
                y=[run.label for _, run in shown],
                orientation="h",
                marker_color=[style_of(place)["color"] for place, _ in shown],
                hovertemplate="%{y}: %{x:.5g}<extra></extra>",
                meta={"runs": [place for place, _ in shown]},
            )
        )
        figure.update_layout(xaxis_title=with_unit(metric), height=120 + 26 * len(shown))
        figure.update_yaxes(autorange="reversed", automargin=True)
        yield Drawing("bars", f"{metric} of each run", "Results", figure)
