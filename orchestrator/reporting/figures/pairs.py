"""Draw the predictions of one run against their targets, by the kind of their data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.files.series_names import SPLITS
from orchestrator.metrics import ArrayProblem
from orchestrator.reporting.content import ReportedRun
from orchestrator.reporting.figures.style import COLORS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    Samples = NDArray[np.float64]

_SHOWN = 6  # samples
_MOST = 3000  # points of a scatter plot
_PIXELS = 96  # along each side of an image
_LEAST_DB = -65.0


def pair_figures(run: ReportedRun | None) -> Iterator[tuple[str, Figure]]:
    """Yield title and figure for the arrays of a run; nothing if it has none."""
    if run is None or run.row is None or run.row.run is None:
        return
    stored = run.row.run
    for split in SPLITS:
        try:
            predictions, targets = stored.load_pair(split)
        except ArrayProblem:
            continue
        if isinstance(predictions, list) or isinstance(targets, list):
            return  # sequences of unequal length
        pair = predictions.astype(np.float64), targets.astype(np.float64)
        kind = run.row.kind
        name = f"{run.label}, {split}"
        if kind == "decay_curve":
            rate_hz = float(stored.data.get("rate_hz") or 1.0)
            yield f"Decay curves: {name}", _decay_curves(*pair, rate_hz)
        elif kind == "sar_image" and pair[0].ndim >= 3:
            yield f"Images: {name}", _images(*pair)
        elif kind == "binary_probability":
            yield f"ROC curve: {name}", _roc(*pair)
            return
        yield f"Predictions against targets: {name}", _scatter(*pair)
        yield f"Residuals: {name}", _residuals(*pair)
        return


def _decay_curves(predictions: Samples, targets: Samples, rate_hz: float) -> Figure:
    """Draw a few curves in dB relative to their first sample; a dashed line is a prediction."""
    import plotly.graph_objects as go

    figure = go.Figure()
    flat = predictions.reshape(len(predictions), -1), targets.reshape(len(targets), -1)
    chosen = np.linspace(0, len(targets) - 1, min(_SHOWN, len(targets))).astype(int)
    step = max(1, flat[0].shape[1] // 400)
    time_s = np.arange(0, flat[0].shape[1], step) / rate_hz
    for place, sample in enumerate(chosen):
        color = COLORS[place % len(COLORS)]
        for values, what, dash in ((flat[1], "target", "solid"), (flat[0], "prediction", "dash")):
            curve = values[sample, ::step]
            # The reference is the target's first sample, so that a wrong level shows.
            with np.errstate(divide="ignore", invalid="ignore"):
                level_db = 10 * np.log10(curve / flat[1][sample, 0])
            figure.add_scatter(
                x=time_s,
                y=np.maximum(np.nan_to_num(level_db, nan=_LEAST_DB, neginf=_LEAST_DB), _LEAST_DB),
                name=f"{sample} {what}",
                legendgroup=str(sample),
                line={"color": color, "dash": dash},
            )
    for level_db, text in ((-5, "−5 dB"), (-25, "−25 dB: end of T20"), (-10, "−10 dB: end of EDT")):
        figure.add_hline(y=level_db, line_width=1, line_dash="dot", annotation_text=text)
    figure.update_layout(xaxis_title="time [s]", yaxis_title="energy [dB]")
    return figure


def _images(predictions: Samples, targets: Samples) -> Figure:
    """Draw target, prediction and error of two images, next to each other."""
    from plotly.subplots import make_subplots

    rows = min(2, len(targets))
    titles = ("target", "prediction", "prediction − target") * rows
    figure = make_subplots(rows, 3, subplot_titles=titles, horizontal_spacing=0.02)
    for row in range(rows):
        pair = targets[row], predictions[row]
        target, prediction = (_small(np.squeeze(image)) for image in pair)
        low, high = float(target.min()), float(target.max())
        for place, image in enumerate((target, prediction, prediction - target), 1):
            scale: dict[str, Any] = {"zmin": low, "zmax": high, "colorscale": "gray"}
            if place == 3:
                limit = float(np.abs(image).max()) or 1.0
                scale = {"zmin": -limit, "zmax": limit, "colorscale": "RdBu"}
            figure.add_heatmap(z=image.round(4), showscale=False, row=row + 1, col=place, **scale)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    figure.update_layout(height=300 * rows)
    return figure


def _small(image: Samples) -> Samples:
    step = max(1, -(-max(image.shape) // _PIXELS))
    return image[::step, ::step]


def _roc(predictions: Samples, targets: Samples) -> Figure:
    """Draw the true positive rate over the false positive rate of every threshold."""
    import plotly.graph_objects as go

    order = np.argsort(-predictions.reshape(-1), kind="stable")
    positive = targets.reshape(-1)[order] > 0.5
    ends = np.flatnonzero(np.append(np.diff(predictions.reshape(-1)[order]) != 0, True))
    hits = np.cumsum(positive)[ends] / max(1, positive.sum())
    alarms = np.cumsum(~positive)[ends] / max(1, (~positive).sum())
    figure = go.Figure()
    figure.add_scatter(x=np.append(0, alarms), y=np.append(0, hits), mode="lines", name="model")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot"}, name="chance")
    figure.update_layout(xaxis_title="false positive rate", yaxis_title="true positive rate")
    return figure


def _scatter(predictions: Samples, targets: Samples) -> Figure:
    import plotly.graph_objects as go

    wanted, found = targets.reshape(-1), predictions.reshape(-1)
    chosen = np.linspace(0, wanted.size - 1, min(_MOST, wanted.size)).astype(int)
    low, high = float(wanted.min()), float(wanted.max())
    figure = go.Figure()
    figure.add_scatter(
        x=wanted[chosen], y=found[chosen], mode="markers", marker={"size": 4}, name="samples"
    )
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", name="equal")
    figure.update_layout(xaxis_title="target", yaxis_title="prediction")
    return figure


def _residuals(predictions: Samples, targets: Samples) -> Figure:
    import plotly.graph_objects as go

    counts, edges = np.histogram((predictions - targets).reshape(-1), bins=60)
    figure = go.Figure(go.Bar(x=(edges[1:] + edges[:-1]) / 2, y=counts, width=np.diff(edges)))
    figure.update_layout(xaxis_title="prediction − target", yaxis_title="count", bargap=0)
    return figure
