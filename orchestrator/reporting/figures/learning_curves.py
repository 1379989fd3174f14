"""Draw what was logged during training: one figure for each metric, and the learning rates.

Training is drawn thin, validation thick, so that neither needs color to be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.divergence.schedule import expected_rates
from orchestrator.reporting.content import Report, ReportedRun
from orchestrator.reporting.figures.drawing import Drawing
from orchestrator.reporting.figures.style import LABEL, plain, style_of
from orchestrator.reporting.thinning import thin

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKS = {"PRUNED": "x", "FAIL": "x", "promoted": "triangle-up"}

MOST_POINTS = 35_000  # in all curves of a page, so that one of 100 runs has at most 6 MB
LEAST_POINTS = 40  # of one curve
MOST_FIGURES = 12  # of learning curves
MOST_NAMES = 12  # in a legend: more would leave no room for the curves
_MANY = 40  # runs, whose curves are thin
MOST_RUNS = 200  # with a curve: a browser stays fluid, and more could not be told apart


def learning_curves(report: Report) -> Iterator[Drawing]:
    """Yield one figure for each metric that was logged during training."""
    names: dict[str, set[str]] = {}
    for run in report.runs:
        for name in run.examined.run.names if run.examined else ():
            names.setdefault(_base(name), set()).add(name)
    names.pop("lr", None)
    first = _base(report.comparison.sort_by)
    ordered = sorted(names, key=lambda base: (base != first, base != "loss", base))
    shown = ordered[:MOST_FIGURES]
    n_curves = len(_drawn(report)) * sum(len(names[base]) for base in shown)
    most = max(LEAST_POINTS, MOST_POINTS // max(1, n_curves))
    for base in shown:
        yield _curves_of(report, base, names[base], most)


def _drawn(report: Report) -> list[tuple[int, ReportedRun]]:
    """Return place and run of those whose curves are drawn: that run now, then the best."""
    runs = list(enumerate(report.runs))
    if len(runs) > MOST_RUNS:
        runs.sort(key=lambda item: (item[1].state != "RUNNING", item[1].rank or math.inf, item[0]))
    return sorted(runs[:MOST_RUNS], key=lambda item: item[0])


def _base(name: str) -> str:
    for split in ("train_", "val_", "test_"):
        if name.startswith(split):
            return name.removeprefix(split)
    return name


def _curves_of(report: Report, base: str, names: set[str], most: int) -> Drawing:
    import plotly.graph_objects as go

    figure = go.Figure()
    drawn = _drawn(report)
    weight = 1.0 if len(drawn) <= _MANY else 0.55
    for place, run in drawn:
        shown = False
        for name in sorted(names, reverse=True):  # validation first: it stands for the run
            points = thin(run.examined.run.series(name) if run.examined else [], most)
            if not points:
                continue
            is_training = name.startswith("train_")
            figure.add_scatter(
                **_positions(points),
                name=plain(report.short_label(run), LABEL),
                legendgroup=run.label,
                showlegend=not shown,
                mode="lines" if len(points) > 1 else "markers",
                opacity=(0.55 if is_training else 1.0) * weight,
                line={**style_of(place), "width": (1 if is_training else 2.2) * weight},
                meta={
                    "run": place,
                    "series": name,
                    "seconds": _times(run, points),
                },
                hovertemplate=f"%{{y:.4g}} at %{{x}}<extra>{plain(run.label)} {name}</extra>",
            )
            if not shown:
                _mark_end(figure, run, place, points)
            shown = True
    count = report.runs[0].examined
    figure.update_layout(
        xaxis_title=count.run.unit if count else "step",
        yaxis_title=report.with_unit(base),
        showlegend=len(drawn) <= MOST_NAMES,
    )
    is_part = len(drawn) < len(report.runs)
    return Drawing(
        f"curve-{base}",
        f"{base}, {len(drawn)} of {len(report.runs):,} runs" if is_part else base,
        "Learning curves",
        figure,
        has_log=True,
        has_time=any(run.seconds for run in report.runs),
        is_wide=True,
        note=_note(names, [run for _, run in drawn]),
    )


def _note(names: set[str], drawn: Sequence[ReportedRun]) -> str:
    """Return what lines and signs mean."""
    parts = []
    if len({name.startswith("train_") for name in names}) == 2:
        parts.append("thick: validation, thin: training")
    if any(run.is_lost or run.state in ("PRUNED", "FAIL") for run in drawn):
        parts.append("✕: stopped, failed or diverged")
    if any(run.link == "promoted" for run in drawn):
        parts.append("▲: promoted")
    if len(drawn) > MOST_NAMES:
        parts.append("point at a curve for its name")
    return "; ".join(parts)


def _positions(points: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Return steps and values as arrays, which a page stores in a third of the space of text."""
    steps = np.array([step for step, _ in points], dtype=np.float64)
    values = np.array([value for _, value in points], dtype=np.float64)
    values[~np.isfinite(values)] = np.nan  # a gap
    kinds = ((2**15, np.int16), (2**31, np.int32))
    kind = next((kind for limit, kind in kinds if steps.max() < limit), np.float64)
    return {"x": steps.astype(kind), "y": _short(values)}


