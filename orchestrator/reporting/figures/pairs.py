"""Draw the predictions of one run against their targets, by the kind of their data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.files.series_names import SPLITS
from orchestrator.metrics import ArrayProblem
from orchestrator.reporting.content import ReportedRun
from orchestrator.reporting.figures.alignment import aligned
from orchestrator.reporting.figures.decay_curves import decay_curves
from orchestrator.reporting.figures.drawing import Drawing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

    Samples = NDArray[np.float64]

_MOST = 3000  # points of a scatter plot
_PIXELS = 96  # along each side of an image
_STEEP = 100  # if the highest bar is so much above the middle one, few others would be seen


_SECTION = "Predictions and targets"


def pairs(run: ReportedRun | None) -> Iterator[Drawing]:
    """Yield figures for the arrays of a run, by their kind; nothing if it has none."""
    for place, (title, figure) in enumerate(_figures(run)):
        is_wide = title.startswith(("Decay", "Sequences", "Images"))
        yield Drawing(f"pair-{place}", title, _SECTION, figure, is_wide=is_wide)


def _figures(run: ReportedRun | None) -> Iterator[tuple[str, Figure]]:
    if run is None or run.row is None or run.row.run is None:
        return
    stored = run.row.run
    for split in SPLITS:
        try:
            predictions, targets = stored.load_pair(split)
        except ArrayProblem:
            continue
        if isinstance(predictions, list) or isinstance(targets, list):
            yield f"Sequences: {run.label}, {split}", aligned(list(predictions), list(targets))
            return
        pair = predictions.astype(np.float64), targets.astype(np.float64)
        kind = run.row.kind
        name = f"{run.label}, {split}"
        if kind == "decay_curve":
            rate_hz = float(stored.data.get("rate_hz") or 1.0)
            yield f"Decay curves: {name}", decay_curves(*pair, rate_hz)
        elif kind == "sar_image" and pair[0].ndim >= 3:
            yield f"Images: {name}", _images(*pair)
        elif kind == "binary_probability":
            yield f"ROC curve: {name}", _roc(*pair)
            return
        yield f"Predictions against targets: {name}", _scatter(*pair)
        yield f"Residuals: {name}", _residuals(*pair)
        return


def _images(predictions: Samples, targets: Samples) -> Figure:
    """Draw target, prediction and error of two images, next to each other."""
    from plotly.subplots import make_subplots

    rows = min(2, len(targets))
    titles = ("target", "prediction", "prediction − target") * rows
    figure = make_subplots(
        rows, 3, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.1
    )
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
    for axis in figure.select_yaxes():  # pixels are squares
        axis.update(scaleanchor=axis.anchor, constrain="domain")
    figure.update_xaxes(constrain="domain")
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
    if counts.max() > _STEEP * np.median(counts[counts > 0]):
        figure.update_yaxes(type="log", title="count (logarithmic)")
    return figure
