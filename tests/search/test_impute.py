"""What a failed trial counts as."""

from __future__ import annotations

import math

import pytest

from orchestrator.search.recorded import imputed
from orchestrator.sweepfile.model.spec import Goal, MetricGoal

OWN = [0.5, math.nan, 0.3, 0.4, math.inf]
OTHERS = [0.9, 0.1, math.nan]


@pytest.mark.parametrize(
    ("impute", "goal", "value"),
    [
        ("latest", "minimize", 0.4),
        ("best", "minimize", 0.3),
        ("best", "maximize", 0.5),
        ("worst", "minimize", 0.9),
        ("worst", "maximize", 0.1),
        (None, "minimize", None),
    ],
)
def test_each_word_has_its_value(impute: str | None, goal: Goal, value: float | None) -> None:
    assert imputed(MetricGoal("m", goal, impute=impute), OWN, OTHERS) == value


@pytest.mark.parametrize("impute", ["latest", "best", "worst"])
def test_without_any_value_a_failure_stays_one(impute: str) -> None:
    assert imputed(MetricGoal("m", impute=impute), [math.nan], []) is None
