import math

import pytest
import torch
from torch.optim import SGD

from orchestrator.divergence.schedule.declared import declared
from trainers.common.schedule import Schedule
from trainers.sar.config import Config
from trainers.sar.train import schedule_plan


def schedule(**values: object) -> tuple[Schedule, SGD]:
    config = Config(lr=1.0, **values)  # type: ignore[arg-type]  # values of many types by name
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return Schedule(optimizer, schedule_plan(config, 10)), optimizer


def rates(found: Schedule, count: int) -> list[float]:
    values = []
    for _ in range(count):
        values.append(found.lr)
        found.after_batch()
    return values


def test_warm_up_rises_from_a_tenth_over_three_epochs() -> None:
    found, _ = schedule(epochs=10)
    values = rates(found, 100)
    assert values[0] == pytest.approx(0.1)
    assert values[15] == pytest.approx(0.55)
    assert values[30:] == [1.0] * 70
    assert values == sorted(values)


def test_cosine_ends_at_its_floor() -> None:
    found, _ = schedule(epochs=10, lr_schedule="cosine", lr_floor=0.02)
    values = rates(found, 100)
    assert max(values) == values[30] == 1.0
    assert found.lr == pytest.approx(0.02)
    middle = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * 0.5))
    assert values[65] == pytest.approx(middle)


def test_one_cycle_agrees_with_pytorch() -> None:
    found, _ = schedule(epochs=10, lr_schedule="onecycle", onecycle_pct_start=0.3)
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    known = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=100, pct_start=0.3, div_factor=25, final_div_factor=1000
    )
    for value in rates(found, 100):
        assert value == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        if known.last_epoch < 99:
            known.step()


@pytest.mark.parametrize("kind", ["constant", "cosine", "plateau", "onecycle"])
def test_the_declared_schedule_is_the_one_that_is_followed(kind: str) -> None:
    found, _ = schedule(epochs=10, lr_schedule=kind)
    words = found.declared()
    assert words is not None
    known = declared(words).schedule
    for batch, value in enumerate(rates(found, 100)):
        low, high = known.bounds(batch, batch)
        assert low - 1e-9 <= value <= high + 1e-9
    found.restart(30)
    again = found.declared()
    assert again is not None
    assert again["start"] == 30
    known = declared(again)
    assert known.schedule.at(0) == pytest.approx(found.lr, rel=1e-6)


def test_plateau_falls_after_its_patience_and_goes_on_after_a_restart() -> None:
    values = {"epochs": 30, "lr_schedule": "plateau", "warmup_epochs": 0.0, "plateau_patience": 1}
    found, optimizer = schedule(**values)
    psnrs = [10.0, 11.0, 11.001, math.nan, 11.0, 12.0]
    seen = []
    for psnr in psnrs[:3]:
        found.after_batch()
        found.after_validation(psnr)
        seen.append(found.lr)
    resumed, optimizer = schedule(**values)
    resumed.load_state_dict(found.state_dict())
    for psnr in psnrs[3:]:
        resumed.after_batch()
        resumed.after_validation(psnr)
        seen.append(resumed.lr)
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    assert optimizer.param_groups[0]["lr"] == 0.5
