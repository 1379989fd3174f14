"""Schedules against PyTorch's own schedulers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

from orchestrator.divergence.schedule.declared import declared, from_text
from orchestrator.errors import UsageError

scheduler = torch.optim.lr_scheduler


def torch_rates(make: Callable[[Any], Any], count: int, lr: float = 1e-3) -> list[float]:
    """Return the rate of each of `count` scheduler steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = make(optimizer)
        rates = []
        for _ in range(count):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            made.step()
    return rates


CASES: list[tuple[dict[str, Any], Callable[[Any], Any]]] = [
    ({"constant": {"lr": 1e-3}}, lambda o: scheduler.ConstantLR(o, factor=1.0)),
    ({"step": {"lr": 1e-3, "size": 7, "gamma": 0.5}}, lambda o: scheduler.StepLR(o, 7, 0.5)),
    (
        {"step": {"lr": 1e-3, "milestones": [5, 20]}},
        lambda o: scheduler.MultiStepLR(o, [5, 20], 0.1),
    ),
    (
        {"linear": {"lr": 1e-3, "total": 30, "final": 1e-4}},
        lambda o: scheduler.LinearLR(o, 1.0, 0.1, 30),
    ),
    (
        {"cosine": {"lr": 1e-3, "total": 39, "final": 1e-6}},
        lambda o: scheduler.CosineAnnealingLR(o, 39, 1e-6),
    ),
    (
        {"onecycle": {"max_lr": 3e-3, "total": 40, "pct_start": 0.1, "final_div_factor": 1000}},
        lambda o: scheduler.OneCycleLR(o, 3e-3, 40, pct_start=0.1, final_div_factor=1000),
    ),
    (
        {"onecycle": {"max_lr": 1.0, "total": 40, "anneal": "linear", "three_phase": True}},
        lambda o: scheduler.OneCycleLR(o, 1.0, 40, anneal_strategy="linear", three_phase=True),
    ),
    (
        {"cosine": {"lr": 1e-3, "total": 40, "warmup": 8, "warmup_start": 0.1}},
        lambda o: scheduler.SequentialLR(
            o,
            [scheduler.LinearLR(o, 0.1, 1.0, 8), scheduler.CosineAnnealingLR(o, 32)],
            milestones=[8],
        ),
    ),
]


@pytest.mark.parametrize(("raw", "make"), CASES, ids=[str(raw)[:40] for raw, _ in CASES])
def test_a_schedule_is_what_torch_does(raw: dict[str, Any], make: Callable[[Any], Any]) -> None:
    schedule = declared(raw).schedule
    rates = torch_rates(make, 40)
    assert [schedule.at(n) for n in range(40)] == pytest.approx(rates, rel=1e-6, abs=1e-12)


def test_the_eeg_schedule_goes_from_12e_5_over_3e_3_to_12e_8() -> None:
    values = {"max_lr": 3e-3, "total": 1000, "pct_start": 0.1, "final_div_factor": 1000}
    schedule = declared({"onecycle": values}).schedule
    assert schedule.at(0) == pytest.approx(1.2e-4)
    assert schedule.peak == pytest.approx(3e-3)
    assert schedule.peak_at == pytest.approx(99)
    assert schedule.at(schedule.end or 0) == pytest.approx(1.2e-7)


@given(
    kind=st.sampled_from(range(len(CASES))),
    start=st.floats(0, 60),
    length=st.floats(0, 60),
    share=st.floats(0, 1),
)
def test_bounds_hold_every_rate_between(
    kind: int, start: float, length: float, share: float
) -> None:
    schedule = declared(CASES[kind][0]).schedule
    low, high = schedule.bounds(start, start + length)
    inside = schedule.at(start + share * length)
    assert low * (1 - 1e-9) <= inside <= high * (1 + 1e-9)
    assert high <= schedule.peak * (1 + 1e-9)


def test_a_plateau_may_be_anywhere_below_its_rate_after_the_warm_up() -> None:
    schedule = declared({"plateau": {"lr": 5e-5, "warmup": 3, "warmup_start": 0.1}}).schedule
    assert schedule.kind == "warm-up and plateau"
    assert schedule.at(0) == pytest.approx(5e-6)
    assert schedule.bounds(0, 1) == pytest.approx((5e-6, 5e-5 * 0.4))
    assert schedule.bounds(10, 12) == (0.0, 5e-5)


def test_text_gives_the_same_as_a_mapping() -> None:
    text = "onecycle,max_lr=0.003,total=1000,pct_start=0.1,per=batch,batches_per_epoch=10"
    values = {"max_lr": 0.003, "total": 1000, "pct_start": 0.1}
    assert from_text(text) == declared(
        {"onecycle": values, "per": "batch", "batches_per_epoch": 10}
    )
    stepped = from_text("step,lr=0.1,milestones=30/60").schedule
    assert stepped.values["milestones"] == (30, 60)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, r"expected one of constant, .* \(found nothing\)"),
        ({"onecicle": {}}, "Did you mean 'onecycle'"),
        ({"cosine": {"lr": 1e-3}}, r"cosine.total: missing"),
        ({"cosine": {"lr": 0, "total": 9}}, r"lr: expected a number above 0 \(found 0\)"),
        ({"cosine": {"lr": 1e-3, "total": 9, "peak": 1}}, "'peak'. Choices: lr, total, final"),
        ({"cosine": {"lr": 1e-3, "total": 9, "warmup": 9}}, "warmup: expected less than total 9"),
        ({"cosine": {"lr": "fast", "total": 9}}, r"expected a number \(found 'fast'\)"),
        ({"cosine": 3}, "expected a mapping"),
        ({"step": {"lr": 1}}, "step: needs size or milestones"),
        ({"constant": {"lr": 1}, "per": "step"}, r"per: expected batch or epoch \(found 'step'\)"),
        ({"onecycle": {"max_lr": 1, "total": 9, "pct_start": 1}}, "a number below 1"),
        ({"onecycle": {"max_lr": 1, "total": 9, "anneal": "log"}}, "expected cos or linear"),
        ({"onecycle": {"max_lr": 1, "total": 9, "three_phase": 1}}, "expected true or false"),
    ],
)
def test_an_invalid_schedule_is_refused(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        declared(raw)
