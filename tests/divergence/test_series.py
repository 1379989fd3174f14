"""The running statistics of a series against whole series."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from orchestrator.divergence.series import (
    NOISE_REPORTS,
    Series,
    SlidingMedian,
    Standing,
    ThinnedPoints,
    median,
)

finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1, max_size=80))
def test_noise_is_the_median_of_the_last_differences(differences: list[float]) -> None:
    series, sliding, value = Series(), SlidingMedian(NOISE_REPORTS), 0.0
    series.add(value, suspected=False)
    for difference in differences:
        value += difference
        series.add(value, suspected=False)
        sliding.add(difference)
    standing = series.measure(value)
    expected = statistics.median(abs(item) for item in differences[-NOISE_REPORTS:])
    assert standing is not None
    assert standing.noise == pytest.approx(1.4826 * expected, abs=1e-6)
    assert sliding.value == pytest.approx(expected)


@given(st.lists(finite, min_size=2, max_size=60))
def test_best_is_the_least_median_of_three_before_now(values: list[float]) -> None:
    series = Series()
    for value in values[:-1]:
        series.add(value, suspected=False)
    standing = series.measure(values[-1])
    assert standing is not None
    before = values[:-1]
    medians = [statistics.median(before[end - 3 : end]) for end in range(3, len(before) + 1)]
    # Fewer than three reports have no median: the greater of two counts.
    assert standing.best == pytest.approx(min([before[0], *medians]))
    assert standing.first == before[0]
    assert standing.lowest == min(before)
    assert standing.count == len(values)


def test_noise_does_not_learn_from_suspected_reports() -> None:
    series = Series()
    for value in (1.0, 0.9, 0.8, 0.7):
        series.add(value, suspected=False)
    before = series.measure(0.6)
    for value in (50.0, 3.0, 80.0):
        series.add(value, suspected=True)
    after = series.measure(0.6)
    assert before is not None
    assert after is not None
    assert after.noise == before.noise == pytest.approx(1.4826 * 0.1)


def test_the_first_value_is_compared_with_nothing() -> None:
    assert Series().measure(1.0) is None


@given(st.lists(finite, min_size=1, max_size=30))
def test_median(values: list[float]) -> None:
    assert median(sorted(values)) == pytest.approx(statistics.median(values), abs=1e-9)


def standing(value: float, first: float, best: float) -> Standing:
    return Standing(count=10, value=value, first=first, best=best, lowest=best, noise=0.0)


def test_lost_is_the_part_of_the_progress() -> None:
    assert standing(0.75, 1.0, 0.5).lost == pytest.approx(0.5)
    assert standing(0.5, 1.0, 0.5).lost == 0.0
    assert standing(2.0, 1.0, 1.0).lost == 0.0


def test_a_loss_that_fell_threefold_is_measured_by_its_logarithm_too() -> None:
    assert standing(0.1, 1.0, 0.001).lost == pytest.approx(2 / 3)
    assert standing(-0.5, 1.0, -1.0).lost == pytest.approx(0.25)


@given(st.integers(1, 500))
def test_thinned_points_span_the_whole_series(count: int) -> None:
    thinned = ThinnedPoints(16)
    for step in range(count):
        thinned.add(step, -step)
    steps = [step for step, _ in thinned.points]
    assert thinned.count == count
    assert len(steps) <= 16
    assert steps[0] == 0
    assert len({after - before for before, after in pairwise(steps)}) <= 1
    assert steps[-1] >= (count - 1) / 2
