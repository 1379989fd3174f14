"""Figures for notebooks: what a report shows, as Plotly figures.

::

    from orchestrator import plots

    plots.curves("results/edc_weights")  # the metric that ranks, of all trials
    plots.figures("results/edc_weights")["parallel"]
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import NotFoundError, nearest
from orchestrator.reporting.content import collect
from orchestrator.reporting.figures import draw

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def figures(*paths: str | Path, sort_by: str | None = None) -> dict[str, Figure]:
    """Return every figure that `sweep report` shows of the runs at and below `paths`, by its id.

    Args:
        paths: folders of sweeps, trials, or runs of other tools.
        sort_by: the metric that ranks; by default a validation metric if there is one.

    Raises:
        NotFoundError: one of `paths` is no folder.
        UsageError: no run has the metric `sort_by`.
    """
    drawings = draw(collect([Path(path) for path in paths], sort_by=sort_by))
    for drawing in drawings:
        drawing.figure.update_layout(title=drawing.title)
    return {drawing.id: drawing.figure for drawing in drawings}


def curves(*paths: str | Path, metric: str | None = None) -> Figure:
    """Return the learning curves of one metric: by default the one that ranks, else the first.

    Args:
        paths: see `figures`.
        metric: without ``train_`` or ``val_``, which are drawn together.

    Raises:
        NotFoundError: no run reported the metric.
    """
    found = {
        name.removeprefix("curve-"): figure
        for name, figure in figures(*paths).items()
        if name.startswith("curve-")
    }
    name = next(iter(found), "") if metric is None else metric
    if name not in found:
        listed = ", ".join(found) or "none"
        raise NotFoundError(
            f"plots.curves: no run reported '{name}' (found: {listed}).{nearest(name, list(found))}"
        )
    return found[name]
