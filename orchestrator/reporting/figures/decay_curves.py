"""Draw predicted energy decay curves in dB, with the lines that EDT, T20 and C50 are read from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.reporting.figures.style import COLORS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    Samples = NDArray[np.float64]

_SHOWN = 6  # samples
_LEAST_DB = -65.0
_EARLY_S = 0.05  # of ISO 3382-1's C50


def decay_curves(predictions: Samples, targets: Samples, rate_hz: float) -> Figure:
    """Draw a few curves; a dashed line is a prediction. The first one's EDT and T20 are lines.

    Args:
        predictions: [N, …, T] linear energy.
        targets: as `predictions`.
        rate_hz: samples per second.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    flat = predictions.reshape(-1, predictions.shape[-1]), targets.reshape(-1, targets.shape[-1])
    chosen = np.linspace(0, len(flat[1]) - 1, min(_SHOWN, len(flat[1]))).astype(int)
    step = max(1, flat[0].shape[1] // 400)
    time_s = np.arange(flat[0].shape[1]) / rate_hz
    for place, sample in enumerate(chosen):
        color = COLORS[place % len(COLORS)]
        for values, what, dash in ((flat[1], "target", "solid"), (flat[0], "prediction", "dash")):
            # The reference is the target's first sample, so that a wrong level shows.
            with np.errstate(divide="ignore", invalid="ignore"):
                level_db = 10 * np.log10(values[sample] / flat[1][sample, 0])
            level_db = np.maximum(
                np.nan_to_num(level_db, nan=_LEAST_DB, neginf=_LEAST_DB), _LEAST_DB
            )
            read = [_crossing(time_s, level_db, level) for level in (-5.0, -10.0, -25.0)]
            figure.add_scatter(
                x=time_s[::step],
                y=level_db[::step],
                name=f"{sample} {what}: {_values(read, time_s, level_db)}",
                legendgroup=str(sample),
                line={"color": color, "dash": dash},
                hovertemplate=f"%{{y:.1f}} dB at %{{x:.3f}} s<extra>{sample} {what}</extra>",
            )
            if place == 0:
                _add_slopes(figure, read, f"{sample} {what}", dash, color)
    lines = (
        (-5, "−5 dB: start of T20", "top right"),
        (-10, "−10 dB: end of EDT", "bottom right"),
        (-25, "−25 dB: end of T20", "bottom right"),
    )
    style: dict[str, Any] = {"line_width": 1, "line_dash": "dot", "line_color": "gray"}
    for level, text, place_of_text in lines:
        figure.add_hline(y=level, annotation_text=text, annotation_position=place_of_text, **style)
    figure.add_vline(x=_EARLY_S, annotation_text="50 ms: C50", **style)
    figure.update_layout(
        xaxis_title="time [s]",
        yaxis_title="energy [dB]",
        yaxis_range=[_LEAST_DB, 8],
        legend={"orientation": "v", "x": 1.02, "y": 1, "tracegroupgap": 0},
        height=460,
    )
    return figure


def _crossing(time_s: Samples, level_db: Samples, level: float) -> float:
    """Return when a curve first reaches a level, between two samples; NaN if never."""
    below = np.flatnonzero(level_db <= level)
    if not below.size or below[0] == 0:
        return math.nan
    at = int(below[0])
    share = (level_db[at - 1] - level) / (level_db[at - 1] - level_db[at])
    return float(time_s[at - 1] + share * (time_s[at] - time_s[at - 1]))


def _values(read: list[float], time_s: Samples, level_db: Samples) -> str:
    """Return EDT = 6 t(−10 dB), T20 = 3 (t(−25 dB) − t(−5 dB)) and C50 as text."""
    fifth, tenth, late = read
    left = 10 ** (float(np.interp(_EARLY_S, time_s, level_db)) / 10)
    clarity = 10 * math.log10((1 - left) / left) if 0 < left < 1 else math.nan
    found = (("EDT", 6 * tenth, "s"), ("T20", 3 * (late - fifth), "s"), ("C50", clarity, "dB"))
    return ", ".join(
        f"{name} {value:.3g} {unit}" if math.isfinite(value) else f"{name} undefined"
        for name, value, unit in found
    )


def _add_slopes(figure: Figure, read: list[float], name: str, dash: str, color: str) -> None:
    """Draw the lines through the points of EDT and of T20, to −60 dB."""
    fifth, tenth, late = read
    lines = [("EDT", 0.0, 0.0, tenth, -10.0), ("T20", fifth, -5.0, late, -25.0)]
    for what, x0, y0, x1, y1 in lines:
        if not (math.isfinite(x0) and math.isfinite(x1) and x1 > x0):
            continue
        end = x0 + (x1 - x0) * (-60.0 - y0) / (y1 - y0)
        figure.add_scatter(
            x=[x0, end],
            y=[y0, -60.0],
            mode="lines",
            opacity=0.45,
            line={"color": color, "dash": dash, "width": 3 if what == "T20" else 1.5},
            name=f"{name}: {what} line",
            showlegend=False,
            hovertemplate=f"{what} of {name}: −60 dB at {end:.3g} s<extra></extra>",
        )
