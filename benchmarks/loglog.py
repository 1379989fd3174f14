"""Draw a figure with two logarithmic axes as SVG, which needs no library and can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 40, 50
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def figure(
    title: str, across: str, up: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """Return an SVG of series of points, with a dashed line that is linear.

    Args:
        title: above the figure.
        across: label of the horizontal axis.
        up: label of the vertical axis.
        series: name to points, all above 0.
    """
    points = [point for line in series.values() for point in line]
    lowest = [math.floor(math.log10(min(point[axis] for point in points))) for axis in (0, 1)]
    highest = [math.ceil(math.log10(max(point[axis] for point in points))) for axis in (0, 1)]
    highest = [max(high, low + 1) for low, high in zip(lowest, highest, strict=True)]
    room = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        shares = [
            (math.log10(value) - low) / (high - low)
            for value, low, high in zip((x, y), lowest, highest, strict=True)
        ]
        return LEFT + shares[0] * room[0], HEIGHT - BOTTOM - shares[1] * room[1]

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT + room[0] / 2}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>',
        f'<text transform="translate(15 {TOP + room[1] / 2}) rotate(-90)" '
        f'text-anchor="middle">{up}</text>',
    ]
    for axis, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        for power in range(low, high + 1):
            x, y = place(10.0**power, 10.0 ** lowest[1])
            ends: tuple[float, ...] = (x, HEIGHT - BOTTOM, x, TOP)
            text = f'x="{x:.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle"'
            if axis:
                x, y = place(10.0 ** lowest[0], 10.0**power)
                ends = (LEFT, y, LEFT + room[0], y)
                text = f'x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end"'
            parts.append(_line(ends, "#ddd"))
            parts.append(f"<text {text}>{10**power if power >= 0 else 10.0**power:,g}</text>")
    decades = min(high - low for low, high in zip(lowest, highest, strict=True))
    start, end = (place(10.0 ** (lowest[0] + n), 10.0 ** (lowest[1] + n)) for n in (0, decades))
    parts.append(_line((*start, *end), "#999", ' stroke-dasharray="4 4"'))
    for number, (name, line) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        places = [place(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
        y = TOP + 16 * number + 10
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{color}">{escape(name)}</text>')
    y = TOP + 16 * len(series) + 10
    parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="#999">dashed: linear</text>')
    return "\n".join([*parts, "</svg>", ""])


def _line(ends: tuple[float, ...], color: str, more: str = "") -> str:
    x1, y1, x2, y2 = ends
    return f'<path d="M{x1:.1f} {y1:.1f} L{x2:.1f} {y2:.1f}" stroke="{color}"{more}/>'
