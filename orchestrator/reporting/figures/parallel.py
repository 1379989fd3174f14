"""Draw parallel coordinates: one line per run through its parameters to the ranking metric.

Ordinary lines, not Plotly's own `Parcoords`: these show a run under the pointer, and need no
WebGL. The page (`templates/parallel.js`) draws the same lines again when an axis changes its scale
or runs are selected; `meta` of the first trace holds all that it needs.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.reporting.content import Report, ReportedRun
from orchestrator.reporting.figures.drawing import WIDE, Drawing, is_number
from orchestrator.reporting.figures.style import plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_AXES = 10
_N_COLORS = 12
_MOST_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """Places on an axis, from 0 at the bottom to 1 at the top."""

    at: list[float | None]  # of each run; None if it has no value
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Axis:
    """One axis with every scale that it can have, the first one as the default."""

    label: str
    scales: dict[str, Scale]


def parallel(report: Report) -> Iterator[Drawing]:
    """Yield parallel coordinates of the ranked runs: the varied parameters, then the metric."""
    runs = [(place, run) for place, run in enumerate(report.runs) if run.rank]
    names = [name for name in report.varied if any(name in run.config for _, run in runs)]
    names = names[:_MOST_AXES]
    if len(runs) < 2 or not names:
        return
    metric = report.comparison.sort_by
    values = [run.metrics.get(metric, math.nan) for _, run in runs]
    axes = [axis(name, [run.config.get(name) for _, run in runs]) for name in names]
    axes.append(axis(report.with_unit(metric), values))
    yield Drawing(
        "parallel",
        "Parameters and result",
        "Parameters",
        _figure(report, runs, names, axes),
        is_wide=True,
    )


def axis(label: str, values: Sequence[Any]) -> Axis:
    """Return an axis for values: linear, logarithmic or of quantiles; of text if any is no number.

    A wide range begins as logarithmic. None and what is not finite have no place.
    """
    numbers = sorted(float(value) for value in values if is_number(value))
    others = [value for value in values if not is_number(value) and not _is_missing(value)]
    if others or not numbers:
        texts = sorted({str(value) for value in values})
        step = 1.0 / max(1, len(texts) - 1)
        at = {text: place * step for place, text in enumerate(texts)}
        ticks = [(at[text], plain(text, 14)) for text in texts[:30]]
        return Axis(label, {"text": Scale([at[str(value)] for value in values], ticks)})
    known = [float(value) if is_number(value) else None for value in values]
    scales = {
        "linear": _scale(known, numbers, lambda value: value),
        "quantile": _quantiles(known, numbers),
    }
    if numbers[0] > 0:
        scales["log"] = _scale(known, numbers, math.log10)
        if numbers[-1] / numbers[0] >= WIDE:
            scales = {"log": scales.pop("log"), **scales}
    return Axis(label, scales)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _scale(known: Sequence[float | None], numbers: Sequence[float], of: Any) -> Scale:
    low, high = of(numbers[0]), of(numbers[-1])

    def place(value: float) -> float:
        return round((of(value) - low) / (high - low), 4) if high > low else 0.5

    at = [None if value is None else place(value) for value in known]
    return Scale(at, [(place(value), f"{value:.4g}") for value in _spread(numbers, place)])


def _quantiles(known: Sequence[float | None], numbers: Sequence[float]) -> Scale:
    last = max(1, len(numbers) - 1)

    def place(value: float) -> float:
        # Equal values share the middle of their ranks.
        first, end = bisect_left(numbers, value), bisect_right(numbers, value) - 1
        return round((first + end) / 2 / last, 4)

    at = [None if value is None else place(value) for value in known]
    return Scale(at, [(place(value), f"{value:.4g}") for value in _spread(numbers, place)])


def _spread(numbers: Sequence[float], place: Any) -> list[float]:
    """Return a few of the values for ticks, with room between them."""
    distinct = sorted(set(numbers))
    chosen = [distinct[0]]
    for value in distinct[1:-1]:
        if (
            place(value) - place(chosen[-1]) >= 1 / _MOST_TICKS
            and place(distinct[-1]) - place(value) >= 1 / _MOST_TICKS
        ):
            chosen.append(value)
    return chosen if distinct[-1] == chosen[-1] else [*chosen, distinct[-1]]


def _figure(
    report: Report,
    runs: Sequence[tuple[int, ReportedRun]],
    names: Sequence[str],
    axes: Sequence[Axis],
) -> Figure:
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    metric = report.comparison.sort_by
    # Without its ends, which vanish on a dark or a light page.
    shares = [0.22 + 0.58 * n / (_N_COLORS - 1) for n in range(_N_COLORS)]
    shades = sample_colorscale("Viridis", shares)
    if report.comparison.goal == "maximize":
        shades.reverse()  # the best runs are dark
    color_of = _shade(axes[-1].scales.get("quantile"))
    texts = [_text(run, names, metric) for _, run in runs]
    scales = [next(iter(each.scales.values())) for each in axes]
    figure = go.Figure()
    for shade, color in enumerate(shades):
        xs: list[int | None] = []
        ys: list[float | None] = []
        shown: list[str] = []
        for at, text in enumerate(texts):
            if color_of(at) != shade:
                continue
            xs += [*range(len(axes)), None]
            ys += [*(scale.at[at] for scale in scales), None]
            shown += [text] * (len(axes) + 1)
        figure.add_scatter(
            x=xs,
            y=ys,
            text=shown,
            mode="lines+markers",
            line={"color": color, "width": 1.5},
            marker={"size": 5},
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
        )
    figure.data[0].meta = {
        "runs": [place for place, _ in runs],
        "axes": [asdict(each) for each in axes],
        "shades": [color_of(at) for at in range(len(runs))],
        "texts": texts,
    }
    ticks = [
        {
            "x": number,
            "y": place,
            "text": text,
            "showarrow": False,
            "xanchor": "right",
            "xshift": -6,
        }
        for number, scale in enumerate(scales)
        for place, text in scale.ticks
    ]
    figure.update_layout(
        annotations=ticks,
        height=460,
        dragmode="select",
        xaxis={
            "tickvals": list(range(len(axes))),
            "ticktext": [plain(each.label, 24) for each in axes],
            "side": "top",
            "range": [-0.05, len(axes) - 0.95],
            "fixedrange": True,
        },
        yaxis={"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
    )
    return figure


def _shade(scale: Scale | None) -> Any:
    def shade(at: int) -> int:
        place = None if scale is None else scale.at[at]
        return _N_COLORS - 1 if place is None else round(place * (_N_COLORS - 1))

    return shade


def _text(run: ReportedRun, names: Sequence[str], metric: str) -> str:
    lines = [f"<b>{plain(run.label[:80])}</b>", f"{plain(metric)} {run.metrics.get(metric):.5g}"]
    lines += [f"{plain(name)}: {plain(str(run.config.get(name, '–'))[:60])}" for name in names]
    others = [name for name in run.row.targets if name in run.metrics] if run.row else []
    lines += [f"{plain(name)} {run.metrics[name]:.5g}" for name in others]
    return "<br>".join(lines)
