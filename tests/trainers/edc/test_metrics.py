"""Metrics of predicted decay curves."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from tests.trainers.edc.test_acoustics import exponential
from trainers.edc import metrics
from trainers.edc.metrics import GOALS, errors, evaluate

T60 = np.array([0.2, 0.5, 0.9, 1.4])
TARGETS = exponential(T60, 500.0, 1000)


def test_a_perfect_prediction() -> None:
    found = evaluate(TARGETS, TARGETS, rate_hz=500)
    for name in ("edt", "t20", "c50", "c50_edcsum"):
        assert found[f"{name}_mae"] == found[f"{name}_rmse"] == 0
        assert found[f"{name}_r2"] == 1
    assert not any(name.endswith("undefined") for name in found)
    assert set(found) < set(GOALS)


def test_errors_of_known_decays() -> None:
    shift = np.array([0.1, -0.1, 0.05, -0.3])
    found = evaluate(exponential(T60 + shift, 500.0, 1000), TARGETS, rate_hz=500.0)
    for name in ("edt", "t20"):
        assert found[f"{name}_mae"] == pytest.approx(np.abs(shift).mean())
        assert found[f"{name}_rmse"] == pytest.approx(math.sqrt((shift**2).mean()))
        expected = 1 - (shift**2).sum() / ((T60 - T60.mean()) ** 2).sum()
        assert found[f"{name}_r2"] == pytest.approx(expected)


def test_a_pair_that_is_undefined_is_left_out_and_counted() -> None:
    predictions = TARGETS.copy()
    predictions[1] = 1.0  # never falls: no EDT, no T20, no C50
    predictions[2] = np.maximum(predictions[2], 0.05)  # stops at −13 dB: no T20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(predictions, TARGETS, rate_hz=500.0)
    assert found["edt_undefined"] == 1
    assert found["t20_undefined"] == 2
    assert found["c50_undefined"] == 1
    assert "c50_edcsum_undefined" not in found
    assert found["t20_mae"] == found["edt_mae"] == 0
    assert found["c50_edcsum_mae"] > 0


def test_nothing_defined_is_nan_not_an_error() -> None:
    """A run that failed outright: noise about 0.25, as in the published failure."""
    noise = np.random.default_rng(0).normal(0.25, 0.02, TARGETS.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(noise, TARGETS, rate_hz=500.0)
        zeros = evaluate(np.zeros_like(TARGETS), TARGETS, rate_hz=500.0)
    assert found["t20_undefined"] == len(T60)
    assert math.isnan(found["t20_mae"])
    assert math.isnan(found["t20_r2"])
    assert all(math.isnan(v) for name, v in zeros.items() if not name.endswith("_undefined"))
    assert zeros["c50_undefined"] == len(T60)


def test_predictions_are_read_against_the_level_of_their_target() -> None:
    found = evaluate(0.5 * TARGETS, TARGETS, rate_hz=500.0)
    assert found["edt_mae"] == pytest.approx(np.mean(T60) * 6 * 10 * math.log10(2) / 60)
    assert found["t20_mae"] == pytest.approx(0, abs=1e-9)


def test_unequal_shapes() -> None:
    with pytest.raises(ValueError, match="must have one shape"):
        evaluate(TARGETS[:2], TARGETS, rate_hz=500.0)


def test_errors_equal_their_definitions_in_chunks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.edc import acoustics

    random = np.random.default_rng(0)
    targets = random.normal(2, 1, (31, 40)).astype(np.float32)
    predictions = targets + random.normal(0, 0.3, targets.shape).astype(np.float32)
    exact = predictions.astype(float) - targets
    expected = {
        "mae": np.abs(exact).mean(),
        "rmse": math.sqrt((exact**2).mean()),
        "r2": 1 - (exact**2).mean() / targets.astype(float).var(),
    }
    assert errors(predictions, targets) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(acoustics, "_CHUNK", 100)
    assert errors(predictions, targets) == pytest.approx(expected, rel=1e-9)


def test_errors_without_spread_or_values() -> None:
    constant = np.full((3, 5), 0.1, dtype=np.float32)
    assert math.isnan(errors(constant + 1, constant)["r2"])
    assert errors(constant, constant)["mae"] == 0
    assert all(math.isnan(value) for value in errors(np.ones(0), np.ones(0)).values())


def test_goals_say_which_way_is_better() -> None:
    for name, goal in GOALS.items():
        assert goal == ("maximize" if name.endswith("r2") else "minimize")
    assert metrics.GOALS["c50_undefined"] == "minimize"


def test_sums_are_float64_whatever_the_arrays_are() -> None:
    """A mean or a sum in float32 would lose the digits that differ."""
    random = np.random.default_rng(1)
    targets = (1e4 + random.normal(0, 1e-2, (300, 500))).astype(np.float32)
    predictions = targets + random.normal(0, 1e-3, targets.shape).astype(np.float32)
    wide, wanted = predictions.astype(np.float64), targets.astype(np.float64)
    squares = np.square(wide - wanted).sum() / np.square(wanted - wanted.mean()).sum()
    assert errors(predictions, targets)["r2"] == pytest.approx(1 - squares, rel=1e-9)
