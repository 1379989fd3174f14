"""Intervals: of known distributions, of every metric, by groups, and when there is none."""

from __future__ import annotations

import math
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from orchestrator.analysis.chance import estimate
from orchestrator.analysis.chance.confidence import (
    grouped,
)
from orchestrator.analysis.chance.student import FEWEST_GROUPS
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


@given(st.integers(10, 60), st.integers(0, 2**32 - 1), st.booleans())
def test_a_mean_and_a_difference_of_means_need_no_loop(
    n_groups: int, seed: int, is_difference: bool
) -> None:
    random = np.random.default_rng(seed)
    ours, theirs = (grouped(mean_of(random.exponential(size=n_groups))) for _ in range(2))
    slow, other = (
        replace(each, value=lambda sums: sums[..., 0] / sums[..., 1]) for each in (ours, theirs)
    )
    fast = ours.minus(theirs) if is_difference else ours
    slow = slow.minus(other) if is_difference else slow
    assert (fast.added is None, slow.added is None) == (False, True)
    assert astuple(estimate(fast)) == pytest.approx(astuple(estimate(slow)), rel=1e-9)
