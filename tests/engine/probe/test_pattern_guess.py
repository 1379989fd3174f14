from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.probe.pattern_guess import propose_patterns


@pytest.mark.parametrize(
    ("lines", "names", "reports"),
    [
        (
            ["Epoch 1/2 - loss: 0.5 - val_loss: 0.6", "Epoch 2/2 - loss: 0.4 - val_loss: 0.5"],
            ("loss", "val_loss"),
            2,
        ),
        (["Epoch 2/50 | Train: 0.19 | Val: 0.21 | LR: 1e-4"], ("train_loss", "val_loss"), 1),
        (
            ["[12/200] train loss: nan | Validation accuracy 91.2%"],
            ("train_loss", "val_accuracy"),
            1,
        ),
        (["{'loss': 0.5, 'grad_norm': 1.2, 'epoch': 0.5}"], ("loss",), 1),
        (["Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300"], ("loss",), 1),
    ],
)
def test_lines_as_people_print_them(lines: list[str], names: tuple[str, ...], reports: int) -> None:
    (found,) = propose_patterns(["reading data, batch_size: 3", *lines])
    assert (found.names, found.reports) == (names, reports)


def test_lines_of_several_kinds_have_a_pattern_each() -> None:
    found = propose_patterns(["step 5: mse 0.1", "step 6: mse 0.1", "test mae = 3", "time 5.0 s"])
    assert [item.names for item in found] == [("mse",), ("test_mae",)]


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_line_makes_patterns_that_compile_or_none(line: str) -> None:
    for item in propose_patterns([line]):
        assert re.compile(item.pattern).groupindex
        assert item.reports > 0
