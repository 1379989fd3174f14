"""The helper that watches gradients and parameters."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainers.common.gradients import GradientWatch

CPU = torch.device("cpu")


def model_and_watch() -> tuple[nn.Module, GradientWatch]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    return model, GradientWatch(model.parameters(), CPU)


def step(model: nn.Module, scale: float = 1.0) -> None:
    model.zero_grad(set_to_none=True)
    (model(torch.ones(3, 4)).square().mean() * scale).backward()


def test_the_mean_is_of_the_norms_that_clipping_sees() -> None:
    model, watch = model_and_watch()
    norms = []
    for scale in (1.0, 10.0):
        step(model, scale)
        flat = torch.cat(
            [item.grad.flatten() for item in model.parameters() if item.grad is not None]
        )
        norms.append(float(flat.norm()))
        assert float(watch.after_backward()) == pytest.approx(norms[-1])
    assert watch.mean_norm() == pytest.approx(sum(norms) / 2)
    again = GradientWatch(model.parameters(), CPU)
    again.load_state_dict(watch.state_dict())
    assert again.mean_norm() == watch.mean_norm()
    watch.clear()
    assert math.isnan(watch.mean_norm())


def test_norms_that_are_not_finite_are_seen_or_skipped() -> None:
    model, watch = model_and_watch()
    step(model)
    norm = float(watch.after_backward())
    step(model, math.inf)
    watch.after_backward(skip_infinite=True)
    assert watch.is_finite()
    assert watch.mean_norm() == pytest.approx(norm)
    watch.after_backward()
    assert not watch.is_finite()
    assert not math.isfinite(watch.mean_norm())


def test_one_parameter_that_is_not_finite_is_enough() -> None:
    model, watch = model_and_watch()
    assert watch.parameters_are_finite()
    with torch.no_grad():
        next(model.parameters())[0, 0] = math.nan
    assert not watch.parameters_are_finite()
