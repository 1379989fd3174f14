"""Decide which figures a report has, and in which order."""

from __future__ import annotations

from orchestrator.reporting.content import Report
from orchestrator.reporting.figures.drawing import Drawing
from orchestrator.reporting.figures.learning_curves import learning_curves, learning_rates
from orchestrator.reporting.figures.pairs import pair_figures
from orchestrator.reporting.figures.parameter_plots import parallel, slices
from orchestrator.reporting.figures.results import bars


def draw(report: Report) -> list[Drawing]:
    """Return all figures that the report has content for."""
    return [
        *learning_curves(report),
        *learning_rates(report),
        *parallel(report),
        *slices(report),
        *bars(report),
        *(
            Drawing(f"pair-{place}", title, "Predictions and targets", figure)
            for place, (title, figure) in enumerate(pair_figures(report.best))
        ),
    ]
