"""By how much a condition is missed."""

from __future__ import annotations

import pytest

from orchestrator.analysis.trial_values import Facts, joint_facts
from orchestrator.sweepfile.conditions.condition import shortfall
from orchestrator.sweepfile.conditions.grammar import parse

FACTS = Facts(
    {"per": 0.41, "mse": 0.2, "lr": 0.1, "stable": False, "model": "lstm", "train_mse": 0.1},
    [(5, {"loss": 0.3})],
)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("per <= 0.35", "per is 0.41, 0.06 too high"),
        ("per <= 0.35 and stable", "per is 0.41, 0.06 too high and it is not stable"),
        (
            "per <= 0.35 or lr > 0.2",
            "per is 0.41, 0.06 too high and also lr is 0.1, 0.1 too low",
        ),
        ("per: 0.1..0.3", "per is 0.41, 0.11 too high"),
        ("mse/train_mse < 1.5", "mse/train_mse is 2, 0.5 too high"),
        ("loss@5 < 0.2", "loss@5 is 0.3, 0.1 too high"),
        ("loss@9 < 0.2", "loss@9 is not known"),
        ("improving", "improving is not known"),
        ("mse < train_mse", "mse is 0.2, 0.1 too high"),
        ("not per > 0.1", "not per > 0.1 does not hold"),
        ("lr == 0.2", "lr is 0.1"),
        ("per > 0.1", ""),
    ],
)
def test_what_is_missed_is_said(condition: str, words: str) -> None:
    assert shortfall(parse(condition), FACTS.values, FACTS.at) == words


def test_seeds_are_joined_to_their_mean() -> None:
    many = [
        Facts(
            {"complete": True, "stable": True, "mae": 0.1, "lr": 0.5, "seed": 1}, [(1, {"a": 1})]
        ),
        Facts(
            {"complete": True, "stable": False, "mae": 0.3, "lr": 0.5, "seed": 2}, [(1, {"a": 3})]
        ),
        Facts({"complete": False, "stable": True, "mae": 9.0, "lr": 0.5, "name": "x"}),
    ]
    joint = joint_facts(many)
    assert joint.values["mae"] == pytest.approx(0.2), "of those that ended well"
    assert (joint.values["complete"], joint.values["stable"]) == (False, False)
    assert joint.values["lr"] == 0.5
    assert "name" not in joint.values
    assert joint.at("a", 1) == 2.0
