"""Rank correlations of stages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import spearmanr

from orchestrator.analysis.relate.noise import rank_correlation

pairs = st.lists(
    st.tuples(st.integers(-5, 5).map(float), st.integers(-5, 5).map(float)), min_size=4, max_size=30
)


@given(pairs)
def test_it_is_spearmans_with_ties_shared(found: list[tuple[float, float]]) -> None:
    first, second = [one for one, _ in found], [two for _, two in found]
    ours = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(ours.value)
        return
    assert ours.value == pytest.approx(spearmanr(first, second).statistic)
    assert -1 <= ours.low <= ours.value <= ours.high <= 1


def test_three_trials_have_no_interval_and_perfect_agreement_has_one() -> None:
    assert math.isnan(rank_correlation([1, 2, 3], [1, 2, 3]).low)
    found = rank_correlation(range(6), range(6))
    assert found.value == 1.0
    assert 0.0 < found.low < 1.0


def test_its_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    truth = 6 / math.pi * math.asin(0.6 / 2)  # Spearman's of a bivariate normal with rho 0.6
    inside = 0
    for _ in range(400):
        one, two = chance.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=30).T
        found = rank_correlation(one, two)
        inside += found.low <= truth <= found.high
    assert 0.9 < inside / 400 < 0.99
