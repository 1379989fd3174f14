"""Turn the runs of a report into Plotly figures.

One run has one color and one dash in every figure. Training is drawn thin, validation thick, so
that neither needs color to be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.metrics import unit
from orchestrator.reporting.content import Report, ReportedRun
from orchestrator.reporting.pairs import pair_figures
from orchestrator.reporting.style import plain, style_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MARKS = {"PRUNED": "x", "FAIL": "x", "promoted": "triangle-up"}

MOST_POINTS = 120_000  # in all curves of one figure
LEAST_POINTS = 60  # of one curve
MOST_FIGURES = 12  # of learning curves
_WIDE = 100.0  # from this ratio of its values on an axis is logarithmic


@dataclass(frozen=True)
class Drawing:
    """A figure with what a page needs to place it."""

    id: str
    title: str
    section: str  # the heading under which it appears
    figure: Figure
    has_log: bool = False  # its vertical axis can be switched to logarithmic
    has_time: bool = False  # its horizontal axis can be switched to seconds


def draw(report: Report) -> list[Drawing]:
    """Return all figures that the report has content for."""
    return [
        *_curves(report),
        *_rates(report),
        *_parallel(report),
        *_slices(report),
        *_bars(report),
        *(
            Drawing(f"pair-{place}", title, "Predictions and targets", figure)
            for place, (title, figure) in enumerate(pair_figures(report.best))
        ),
    ]


def _curves(report: Report) -> Iterator[Drawing]:
    """Yield one figure for each metric that was logged during training."""
    names: dict[str, set[str]] = {}
    for run in report.runs:
        for name in run.examined.run.names if run.examined else ():
            names.setdefault(_base(name), set()).add(name)
    names.pop("lr", None)
    first = _base(report.comparison.sort_by)
    ordered = sorted(names, key=lambda base: (base != first, base != "loss", base))
    for base in ordered[:MOST_FIGURES]:
        yield _learning_curves(report, base, names[base])


def _base(name: str) -> str:
    for split in ("train_", "val_", "test_"):
        if name.startswith(split):
            return name.removeprefix(split)
    return name


def _learning_curves(report: Report, base: str, names: set[str]) -> Drawing:
    import plotly.graph_objects as go

    figure = go.Figure()
    n_curves = max(1, len(report.runs) * len(names))
    most = max(LEAST_POINTS, MOST_POINTS // n_curves)
    for place, run in enumerate(report.runs):
        shown = False
        for name in sorted(names, reverse=True):  # validation first: it stands for the run
            points = thin(run.examined.run.series(name) if run.examined else [], most)
            if not points:
                continue
            is_training = name.startswith("train_")
            figure.add_scatter(
                **_positions(points),
                name=run.label,
                legendgroup=run.label,
                showlegend=not shown,
                mode="lines" if len(points) > 1 else "markers",
                opacity=0.55 if is_training else 1.0,
                line={**style_of(place), "width": 1 if is_training else 2.2},
                meta={"run": place, "seconds": [run.seconds.get(step) for step, _ in points]},
                hovertemplate=f"%{{y:.4g}} at %{{x}}<extra>{plain(run.label)} {name}</extra>",
            )
            if not shown:
                _mark_end(figure, run, place, points)
            shown = True
    count = report.runs[0].examined
    figure.update_layout(
        xaxis_title=count.run.unit if count else "step", yaxis_title=_with_unit(base)
    )
    return Drawing(
        f"curve-{base}",
        base,
        "Learning curves",
        figure,
        has_log=True,
        has_time=any(run.seconds for run in report.runs),
    )


def _positions(points: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Return steps and values as arrays, which a page stores in a third of the space of text."""
    steps = np.array([step for step, _ in points], dtype=np.float64)
    values = np.array([value for _, value in points], dtype=np.float64)
    values[~np.isfinite(values)] = np.nan  # a gap
    return {"x": steps.astype(np.int32) if steps.max() < 2**31 else steps, "y": values}


