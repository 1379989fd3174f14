"""A curve in a few lines of text.

`sweep doctor --png`: the curves of a diagnosis as a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from orchestrator.analysis import Examination, Examined, shown_series
from orchestrator.errors import UsageError

Points = Sequence[tuple[float, float]]
_MARKS = "•o+x"
_DECADES = 1.5
"""Positive values that span more powers of ten than this are drawn by their logarithm."""


def plot(
    series: Sequence[tuple[str, Points]],
    *,
    width: int = 64,
    height: int = 9,
    onset: float | None = None,
) -> str:
    """Return the drawing of a few series over their steps; empty where nothing is finite.

    Values that are not finite are drawn as ``!`` on the bottom line, the onset as ``^`` below it.

    Args:
        series: names and (step, value) points.
        width: characters of the drawing, without its axis.
        height: its lines.
        onset: the step to mark.
    """
    finite = [v for _, points in series for _, v in points if math.isfinite(v)]
    steps = [s for _, points in series for s, _ in points]
    if not finite or len(set(steps)) < 2:
        return ""
    low, high = min(finite), max(finite)
    is_log = low > 0 and math.log10(high) - math.log10(low) > _DECADES
    place = math.log10 if is_log else float
    bottom, top = place(low), place(high)
    left, right = min(steps), max(steps)

    def column(step: float) -> int:
        return round((step - left) / (right - left) * (width - 1))

    def row(value: float) -> int:
        # Halved: the difference of two large finite values may overflow.
        span = top / 2 - bottom / 2
        share = (place(value) / 2 - bottom / 2) / span if span else 0.5
        return height - 1 - round(share * (height - 1))

    grid = [[" "] * width for _ in range(height)]
    for index in range(len(series) - 1, -1, -1):  # the first series lies on top
        mark = _MARKS[index % len(_MARKS)]
        for step, value in series[index][1]:
            if math.isfinite(value):
                grid[row(value)][column(step)] = mark
    for _, points in series:
        for step, value in points:
            if not math.isfinite(value):
                grid[height - 1][column(step)] = "!"
    labels = [f"{high:.4g}", f"{low:.4g}"]
    margin = max(map(len, labels))
    lines = []
    for index, cells in enumerate(grid):
        label = labels[0] if index == 0 else labels[1] if index == height - 1 else ""
        lines.append(f"{label:>{margin}} │{''.join(cells).rstrip()}")
    axis = ["─"] * width
    if onset is not None and left <= onset <= right:
        axis[column(onset)] = "^"
    lines.append(f"{'':>{margin}} └{''.join(axis)}")
    first, last = f"{left:g}", f"{right:g}"
    lines.append(f"{'':>{margin}}  {first}{last:>{max(1, width - len(first))}}")
    legend = "  ".join(f"{_MARKS[i % len(_MARKS)]} {name}" for i, (name, _) in enumerate(series))
    if is_log:
        legend += "  (logarithmic)"
    if any(not math.isfinite(v) for _, points in series for _, v in points):
        legend += "  ! not finite"
    if onset is not None and left <= onset <= right:
        legend += "  ^ onset"
    lines.append(f"{'':>{margin}}  {legend}")
    return "\n".join(lines)


MOST_RUNS = 12
"""Runs in one picture; those with findings come first."""

_LOG_DECADES = 1.5
_COLOURS = ("tab:blue", "tab:orange")


def write_picture(target: Path, found: Examination) -> int:
    """Draw the curves of runs with the onset of what is wrong, and return how many are drawn.

    Args:
        target: the file to write, PNG whatever its name.
        found: what was examined.

    Raises:
        UsageError: matplotlib is not installed, no run can be drawn, or the file not be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "--png: needs the package matplotlib, which is not installed. "
            'Next step: pip install "sweep-orchestrator[plot]"'
        ) from None
    runs = [one for one in found.runs if _is_drawable(one)]
    runs.sort(key=lambda one: not one.diagnosis.findings)
    drawn = runs[:MOST_RUNS]
    if not drawn:
        raise UsageError("--png: needs a run with two reports of one series, but there is none.")
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(5.0 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, one in enumerate(drawn, 1):
        axes = figure.add_subplot(rows, columns, place)
        finite: list[float] = []
        for (name, points), colour in zip(shown_series(one), _COLOURS, strict=False):
            kept = [(step, value) for step, value in points if math.isfinite(value)]
            finite += [value for _, value in kept]
            axes.plot(*zip(*kept, strict=True), label=_plain(name), color=colour, linewidth=1.2)
            for step, value in points:
                if not math.isfinite(value):
                    axes.axvline(step, color=colour, linewidth=0.5, linestyle=":")
        if min(finite) > 0 and math.log10(max(finite) / min(finite)) > _LOG_DECADES:
            axes.set_yscale("log")
        findings = [item for item in one.diagnosis.findings if item.since is not None]
        if findings:
            axes.axvline(float(findings[0].since or 0), color="tab:red", linewidth=1.0)
        words = findings[0].symptom if findings else one.diagnosis.outcome
        axes.set_title(_plain(f"{one.run.name}: {words}"), fontsize=9)
        axes.set_xlabel(one.run.unit)
        axes.legend(fontsize=7)
    try:
        figure.savefig(target, format="png", dpi=120)
    except OSError as error:
        raise UsageError(
            f"--png: {target} must be writable, but: {error.strerror}. Choose another file."
        ) from None
    return len(drawn)


def _is_drawable(one: Examined) -> bool:
    series = shown_series(one)
    return bool(series) and sum(math.isfinite(value) for _, value in series[0][1]) >= 2


def _plain(text: str) -> str:
    """Return text that is drawn as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")[:60]
