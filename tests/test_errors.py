"""The hint at the nearest right name."""

from __future__ import annotations

import pytest

from orchestrator.errors import nearest


@pytest.mark.parametrize(
    ("name", "choices", "expected"),
    [
        ("trails", ["trials", "trainer"], "trials"),
        ("rtials", ["trials"], "trials"),
        ("learningRate", ["learning_rate"], "learning_rate"),
        ("loss_val", ["val_loss", "train_loss"], "val_loss"),
        ("prune", ["pruner"], "pruner"),
        ("retries", ["metrics", "resources", "remedy"], None),
        ("low", ["value", "values", "max"], None),
        ("notes", ["steps"], None),
        ("", ["a"], None),
    ],
)
def test_only_what_may_be_meant_is_offered(
    name: str, choices: list[str], expected: str | None
) -> None:
    assert nearest(name, choices) == (f" Did you mean '{expected}'?" if expected else "")
