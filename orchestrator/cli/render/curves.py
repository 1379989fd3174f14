"""A curve in a few lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
