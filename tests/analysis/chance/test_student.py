from __future__ import annotations

import pytest
from scipy import stats

from orchestrator.analysis.chance.student import holm, student_p_value, student_quantile


@pytest.mark.parametrize("freedom", [1, 2.5, 5, 9, 10.5, 30, 1e6])
def test_students_quantile_is_scipys(freedom: float) -> None:
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-4)


@pytest.mark.parametrize("freedom", [9, 30, 300])
@pytest.mark.parametrize("ratio", [0.5, 2.0, 5.0])
def test_students_p_value_is_scipys(ratio: float, freedom: float) -> None:
    known = 2 * stats.t.sf(ratio, freedom)
    assert student_p_value(ratio, freedom) == pytest.approx(known, rel=0.05)


def test_holms_correction_is_the_one_of_its_example() -> None:
    # Holm 1979 rejects while p(k) <= 0.05 / (m − k + 1).
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"a", "d"}
    assert holm({"a": 0.02, "b": 0.02}) == {"a", "b"}
    assert holm({"a": 0.03, "b": 0.04}) == set()
    assert holm({}) == set()
    assert holm({"a": 0.01, "b": 0.02}, 10) == set()
