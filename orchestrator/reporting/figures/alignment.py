"""Draw predicted sequences under their targets, aligned by the fewest edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.reporting.figures.style import COLORS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

_SHOWN = 8  # sequences
_LONGEST = 48  # tokens of each that are shown
_GAP = "–"
_KINDS = ("equal", "substituted", "missing", "superfluous")


def aligned(predictions: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]) -> Figure:
    """Draw a few pairs of sequences: the target above, the prediction below, edits colored.

    Each edit also has a sign in its cell, so that it can be told without color: ``≠`` for a
    substituted token, ``–`` for a gap.
    """
    import plotly.graph_objects as go

    chosen = np.linspace(0, len(targets) - 1, min(_SHOWN, len(targets))).astype(int)
    rows: list[str] = []
    codes: list[list[int | None]] = []
    texts: list[list[str]] = []
    for sample in chosen:
        columns = align(list(predictions[sample]), list(targets[sample]))[:_LONGEST]
        kinds: list[int | None] = [kind for _, _, kind in columns]
        rows += [f"{sample} target", f"{sample} prediction", " " * (len(rows) + 1)]
        codes += [kinds, kinds, []]
        texts += [
            [wanted for _, wanted, _ in columns],
            [f"≠ {found}" if kind == 1 else found for found, _, kind in columns],
            [],
        ]
    width = max((len(row) for row in codes), default=0)
    shades = ("#f0f0f0", COLORS[1], COLORS[4], COLORS[5])
    scale = [(edge, shade) for n, shade in enumerate(shades) for edge in (n / 4, (n + 1) / 4)]
    figure = go.Figure(
        go.Heatmap(
            z=[[*row, *[None] * (width - len(row))] for row in codes],
            y=rows,
            text=[[*row, *[""] * (width - len(row))] for row in texts],
            texttemplate="%{text}",
            textfont={"color": "#111"},
            colorscale=scale,
            zmin=0,
            zmax=4,
            xgap=1,
            ygap=1,
            colorbar={"tickvals": [0.5, 1.5, 2.5, 3.5], "ticktext": list(_KINDS)},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    figure.update_layout(xaxis_title="token", height=120 + 26 * len(rows))
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def align(prediction: Sequence[Any], target: Sequence[Any]) -> list[tuple[str, str, int]]:
    """Return columns of predicted token, target token, and the index of their kind in `_KINDS`."""
    from rapidfuzz.distance import Levenshtein

    columns: list[tuple[str, str, int]] = []
    for step in Levenshtein.opcodes(prediction, target):
        found = [str(token) for token in prediction[step.src_start : step.src_end]]
        wanted = [str(token) for token in target[step.dest_start : step.dest_end]]
        kind = {"equal": 0, "replace": 1, "insert": 2, "delete": 3}[step.tag]
        for at in range(max(len(found), len(wanted))):
            columns.append(
                (
                    found[at] if at < len(found) else _GAP,
                    wanted[at] if at < len(wanted) else _GAP,
                    kind,
                )
            )
    return columns
