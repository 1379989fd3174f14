"""Importance: which parameter explains the result, and silence below twenty trials."""

from __future__ import annotations

import math

import numpy as np

from orchestrator.search.parameter_importance import FEWEST_TRIALS, importance


def trials(n: int) -> tuple[list[dict[str, object]], list[float]]:
    rng = np.random.default_rng(0)
    rates = 10 ** rng.uniform(-5, -1, n)
    widths = rng.integers(1, 9, n)
    configs: list[dict[str, object]] = [
        {"lr": float(rate), "optimizer": ("adam", "sgd")[int(rng.integers(2))], "width": int(width)}
        for rate, width in zip(rates, widths, strict=True)
    ]
    return configs, list(np.abs(np.log10(rates) + 3) + 0.01 * widths)


def test_the_parameter_that_decides_is_first() -> None:
    found = importance(*trials(60), ["lr", "optimizer", "width"])
    assert found[0].name == "lr"
    assert found[0].share > 0.8
    assert all(one.low <= one.share <= one.high for one in found)


def test_few_trials_equal_results_and_odd_values_give_nothing() -> None:
    configs, values = trials(FEWEST_TRIALS - 1)
    assert importance(configs, values, ["lr"]) == ()
    configs, values = trials(40)
    assert importance(configs, [1.0] * 40, ["lr"]) == ()
    assert importance([{"lr": [1, 2]}] * 40, values, ["lr"]) == ()
    assert importance([{"lr": 0.1}] * 40, values, ["lr"]) == ()
    assert importance(configs, [math.nan] * 40, ["lr"]) == ()
    assert importance([], [], []) == ()