def _times(run: ReportedRun, points: Sequence[tuple[int, float]]) -> Any:
    """Return when the points were reported, in seconds; None if that is unknown."""
    if not run.seconds:
        return None
    return _short(np.array([run.seconds.get(step, math.nan) for step, _ in points]))


def _short(values: NDArray[np.float64]) -> NDArray[Any]:
    """Return values with seven digits if that is enough for their range."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    is_short = sizes.size == 0 or (sizes.max() < 1e37 and sizes.min() > 1e-37)
    return values.astype(np.float32) if is_short else values


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


def _corners(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the points without those between two of the same value."""
    last = len(points) - 1
    return [
        point
        for at, point in enumerate(points)
        if at in (0, last) or not points[at - 1][1] == point[1] == points[at + 1][1]
    ]


def learning_rates(report: Report) -> Iterator[Drawing]:
    """Yield the learning rate of every run that logged it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    drawn = _drawn(report)
    most = max(LEAST_POINTS, MOST_POINTS // (4 * max(1, len(drawn))))
    for place, run in drawn:
        points = thin(_corners(run.examined.run.series("lr") if run.examined else []), most)
        if points:
            figure.add_scatter(
                **_positions(points),
                name=plain(report.short_label(run), LABEL),
                line=style_of(place),
                mode="lines",
                meta={
                    "run": place,
                    "series": "lr",
                    "seconds": _times(run, points),
                },
                hovertemplate=f"%{{y:.3g}} at %{{x}}<extra>{plain(run.label)}</extra>",
                legendgroup=run.label,
            )
        declared = _declared_rates(run, most)
        if points and declared:
            figure.add_scatter(
                **_positions(declared),
                name="declared",
                legendgroup=run.label,
                showlegend=False,
                mode="lines",
                opacity=0.5,
                line={"color": style_of(place)["color"], "width": 5},
                meta={"run": place, "seconds": _times(run, declared)},
                hovertemplate=f"declared %{{y:.3g}}<extra>{plain(run.label)}</extra>",
            )
    if figure.data:
        figure.update_layout(yaxis_title="learning rate", showlegend=len(drawn) <= MOST_NAMES)
        yield Drawing(
            "rates", "Learning rate", "Learning curves", figure, has_log=True, is_wide=True
        )


def _declared_rates(run: ReportedRun, most: int) -> list[tuple[int, float]]:
    """Return the rate that the declared schedule has at each reported step; [] if none is."""
    one = run.examined
    if one is None or one.schedule is None:
        return []
    points = thin(one.run.series("lr"), most)
    return expected_rates(points, one.schedule, one.run.total_steps)
