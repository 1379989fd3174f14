"""Figures in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import plots
from orchestrator.errors import NotFoundError
from tests.reporting.made_report import a_sweep


def test_the_figures_of_a_report_by_name(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    found = plots.figures(sweep.path)
    assert {"curve-loss", "rates", "parallel", "bars"} <= {name.split("-val")[0] for name in found}
    assert found["curve-loss"].layout.title.text == "loss"


def test_the_curves_of_one_metric(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    assert {trace.name for trace in plots.curves(str(sweep.path)).data} >= {"lr=1", "lr=0.1"}
    with pytest.raises(NotFoundError, match=r"no run reported 'los'.*Did you mean 'loss'"):
        plots.curves(sweep.path, metric="los")