def _mark_end(figure: Any, run: ReportedRun, place: int, points: Sequence[Any]) -> None:
    """Mark the end of a run that was stopped or diverged, or that was promoted."""
    kind = "PRUNED" if run.is_lost else run.state if run.state in MARKS else run.link
    if kind not in MARKS:
        return
    finite = [point for point in points if math.isfinite(point[1])] or points
    step, value = finite[-1]
    what = "diverged" if run.is_lost else kind.lower()
    figure.add_scatter(
        x=[step],
        y=[value],
        mode="markers",
        marker={"symbol": MARKS[kind], "size": 11, "color": style_of(place)["color"]},
        legendgroup=run.label,
        showlegend=False,
        meta={"run": place, "seconds": [run.seconds.get(step)]},
        hovertemplate=f"{what} at %{{x}}<extra>{plain(run.label)}</extra>",
    )


def thin(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return at most about `most` points that keep first, last, and every extreme to the eye.

    Each of ``most / 4`` equal parts keeps its first, last, least and greatest value.
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) * 4 / most)
    kept: list[tuple[int, float]] = []
    for start in range(0, len(points), size):
        part = range(start, min(start + size, len(points)))
        finite = [at for at in part if math.isfinite(points[at][1])]
        chosen = {part[0], part[-1]}
        if finite:
            chosen |= {min(finite, key=lambda at: points[at][1])}
            chosen |= {max(finite, key=lambda at: points[at][1])}
        kept += [points[at] for at in sorted(chosen)]
    return kept


def _rates(report: Report) -> Iterator[Drawing]:
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, run in enumerate(report.runs):
        points = thin(run.examined.run.series("lr") if run.examined else [], 500)
        if points:
            figure.add_scatter(
                **_positions(points),
                name=run.label,
                line=style_of(place),
                mode="lines",
                meta={"run": place, "seconds": [run.seconds.get(step) for step, _ in points]},
                hovertemplate=f"%{{y:.3g}} at %{{x}}<extra>{plain(run.label)}</extra>",
            )
    if figure.data:
        figure.update_layout(yaxis_title="learning rate")
        yield Drawing("rates", "Learning rate", "Learning curves", figure, has_log=True)


def _parallel(report: Report) -> Iterator[Drawing]:
    """Yield parallel coordinates: the varied parameters, then the metric that ranks."""
    import plotly.graph_objects as go

    runs = [run for run in report.runs if run.rank]
    names = [name for name in report.varied if any(name in run.config for run in runs)][:10]
    if len(runs) < 2 or not names:
        return
    metric = report.comparison.sort_by
    axes = [_axis(name, [run.config.get(name) for run in runs]) for name in names]
    values = [run.metrics.get(metric, math.nan) for run in runs]
    axes.append(_axis(_with_unit(metric), values))
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
    if min(numbers) > 0 and max(numbers) / min(numbers) >= _WIDE:
        ticks = sorted(set(numbers))
        ticks = ticks if len(ticks) <= 8 else [ticks[0], ticks[len(ticks) // 2], ticks[-1]]
        return {
            "label": f"{name} (log)",
            "values": [math.log10(value) for value in values],
            "tickvals": [math.log10(tick) for tick in ticks],
            "ticktext": [f"{tick:g}" for tick in ticks],
        }
    return {"label": name, "values": list(values)}


def _slices(report: Report) -> Iterator[Drawing]:
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
        figure.update_layout(xaxis_title=name, yaxis_title=_with_unit(metric))
        if is_log and max(numbers) / min(numbers) >= _WIDE:
            figure.update_xaxes(type="log")
        yield Drawing(f"slice-{name}", name, "Parameters", figure, has_log=True)


def _bars(report: Report) -> Iterator[Drawing]:
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
        figure.update_layout(xaxis_title=_with_unit(metric), height=120 + 26 * len(shown))
        figure.update_yaxes(autorange="reversed", automargin=True)
        yield Drawing("bars", f"{metric} of each run", "Results", figure)


def is_number(value: Any) -> bool:
    """Return whether a value can be on an axis of numbers."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _with_unit(metric: str) -> str:
    of_it = unit(metric)
    return f"{metric} [{of_it}]" if of_it else metric
