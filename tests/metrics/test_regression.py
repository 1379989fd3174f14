"""MAE, RMSE and R² against their definitions, also where rounding or overflow lies in wait."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.metrics import ArrayProblem, known_metrics, metric
from orchestrator.metrics.registry import regression_metrics


def test_worked_by_hand() -> None:
    metrics = regression_metrics(np.array([[1.0, 2.0], [3.0, 8.0]]), np.array([[1, 4], [3, 4]]))
    # errors 0, -2, 0, 4; targets about their mean 3: 4 + 1 + 0 + 1
    expected = {"mae": 1.5, "rmse": math.sqrt(5.0), "r2": pytest.approx(1 - 20 / 6)}
    assert {name: metrics[name] for name in expected} == expected


def test_names_are_those_of_the_records() -> None:
    assert list(regression_metrics(np.ones(2), np.arange(2.0))) == list(known_metrics())


@given(
    hnp.arrays(np.float64, st.integers(2, 60), elements=st.floats(-1e3, 1e3)),
    st.randoms(use_true_random=False),
)
def test_equals_the_two_pass_definition(targets: np.ndarray, random: object) -> None:
    predictions = targets[::-1] * 0.5 + 1
    metrics = regression_metrics(predictions, targets)
    error = predictions - targets
    assert metrics["mae"] == pytest.approx(np.abs(error).mean())
    assert metrics["rmse"] == pytest.approx(math.sqrt((error**2).mean()))
    total = ((targets - targets.mean()) ** 2).sum()
    if np.ptp(targets) > 1e-6:
        assert metrics["r2"] == pytest.approx(1 - (error**2).sum() / total, rel=1e-6, abs=1e-9)


def test_blocks_do_not_alter_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(3, 2, (41, 29)).astype(np.float32)
    predictions = (targets + random.normal(0, 0.1, targets.shape)).astype(np.float32)
    whole = regression_metrics(predictions, targets)
    monkeypatch.setattr(metric, "_BLOCK", 17)
    assert regression_metrics(predictions, targets) == pytest.approx(whole, rel=1e-12)


def test_a_huge_offset_costs_no_digits() -> None:
    random = np.random.default_rng(1)
    targets = random.normal(size=300_000)
    predictions = targets + random.normal(0, 0.1, targets.size)
    plain = regression_metrics(predictions, targets)["r2"]
    moved = regression_metrics(predictions + 1e8, targets + 1e8)["r2"]
    assert moved == pytest.approx(plain, abs=1e-6)  # E[x²] − E[x]² would be off by far more


def test_sums_of_single_precision_arrays_are_double() -> None:
    targets = np.full(3_000_000, 0.1, dtype=np.float32)
    predictions = targets + np.float32(1.0)
    exact = float(np.float64(predictions[0]) - np.float64(targets[0]))
    assert regression_metrics(predictions, targets)["mae"] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_constant_targets_have_no_r2(value: float) -> None:
    targets = np.full((7, 1001), value, dtype=np.float32)
    assert math.isnan(regression_metrics(targets, targets)["r2"])
    assert math.isnan(regression_metrics(targets + 1, targets)["r2"])
    assert regression_metrics(targets, targets)["rmse"] == 0


def test_flattened_is_not_the_average_of_columns() -> None:
    targets = np.array([[100.0, 0.0], [101.0, 1.0]])
    predictions = targets[::-1]
    assert regression_metrics(predictions, targets)["r2"] == pytest.approx(1 - 4 / 10001)


def test_values_that_are_not_finite_or_overflow() -> None:
    targets = np.array([1.0, 2.0])
    assert all(math.isnan(v) for v in regression_metrics(np.array([1, np.nan]), targets).values())
    big = regression_metrics(np.array([1e200, -1e200]), targets)
    assert big["mae"] == pytest.approx(1e200)
    assert big["rmse"] == math.inf
    assert big["r2"] == -math.inf


def test_empty_and_unequal() -> None:
    assert all(math.isnan(v) for v in regression_metrics(np.ones(0), np.ones(0)).values())
    with pytest.raises(ArrayProblem, match="shapes differ"):
        regression_metrics(np.ones((3, 1)), np.ones((1, 3)))
