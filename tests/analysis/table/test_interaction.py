"""Two parameters interact if the best value of one depends on the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.measure.row import Row
from orchestrator.analysis.relate.interaction import interaction

RANDOM = np.random.default_rng(0)


def rows(count: int, *, product: float, seed: int = 0, kind: bool = False) -> list[Row]:
    """Return trials whose error depends on both parameters, and on their product."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        rate, drop = random.uniform(-1, 1, 2)
        side = 1.0 if drop > 0 else -1.0
        acts = side if kind else drop
        error = (rate - 0.3) ** 2 + 0.5 * acts + product * rate * acts
        config = {
            "lr": 10 ** (2 * rate - 3),
            "drop": ("high" if side > 0 else "low") if kind else drop,
            "same": 1,
            "seed": number,
        }
        found.append(
            Row(
                trial=f"t{number}",
                path=Path(f"t{number}"),
                config=config,
                metrics={"val_mae": error + 0.1 * random.normal()},
            )
        )
    return found


@pytest.mark.parametrize("kind", [False, True])
def test_a_product_is_found(kind: bool) -> None:
    found = interaction(rows(60, product=0.8, kind=kind), "val_mae")
    assert found is not None
    assert found.names == ("lr", "drop")
    assert 0.1 < found.share < 0.9
    assert found.n_trials == 60


def test_parameters_that_act_alone_are_seldom_called_a_pair() -> None:
    called = sum(
        interaction(rows(40, product=0.0, seed=seed), "val_mae") is not None for seed in range(15)
    )
    assert called <= 3


def test_few_trials_or_no_spread_are_silent() -> None:
    assert interaction(rows(19, product=5.0), "val_mae") is None
    assert interaction(rows(60, product=0.8), "val_nothing") is None
    flat = [Row(trial="t", path=Path("t"), metrics={"val_mae": 1.0}) for _ in range(30)]
    assert interaction(flat, "val_mae") is None


def test_a_diverged_trial_does_not_decide() -> None:
    some = rows(60, product=0.8)
    some[3] = Row(trial="t3", path=Path("t3"), config=some[3].config, metrics={"val_mae": 1e30})
    found = interaction(some, "val_mae")
    assert found is not None
    assert found.names == ("lr", "drop")
