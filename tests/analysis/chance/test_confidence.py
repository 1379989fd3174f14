"""Intervals: of known distributions, of every metric, by groups, and when there is none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from orchestrator.analysis.chance import estimate, holm
from orchestrator.analysis.chance.confidence import (
    FEWEST_GROUPS,
    grouped,
    student_p_value,
    student_quantile,
)
from orchestrator.metrics import evaluate, known_metrics
from orchestrator.metrics.resampling import mean_of, resampled
from orchestrator.metrics.resampling.per_sample import Sums, Weighted


def arrays_of(kind: str | None, count: int = 40) -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    if kind == "decay_curve":
        time_s = np.arange(200) / 100.0
        times = random.uniform(0.3, 1.2, size=(count, 1))
        return tuple(np.exp(-13.8 * time_s / (times * f)) for f in (1.1, 1.0))  # type: ignore[return-value]
    if kind == "binary_probability":
        labels = np.arange(count) % 2.0
        return np.round(1 / (1 + np.exp(-(labels + random.normal(size=count)))), 1), labels
    if kind == "phonemes":
        targets = [random.integers(1, 9, size=int(random.integers(2, 9))) for _ in range(count)]
        return [np.append(one[:-1], random.integers(1, 9, size=2)) for one in targets], targets
    if kind == "sar_image":
        targets = random.uniform(0.2, 0.8, size=(count, 16, 16))
        return np.clip(targets + 0.1 * random.normal(size=targets.shape), 0, 1), targets
    targets = random.normal(size=(count, 3)) + 1e4
    return targets + random.normal(size=targets.shape), targets


KINDS = [None, "decay_curve", "binary_probability", "phonemes", "sar_image"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_of_all_samples_is_the_one_of_the_table(kind: str | None) -> None:
    predictions, targets = arrays_of(kind)
    data = {"rate_hz": 100.0}
    wanted = evaluate(kind, predictions, targets, data)
    found = resampled(kind, predictions, targets, data)
    assert found
    for name, how in found.items():
        value = grouped(how).at(np.ones((1, len(targets))))[0]
        assert value == pytest.approx(wanted[name], rel=1e-9), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_choice_of_samples_is_the_metric_of_these_samples(kind: str | None) -> None:
    predictions, targets = arrays_of(kind)
    data = {"rate_hz": 100.0}
    chosen = np.random.default_rng(0).integers(0, len(targets), size=len(targets))
    counts = np.bincount(chosen, minlength=len(targets)).astype(float)[None]
    if isinstance(targets, list):
        some = [predictions[at] for at in chosen], [targets[at] for at in chosen]
    else:
        some = predictions[chosen], targets[chosen]
    wanted = evaluate(kind, *some, data)
    for name, how in resampled(kind, predictions, targets, data).items():
        assert grouped(how).at(counts)[0] == pytest.approx(wanted[name], rel=1e-8), name


def test_a_record_states_how_each_metric_is_resampled() -> None:
    for kind in KINDS:
        known = known_metrics(kind)
        found = resampled(kind, *arrays_of(kind), {"rate_hz": 100.0})
        for name, metric in known.items():
            how = found.get(name)
            stated = {Sums: "sums", Weighted: "weights", type(None): ""}[type(how)]
            assert metric.resampled == stated, name
            assert metric.source, name


@given(st.integers(40, 200), st.integers(0, 2**31))
def test_the_interval_of_a_mean_is_near_students(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(3.0, 2.0, size=count)
    found = estimate(grouped(mean_of(values)))
    assert found is not None
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count)
    assert found.low < found.value < found.high
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.35)


def test_related_samples_count_as_one() -> None:
    random = np.random.default_rng(1)
    values = np.repeat(random.normal(size=30), 10)
    groups = np.repeat(np.arange(30), 10)
    alone, together = estimate(grouped(mean_of(values))), estimate(grouped(mean_of(values), groups))
    assert alone is not None
    assert together is not None
    # Ten copies of a sample hold no more than one: the interval is √10 times as wide.
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.25)


def test_a_difference_is_paired() -> None:
    random = np.random.default_rng(2)
    shared = random.normal(size=50)
    ours, theirs = grouped(mean_of(shared + 0.1)), grouped(mean_of(shared))
    found = estimate(ours.minus(theirs))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))
    noisy = estimate(grouped(mean_of(shared + random.normal(size=50))).minus(theirs))
    assert noisy is not None
    assert noisy.low < 0 < noisy.high
    assert noisy.p_value > 0.05


def test_there_is_no_interval_of_few_groups_or_of_nothing() -> None:
    assert estimate(grouped(mean_of(np.arange(FEWEST_GROUPS - 1.0)))) is None
    assert estimate(grouped(mean_of(np.full(30, math.nan)))) is None
    same = estimate(grouped(mean_of(np.ones(30))))
    assert same is not None
    assert (same.low, same.high) == (1.0, 1.0)


def test_many_groups_take_percentiles() -> None:
    values = np.random.default_rng(4).normal(size=400)
    found = estimate(grouped(mean_of(values)))
    assert found is not None
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


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
