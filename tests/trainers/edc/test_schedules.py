import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from orchestrator.divergence.schedule.declared import declared
from orchestrator.divergence.schedule.rate_audit import audit
from trainers.common.schedule import Schedule, SchedulePlan
from trainers.edc.config import Config
from trainers.edc.train import schedule_plan


def optimizer(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def rates(config: Config, batches_per_epoch: int) -> list[float]:
    """The rate of every batch of a whole training."""
    schedule = Schedule(optimizer(config.lr), schedule_plan(config, batches_per_epoch))
    found = []
    for _ in range(config.epochs * batches_per_epoch):
        found.append(schedule.lr)
        schedule.after_batch()
    return found


@pytest.mark.parametrize(
    "values",
    [
        {"lr_schedule": "constant"},
        {"lr_schedule": "constant", "warmup_epochs": 4.0},
        {"lr_schedule": "cosine", "warmup_epochs": 2.5, "lr_floor": 0.1},
        {"lr_schedule": "onecycle"},
        {"lr_schedule": "plateau", "warmup_epochs": 2.0},
    ],
)
def test_what_is_declared_is_what_the_rate_does(values: dict[str, Any]) -> None:
    config = Config(lr=1e-3, epochs=30, **values)
    schedule = Schedule(optimizer(config.lr), schedule_plan(config, 7))
    said = schedule.declared()
    assert said is not None
    per_epoch = rates(config, 7)[6::7]
    points = [(float(step), rate) for step, rate in enumerate(per_epoch, 1)]
    assert audit(points, declared(said), last_step=30) == []
    if values["lr_schedule"] != "plateau":
        stuck = [(step, points[3][1] * 0.7) for step, _ in points]
        assert audit(stuck, declared(said), last_step=30)


def test_a_schedule_that_restarts_goes_over_what_is_left() -> None:
    config = Config(lr=1e-3, epochs=30, lr_schedule="onecycle")
    schedule = Schedule(optimizer(), schedule_plan(config, 2))
    schedule.restart(20)
    short = Config(lr=1e-3, epochs=20, lr_schedule="onecycle")
    expected = rates(short, 2)
    found = []
    for _ in range(40):
        found.append(schedule.lr)
        schedule.after_batch()
    assert found == pytest.approx(expected)
    said = schedule.declared()
    assert said is not None
    points = [(20 / 2 + (n + 1) / 2, rate) for n, rate in enumerate(found) if n % 2]
    assert audit(points, declared(said), last_step=30) == []
    whole = {**said, "start": 0}
    assert audit(points, declared(whole), last_step=30), "without its start it does not fit"
    again = Schedule(optimizer(), schedule_plan(config, 2))
    again.load_state_dict(schedule.state_dict())
    assert again.lr == schedule.lr
    assert [again.fraction(batch) for batch in range(40)] == [
        schedule.fraction(batch) for batch in range(40)
    ]


def test_constant_stays() -> None:
    assert rates(Config(lr=0.5, epochs=3), 4) == [0.5] * 12


@given(
    total=st.integers(20, 300),
    rise=st.floats(0.1, 0.9),
    div=st.floats(1.5, 100.0),
    final_div=st.floats(1.5, 1e4),
)
@settings(max_examples=40, deadline=None)
def test_one_cycle_is_pytorchs(total: int, rise: float, div: float, final_div: float) -> None:
    config = Config(
        lr=3e-3,
        epochs=total,
        lr_schedule="onecycle",
        onecycle_pct_start=rise,
        onecycle_div=div,
        onecycle_final_div=final_div,
    )
    theirs = optimizer()
    reference = OneCycleLR(
        theirs,
        max_lr=3e-3,
        total_steps=total,
        pct_start=rise,
        div_factor=div,
        final_div_factor=final_div,
        cycle_momentum=False,
    )
    expected = []
    for step in range(total):
        expected.append(theirs.param_groups[0]["lr"])
        if step < total - 1:
            theirs.step()
            reference.step()
    assert rates(config, 1) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_one_cycle_moves_with_batches_so_its_end_is_reached() -> None:
    config = Config(lr=3e-3, epochs=10, lr_schedule="onecycle")
    found = rates(config, 50)
    assert found[0] == pytest.approx(1.2e-4)
    assert max(found) == pytest.approx(3e-3)
    assert found[-1] == pytest.approx(1.2e-7)


def test_cosine_falls_from_the_peak_to_its_floor() -> None:
    found = rates(Config(lr=1.0, epochs=10, lr_schedule="cosine", lr_floor=0.1), 10)
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1, abs=1e-3)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("kind", ["constant", "cosine", "plateau"])
def test_warm_up_rises_by_batches_from_a_tenth(kind: str) -> None:
    found = rates(Config(lr=1.0, epochs=8, lr_schedule=kind, warmup_epochs=1.5), 10)
    assert found[0] == pytest.approx(0.1)
    assert found[15] == 1.0
    steps = [after - before for before, after in itertools.pairwise(found[:16])]
    assert steps == pytest.approx([0.9 / 15] * 15)


@given(
    values=st.lists(st.floats(0.0, 1.0), max_size=60),
    patience=st.integers(0, 4),
    factor=st.floats(0.1, 0.9),
)
@settings(max_examples=60, deadline=None)
def test_plateau_is_pytorchs(values: list[float], patience: int, factor: float) -> None:
    theirs = optimizer()
    reference = ReduceLROnPlateau(
        theirs, factor=factor, patience=patience, threshold=1e-4, min_lr=0.01, eps=0.0
    )
    plan = SchedulePlan(
        "plateau", 1.0, len(values) + 1, 1, floor=0.01, factor=factor, patience=patience
    )
    ours = Schedule(optimizer(), plan)
    for value in values:
        reference.step(value)
        ours.after_batch()
        ours.after_validation(value)
        assert ours.lr == pytest.approx(theirs.param_groups[0]["lr"])


def test_plateau_counts_validations_and_not_batches() -> None:
    config = Config(lr=1.0, epochs=9, lr_schedule="plateau", plateau_patience=1)
    schedule = Schedule(optimizer(), schedule_plan(config, 100))
    found = []
    for _ in range(6):
        for _ in range(100):
            schedule.after_batch()
        schedule.after_validation(0.5)
        found.append(schedule.lr)
    assert found == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_nan_is_no_improvement() -> None:
    schedule = Schedule(optimizer(), SchedulePlan("plateau", 1.0, 9, 1, factor=0.5, patience=0))
    schedule.after_batch()
    schedule.after_validation(float("nan"))
    assert schedule.lr == 0.5


@pytest.mark.parametrize("kind", ["constant", "cosine", "plateau", "onecycle"])
def test_a_restored_schedule_goes_on_where_it_was(kind: str) -> None:
    config = Config(lr=1.0, epochs=6, lr_schedule=kind, warmup_epochs=0.5, plateau_patience=0)

    def run(schedule: Schedule, epochs: range) -> list[float]:
        found = []
        for epoch in epochs:
            for _ in range(5):
                found.append(schedule.lr)
                schedule.after_batch()
            schedule.after_validation(1.0 if epoch % 2 else 0.5)
        return found

    whole = run(Schedule(optimizer(), schedule_plan(config, 5)), range(6))
    first = Schedule(optimizer(), schedule_plan(config, 5))
    begun = run(first, range(3))
    second = Schedule(optimizer(), schedule_plan(config, 5))
    second.load_state_dict(first.state_dict())
    assert begun + run(second, range(3, 6)) == whole
