from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, strategies as st

from orchestrator.placement.admission.duration_estimate import Durations


def learned(took: object, configs: list[dict[str, object]]) -> Durations:
    durations = Durations()
    for config in configs:
        durations.learn(config, took(config))  # type: ignore[operator]
    return durations


def test_nobody_knows_before_a_trial_has_ended() -> None:
    durations = Durations()
    assert (durations.expect({"lr": 1}), durations.mean_s) == (None, None)
    for senseless in (0.0, -1.0, math.inf, math.nan):
        durations.learn({"lr": 1}, senseless)
    assert durations.mean_s is None


def test_trials_that_take_about_as_long_are_expected_to_take_the_same() -> None:
    durations = Durations()
    for number in range(10):
        durations.learn({"seed": number, "lr": 10.0**-number}, 100.0 + number)
    found = {durations.expect({"seed": n, "lr": 10.0**-n}) for n in range(20)}
    assert len(found) == 1
    assert found.pop() == pytest.approx(104, rel=0.13)


def test_what_lasts_longer_is_seen_in_values_that_come_back() -> None:
    grid = [
        {"epochs": e, "model": m, "lr": lr}
        for e, m, lr in itertools.product([10, 40], ["small", "large"], [0.1, 0.2, 0.3])
    ]

    def took(config: dict[str, object]) -> float:
        return float(config["epochs"]) * (3.0 if config["model"] == "large" else 1.0)  # type: ignore[arg-type]

    shown = random.Random(0).sample(grid, 7)
    durations = learned(took, shown)
    unseen = [config for config in grid if config not in shown]
    order = sorted(unseen, key=lambda config: durations.expect(config) or 0)
    assert [took(config) for config in order] == sorted(took(config) for config in unseen)
    # A value between those that were seen takes as long as the nearest.
    new = {"epochs": 38, "model": "large", "lr": 0.1}
    assert durations.expect(new) == durations.expect(new | {"epochs": 40})


def test_what_lasts_longer_is_seen_in_the_slope_of_a_number() -> None:
    draw = random.Random(1)
    configs: list[dict[str, object]] = [{"width": draw.uniform(1, 100)} for _ in range(20)]
    durations = learned(lambda config: 5 * config["width"], configs)
    narrow, wide = durations.expect({"width": 3.0}), durations.expect({"width": 80.0})
    assert narrow is not None
    assert wide is not None
    assert wide / narrow == pytest.approx(80 / 3, rel=0.4)
    assert durations.expect({"width": 1e9}) == pytest.approx(500, rel=0.4)
    assert durations.expect({"width": "auto"}) is not None


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
CONFIGS = st.dictionaries(st.sampled_from("abcd"), VALUES)


@given(
    seen=st.lists(st.tuples(CONFIGS, st.floats(1e-3, 1e7)), min_size=1, max_size=12),
    config=CONFIGS,
)
def test_any_config_gets_a_duration_near_those_that_were_seen(
    seen: list[tuple[dict[str, object], float]], config: dict[str, object]
) -> None:
    durations = Durations()
    for given_config, took in seen:
        durations.learn(given_config, took)
    expected = durations.expect(config)
    assert expected is not None
    assert 0 < expected < math.inf
