"""Aligned sequences, and the values that are read from decay curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.reporting.figures.alignment import align, aligned
from orchestrator.reporting.figures.decay_curves import decay_curves
from trainers.edc.acoustics import decay_parameters

tokens = st.lists(st.integers(1, 4), max_size=12)


@given(tokens, tokens)
def test_an_alignment_keeps_both_sequences(prediction: list[int], target: list[int]) -> None:
    columns = align(prediction, target)
    assert [found for found, _, _ in columns if found != "–"] == [str(one) for one in prediction]
    assert [wanted for _, wanted, _ in columns if wanted != "–"] == [str(one) for one in target]
    assert all((found == wanted) == (kind == 0) for found, wanted, kind in columns)


def test_edits_are_told_apart() -> None:
    kinds = [kind for _, _, kind in align([1, 2, 9], [1, 3, 4, 9])]
    assert (kinds[0], kinds[-1], sorted(kinds[1:-1])) == (0, 0, [1, 2])
    assert [kind for _, _, kind in align([5, 6], [5])] == [0, 3]
    assert [kind for _, _, kind in align([5], [5, 6])] == [0, 2]
    assert [kind for _, _, kind in align([5], [6])] == [1]
    figure = aligned([np.array([5, 6])], [np.array([5, 7])])
    assert list(figure.data[0].text[1]) == ["5", "≠ 6"]


def test_the_values_of_a_decay_are_those_of_its_definition() -> None:
    rate_hz = 1000.0
    time_s = np.arange(1500) / rate_hz
    targets = np.exp(-13.8155 * time_s / np.array([[0.4], [0.8]]))
    predictions = np.exp(-13.8155 * time_s / np.array([[0.5], [0.8]]))
    figure = decay_curves(predictions, targets, rate_hz)
    names = [trace.name for trace in figure.data if "line" not in trace.name]
    known = decay_parameters(targets, rate_hz)
    assert names[0].startswith("0 target: EDT 0.4 s, T20 0.4 s, C50 ")
    assert names[1].startswith("0 prediction: EDT 0.5 s, T20 0.5 s")
    shown = float(names[0].split("C50 ")[1].split()[0])
    assert shown == pytest.approx(known["c50_db"][0], abs=0.01)
    slope = next(trace for trace in figure.data if trace.name == "0 target: T20 line")
    assert slope.x[1] == pytest.approx(0.4, abs=1e-3), "where it reaches −60 dB"
