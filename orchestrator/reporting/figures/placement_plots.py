"""Draw which trial ran where and when, and how much memory they had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.reporting.content import Report, SweepText
from orchestrator.reporting.figures.drawing import Drawing
from orchestrator.reporting.figures.style import COLORS, plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_ATTEMPTS = 2000
_STATES = {"COMPLETE": COLORS[2], "PRUNED": COLORS[1], "FAIL": COLORS[3], "WAITING": COLORS[5]}
_PATTERNS = {"PRUNED": "/", "FAIL": "x", "WAITING": "."}


def placement(report: Report) -> Iterator[Drawing]:
    """Yield for each sweep a chart of its places over time, and the memory given out."""
    for sweep in report.sweeps:
        if not sweep.occupancy.attempts:
            continue
        head = f"{sweep.name}: " if len(report.sweeps) > 1 else ""
        yield Drawing(
            f"places-{sweep.name}",
            f"{head}trials over time",
            "Placement",
            _places(sweep),
            is_wide=True,
        )
        memory = _memory(sweep)
        if memory is not None:
            yield Drawing(
                f"memory-{sweep.name}", f"{head}memory given", "Placement", memory, is_wide=True
            )


def _places(sweep: SweepText) -> Figure:
    import plotly.graph_objects as go

    attempts = sweep.occupancy.attempts[:_MOST_ATTEMPTS]
    unit, per = _unit(max(each.end_s for each in attempts))
    figure = go.Figure()
    for state in dict.fromkeys(each.state for each in attempts):
        shown = [each for each in attempts if each.state == state]
        figure.add_bar(
            base=[each.start_s / per for each in shown],
            x=[max(0.0, each.end_s - each.start_s) / per for each in shown],
            y=[each.place for each in shown],
            orientation="h",
            name=state.lower() or "no end known",
            marker={
                "color": _STATES.get(state, "gray"),
                "pattern": {"shape": _PATTERNS.get(state, "")},
                "line": {"width": 1, "color": "white"},
            },
            text=[plain(each.trial) for each in shown],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            customdata=[
                [each.attempt, "" if each.given_mib is None else f"<br>{each.given_mib} MiB"]
                for each in shown
            ],
            hovertemplate="%{text}, attempt %{customdata[0]}<br>from %{base:.3g} for %{x:.3g} "
            + f"{unit}%{{customdata[1]}}<extra></extra>",
        )
    moments = sweep.occupancy.moments
    if moments:
        figure.add_scatter(
            x=[moment.at_s / per for moment in moments],
            y=[attempts[0].place] * len(moments),
            mode="markers",
            name="events",
            marker={"symbol": "triangle-down", "size": 11, "color": "gray"},
            text=[plain(f"{moment.kind}: {moment.text}"[:300]) for moment in moments],
            hovertemplate="%{text}<extra></extra>",
        )
    places = dict.fromkeys(each.place for each in attempts)
    figure.update_layout(
        barmode="overlay",
        uniformtext={"mode": "hide", "minsize": 9},
        xaxis_title=f"time [{unit}]",
        height=150 + 34 * len(places),
    )
    figure.update_yaxes(automargin=True, categoryorder="category descending")
    return figure


def _memory(sweep: SweepText) -> Figure | None:
    """Draw the memory that was given to the trials on each device; None if it is unknown."""
    import plotly.graph_objects as go

    attempts = [each for each in sweep.occupancy.attempts if each.given_mib is not None]
    if not attempts:
        return None
    unit, per = _unit(max(each.end_s for each in attempts))
    figure = go.Figure()
    devices = dict.fromkeys(each.place.partition(",")[0] for each in attempts)
    for place, device in enumerate(devices):
        changes: dict[float, int] = {0.0: 0}
        for each in attempts:
            if each.place.partition(",")[0] == device and each.given_mib is not None:
                changes[each.start_s] = changes.get(each.start_s, 0) + each.given_mib
                changes[each.end_s] = changes.get(each.end_s, 0) - each.given_mib
        times, total, levels = sorted(changes), 0, []
        for time in times:
            total += changes[time]
            levels.append(total / 1024)
        figure.add_scatter(
            x=[time / per for time in times],
            y=levels,
            name=device,
            mode="lines",
            line={"shape": "hv", "color": COLORS[place % len(COLORS)]},
            fill="tozeroy",
            hovertemplate="%{y:.2f} GiB<extra></extra>",
        )
    figure.update_layout(xaxis_title=f"time [{unit}]", yaxis_title="memory given [GiB]")
    return figure


def _unit(seconds: float) -> tuple[str, float]:
    if seconds > 2 * 3600:
        return "h", 3600.0
    return ("min", 60.0) if seconds > 120 else ("s", 1.0)
