"""The figures: which there are, what they contain, and that thinning keeps what the eye sees."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.reporting import collect, draw
from orchestrator.reporting.figures.learning_curves import thin
from tests.analysis import made
from tests.reporting.made_report import a_lost_trial, a_sweep

values = st.floats(allow_infinity=True, allow_nan=True, width=32)


@given(st.lists(values, min_size=1, max_size=400), st.integers(8, 100))
def test_thinning_keeps_the_ends_and_the_extremes(series: list[float], most: int) -> None:
    points = list(enumerate(series))
    kept = thin(points, most)
    assert len(kept) <= max(most + 4, 4)
    assert kept[0] is points[0]
    assert kept[-1] is points[-1]
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    finite = [value for value in series if math.isfinite(value)]
    if finite:
        seen = [value for _, value in kept if math.isfinite(value)]
        assert (min(seen), max(seen)) == (min(finite), max(finite))


def test_a_sweep_has_every_figure_that_it_has_content_for(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    a_lost_trial(sweep, 3)
    drawings = {drawing.id: drawing for drawing in draw(collect([tmp_path]))}
    assert next(iter(drawings)) == "curve-loss"
    assert {"rates", "parallel", "slice-lr", "slice-optimizer", "bars-val_mae", "pair-0"} <= set(
        drawings
    )
    assert {"best-so-far", "importance"} & set(drawings) == {"best-so-far"}

    curves = drawings["curve-loss"].figure
    names = {trace.name for trace in curves.data if trace.mode == "lines"}
    assert names == {"lr=1", "lr=0.1", "lr=0.01", "lost"}
    marks = [trace for trace in curves.data if trace.mode == "markers"]
    assert [mark.marker.symbol for mark in marks] == ["x"]
    assert list(marks[0].x) == [6], "where its validation loss was last finite"

    slices = drawings["slice-lr"].figure
    assert slices.layout.xaxis.type == "log"
    assert list(slices.data[0].y) == pytest.approx([0.1, 0.2, 0.3])


def test_a_single_run_without_curves_has_no_empty_figures(tmp_path: Path) -> None:
    made.pair(tmp_path / "run", 0.1)
    ids = [drawing.id for drawing in draw(collect([tmp_path]))]
    assert ids == ["pair-0", "pair-1"]


def test_decay_curves_are_drawn_in_db(tmp_path: Path) -> None:
    run = tmp_path / "run"
    made.curves(run, 1.1)
    made.metadata(run, data={"kind": "decay_curve", "rate_hz": made.RATE_HZ})
    (first, *_) = [one for one in draw(collect([tmp_path])) if one.id == "pair-0"]
    target = first.figure.data[0]
    assert first.title == "Decay curves: run, test"
    # A curve with T60 = 0.4 s falls by 30 dB in 0.2 s.
    at = int(np.argmin(np.abs(np.asarray(target.x) - 0.2)))
    assert target.y[at] == pytest.approx(-30.0, abs=0.5)
