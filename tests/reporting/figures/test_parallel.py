"""Parallel coordinates: places on each scale, and what a line shows of its run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.reporting import collect, draw
from orchestrator.reporting.figures.parallel import axis
from tests.reporting.made_report import a_sweep


def test_a_wide_axis_begins_as_logarithmic_and_has_all_scales() -> None:
    found = axis("lr", [1.0, 0.1, 0.001])
    assert list(found.scales) == ["log", "linear", "quantile"]
    assert found.scales["log"].at == pytest.approx([1.0, 2 / 3, 0.0], abs=1e-3)
    assert found.scales["quantile"].at == [1.0, 0.5, 0.0]
    assert found.scales["log"].ticks[0] == (0.0, "0.001")


def test_text_none_and_what_is_not_finite() -> None:
    assert axis("optimizer", ["sgd", "adam", None]).scales["text"].at == [1.0, 0.5, 0.0]
    mixed = axis("dropout", [0.1, None, 0.3, math.nan])
    assert mixed.scales["linear"].at == [0.0, None, 1.0, None]
    assert axis("same", [2, 2]).scales["linear"].at == [0.5, 0.5]
    assert "log" not in axis("shift", [-1, 2]).scales


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(numbers | st.none() | st.integers(-10, 10), min_size=1, max_size=30))
def test_places_are_within_the_axis_and_in_the_order_of_the_values(
    values: list[float | None],
) -> None:
    if all(value is None for value in values):
        return
    for scale in axis("any", values).scales.values():
        places = [
            (value, place)
            for value, place in zip(values, scale.at, strict=True)
            if value is not None and place is not None
        ]
        assert len(places) == sum(value is not None for value in values)
        assert all(0.0 <= place <= 1.0 for _, place in places)
        ordered = [place for _, place in sorted(places)]
        assert ordered == sorted(ordered)


def test_a_line_names_config_and_metrics(tmp_path: Path) -> None:
    a_sweep(tmp_path)
    figure = next(one for one in draw(collect([tmp_path])) if one.id == "parallel").figure
    known = figure.data[0].meta
    assert [one["label"] for one in known["axes"]] == ["lr", "optimizer", "val_mae"]
    assert known["texts"][0].startswith("<b>lr=1</b><br>val_mae 0.1<br>lr: 1.0<br>optimizer: adam")
    assert known["shades"] == [0, 6, 11]
