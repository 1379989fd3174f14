"""Decide which figures a report has, and in which order."""

from __future__ import annotations

from orchestrator.reporting.content import Report
from orchestrator.reporting.figures.drawing import Drawing
from orchestrator.reporting.figures.learning_curves import learning_curves, learning_rates
from orchestrator.reporting.figures.pairs import pairs
from orchestrator.reporting.figures.parallel import parallel
from orchestrator.reporting.figures.parameter_plots import importances, slices
from orchestrator.reporting.figures.placement_plots import placement
from orchestrator.reporting.figures.results import bars, best_so_far, effects, stages


def draw(report: Report) -> list[Drawing]:
    """Return all figures that the report has content for."""
    return [
        *learning_curves(report),
        *learning_rates(report),
        *pairs(report.best),
        *parallel(report),
        *slices(report),
        *importances(report),
        *bars(report),
        *best_so_far(report),
        *stages(report),
        *effects(report),
        *placement(report),
    ]
