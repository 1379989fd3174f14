from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from orchestrator.divergence.schedule.declared import declared
from tests.trainers.speech.made import tiny
from trainers.common.schedule import Schedule
from trainers.speech.train import schedule_plan, total_batches


def rates(total: int = 100, values: list[float] | None = None, **config: Any) -> list[float]:
    """Return the rate of each batch; `values` are those of an evaluation after each batch."""
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    schedule = Schedule(optimizer, schedule_plan(tiny(lr=1.0, **config), total, 10))
    found = []
    for batch in range(total):
        found.append(schedule.lr)
        schedule.after_batch()
        if values is not None and batch < len(values):
            schedule.after_validation(values[batch])
    return found


def test_constant_stays() -> None:
    assert set(rates(lr_schedule="constant")) == {1.0}


def test_linear_falls_evenly_to_its_floor() -> None:
    found = rates(lr_schedule="linear", lr_floor=0.2)
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.6)
    assert found[99] == pytest.approx(0.2, abs=0.01)


def test_cosine_is_half_way_in_the_middle() -> None:
    found = rates(lr_schedule="cosine", lr_floor=0.0)
    assert found[50] == pytest.approx(0.5)
    assert found[25] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_warm_up_rises_from_a_tenth() -> None:
    found = rates(lr_schedule="linear", warmup_batches=10, lr_floor=0.0)
    assert found[0] == pytest.approx(0.1)
    assert found[5] == pytest.approx(0.55)
    assert found[10] == 1.0
    assert found[55] == pytest.approx(0.5)


def test_plateau_waits_for_its_patience_and_stops_at_its_floor() -> None:
    values = [0.5, 0.4, 0.4, math.nan, 0.41, 0.3, *[0.3] * 20]
    found = rates(
        values=values, lr_schedule="plateau", plateau_patience=2, plateau_factor=0.5, lr_floor=0.2
    )
    # Two evaluations without a better one pass, the third halves the rate.
    assert found[:6] == [1.0] * 5 + [0.5]
    assert found[8:10] == [0.5, 0.25]
    assert found[-1] == 0.2


def test_evaluations_do_not_move_other_schedules() -> None:
    assert rates(values=[1.0] * 50, lr_schedule="cosine") == rates(lr_schedule="cosine")


def test_a_schedule_goes_on_where_it_was() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    config = tiny(lr=1.0, lr_schedule="plateau", plateau_patience=0)
    first = Schedule(optimizer, schedule_plan(config, 9, 10))
    for value in (1.0, 1.0, 1.0):
        first.after_batch()
        first.after_validation(value)
    second = Schedule(optimizer, schedule_plan(config, 9, 10))
    second.load_state_dict(first.state_dict())
    assert second.lr == 0.25
    second.after_validation(0.9)
    second.after_validation(0.9)
    assert second.lr == 0.125


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine", "plateau"])
def test_the_declared_schedule_is_the_one_that_is_followed(kind: str) -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    config = tiny(lr=0.1, lr_schedule=kind, warmup_batches=7, plateau_patience=5)
    schedule = Schedule(optimizer, schedule_plan(config, 100, 10))
    words = schedule.declared()
    assert words is not None
    known = declared(words).schedule
    for batch in range(100):
        low, high = known.bounds(batch, batch)
        assert low - 1e-9 <= schedule.lr <= high + 1e-9
        schedule.after_batch()
        schedule.after_validation(1.0)
    schedule.restart(30)
    again = schedule.declared()
    assert again is not None
    assert again["start"] == 30
    known = declared(again)
    assert known.schedule.at(0) == pytest.approx(schedule.lr, rel=1e-6)


def test_a_schedule_that_begins_anew_ends_with_the_training() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    config = tiny(lr=1.0, lr_schedule="linear", lr_floor=0.0)
    schedule = Schedule(optimizer, schedule_plan(config, 100, 10))
    schedule.restart(60)
    assert schedule.lr == 1.0
    for _ in range(20):
        schedule.after_batch()
    assert schedule.lr == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("batches", "epochs", "total"), [(7, None, 7), (None, 3, 30), (7, 3, 7), (70, 3, 30)]
)
def test_the_budget_that_ends_first_counts(
    batches: int | None, epochs: int | None, total: int
) -> None:
    assert total_batches(tiny(batches=batches, epochs=epochs), per_epoch=10) == total
