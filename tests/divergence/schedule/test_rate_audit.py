"""The audit on logs that PyTorch's schedulers made, used rightly and wrongly."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from orchestrator.divergence import Watch
from orchestrator.divergence.schedule.declared import Declared, declared
from orchestrator.divergence.schedule.rate_audit import Fault, audit, learning_rates

torch_scheduler = torch.optim.lr_scheduler

EPOCHS, BATCHES = 100, 10
EEG = declared(
    {
        "onecycle": {
            "max_lr": 3e-3,
            "total": EPOCHS * BATCHES,
            "pct_start": 0.1,
            "div_factor": 25,
            "final_div_factor": 1000,
        },
        "per": "batch",
        "batches_per_epoch": BATCHES,
    }
)


def train(
    make: Callable[[Any], Any],
    *,
    epochs: int,
    per_epoch: float,
    lr: float = 1e-3,
    read: str = "after",
) -> list[tuple[float, float]]:
    """Return (epoch, rate) as a training loop logs it, with `per_epoch` scheduler steps in each."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    made = make(optimizer)
    optimizer.step()
    points = []
    for epoch in range(1, epochs + 1):
        before = optimizer.param_groups[0]["lr"]
        for _ in range(int(epoch * per_epoch) - int((epoch - 1) * per_epoch)):
            made.step()
        after = optimizer.param_groups[0]["lr"]
        points.append((float(epoch), before if read == "before" else after))
    return points


def onecycle(optimizer: Any) -> Any:
    # One step more than batches: PyTorch refuses to step past its end, and we step after the last.
    return torch_scheduler.OneCycleLR(
        optimizer, 3e-3, EPOCHS * BATCHES + 1, pct_start=0.1, div_factor=25, final_div_factor=1000
    )


def kinds(faults: list[Fault]) -> list[str]:
    return [fault.kind for fault in faults]


@pytest.mark.parametrize("read", ["before", "after"])
def test_onecycle_stepped_per_batch_is_sound(read: str) -> None:
    points = train(onecycle, epochs=EPOCHS, per_epoch=BATCHES, read=read)
    assert audit(points, EEG, EPOCHS) == []
    assert audit(points[:17], EEG, EPOCHS) == []


def test_onecycle_stepped_per_epoch_is_the_real_case() -> None:
    points = train(onecycle, epochs=EPOCHS, per_epoch=1, read="before")[:85]
    assert points[-1] == pytest.approx((85, 2.84e-3), rel=2e-3)
    faults = audit(points, EEG, EPOCHS)
    assert kinds(faults) == ["per epoch", "warm-up never ended"]
    assert faults[0].text == (
        "lr moves once per epoch instead of per batch: at step 85 it is 0.00284, but "
        "onecycle gives 0.000198. Call scheduler.step() after each batch, or give the schedule its "
        "epochs"
    )
    assert faults[0].since < 10
    assert "still rises at step 85" in faults[1].text
    assert faults[1].since == pytest.approx(9.9)


def test_the_real_case_shows_after_the_first_tenth() -> None:
    watch = Watch(total_steps=EPOCHS, schedule=EEG)
    found = [
        (step, verdict)
        for step, rate in train(onecycle, epochs=EPOCHS, per_epoch=1)
        for verdict in watch.update(int(step), {"lr": rate})
    ]
    step, first = found[0]
    assert (step, first.symptom) == (10, "schedule")
    assert first.reason.startswith("lr moves once per epoch")
    openings = {verdict.reason.split(" step ")[0] for _, verdict in found}
    assert len(openings) == len(found)  # each fault is reported once


def test_batches_of_an_epoch_are_known_from_both_ends() -> None:
    unknown = Declared(EEG.schedule, per="batch")
    assert audit(train(onecycle, epochs=EPOCHS, per_epoch=BATCHES), unknown, EPOCHS) == []
    stuck = train(onecycle, epochs=EPOCHS, per_epoch=1)
    assert kinds(audit(stuck, unknown, EPOCHS))[0] == "per epoch"


def test_a_schedule_per_epoch_that_is_stepped_per_batch() -> None:
    cosine = {"cosine": {"lr": 1e-3, "total": 500}, "per": "epoch", "batches_per_epoch": 10}
    points = train(lambda o: torch_scheduler.CosineAnnealingLR(o, 500), epochs=40, per_epoch=10)
    faults = audit(points, declared(cosine), 500)
    assert kinds(faults) == ["per batch"]


def test_steps_that_count_batches() -> None:
    stepped = train(onecycle, epochs=EPOCHS * BATCHES, per_epoch=1)[::20]
    by_batch = Declared(EEG.schedule, "batch", BATCHES)
    assert audit(stepped, by_batch, EPOCHS * BATCHES) == []
    slow = train(onecycle, epochs=EPOCHS * BATCHES, per_epoch=0.1)[::20]
    assert kinds(audit(slow, by_batch, EPOCHS * BATCHES))[0] == "per epoch"


def test_accumulation_shows_as_a_pace() -> None:
    faults = audit(train(onecycle, epochs=EPOCHS, per_epoch=2.5), EEG, EPOCHS)
    assert kinds(faults)[0] == "wrong pace"
    assert "0.25 times the pace" in faults[0].text
    assert faults[0].numbers["pace"] == 0.25


def test_a_rate_that_never_moved() -> None:
    faults = audit([(float(epoch), 1.2e-4) for epoch in range(1, 60)], EEG, EPOCHS)
    assert kinds(faults) == ["never moved", "peak never reached"]
    assert "it is 0.00012 from step 1 to 59" in faults[0].text
    assert "its peak 0.003, meant for step 9.9" in faults[1].text


def test_a_constant_rate_is_meant_to_stay() -> None:
    constant = declared({"constant": {"lr": 0.02}})
    assert audit([(float(n), 0.02) for n in range(50)], constant) == []
    assert kinds(audit([(float(n), 0.002) for n in range(50)], constant)) == ["scaled"]


def test_cosine_climbs_again_past_its_length() -> None:
    configured = declared({"cosine": {"lr": 1e-3, "total": 50}})
    points = train(lambda o: torch_scheduler.CosineAnnealingLR(o, 50), epochs=80, per_epoch=1)
    assert audit(points[:50], configured, 80) == []
    faults = audit(points, configured, 80)
    assert "rose after its floor" in kinds(faults)
    rose = next(fault for fault in faults if fault.kind == "rose after its floor")
    assert rose.since > 50
    assert rose.numbers["floor"] == pytest.approx(0, abs=1e-9)


def test_warm_up_and_plateau() -> None:
    raw = {"plateau": {"lr": 5e-5, "factor": 0.5, "warmup": 3, "warmup_start": 0.1}}
    configured = declared(raw)
    sound = [5e-6, 2e-5, 3.5e-5, 5e-5, 5e-5, 5e-5, 2.5e-5, 2.5e-5, 1.25e-5, 1.25e-5]
    assert audit(list(enumerate(sound)), configured) == []
    stuck = [5e-6] * 12
    assert kinds(audit(list(enumerate(stuck)), configured)) != []
    again = [*sound, 5e-5, 5e-5]
    assert "rose after its floor" in kinds(audit(list(enumerate(again)), configured))


def test_a_wrong_end() -> None:
    configured = declared({"linear": {"lr": 1e-3, "total": 20}})
    points = train(lambda o: torch_scheduler.LinearLR(o, 1.0, 0.0, 20), epochs=20, per_epoch=1)
    points[-1] = (20.0, 4e-4)
    faults = audit(points, configured, 20)
    assert kinds(faults) in (["final value off"], ["rose after its floor"])
    points[-2:] = [(19.0, 1.4e-4), (20.0, 1.4e-4)]
    assert kinds(audit(points, configured, 20)) == ["final value off"]


def test_a_scaled_schedule() -> None:
    configured = declared({"cosine": {"lr": 1e-2, "total": 50}})
    points = train(lambda o: torch_scheduler.CosineAnnealingLR(o, 50), epochs=45, per_epoch=1)
    faults = audit(points, configured, 50)
    assert kinds(faults)[0] == "scaled"
    assert faults[0].numbers["factor"] == pytest.approx(0.1)


def test_something_else_is_off_schedule() -> None:
    configured = declared({"cosine": {"lr": 1e-3, "total": 50}})
    points = [(float(n), 1e-3 / n) for n in range(1, 40)]
    faults = audit(points, configured, 50)
    assert kinds(faults) == ["off schedule"]
    assert "but cosine gives" in faults[0].text


@given(
    kind=st.sampled_from(["constant", "step", "linear", "cosine", "onecycle"]),
    epochs=st.integers(3, 60),
    batches=st.integers(1, 40),
    per=st.sampled_from(["batch", "epoch"]),
    shift=st.sampled_from([-1, 0]),
    cut=st.floats(0.1, 1),
    warmup=st.sampled_from([0, 2]),
)
@settings(max_examples=300)
def test_what_follows_its_schedule_has_no_fault(
    kind: str, epochs: int, batches: int, per: str, shift: int, cut: float, warmup: int
) -> None:
    total = epochs * (batches if per == "batch" else 1)
    values: dict[str, Any] = {"max_lr" if kind == "onecycle" else "lr": 1e-3}
    if kind in ("linear", "cosine", "onecycle"):
        values["total"] = total
    if kind == "step":
        values["size"] = max(1, total // 3)
    if kind != "onecycle" and warmup < total:
        values["warmup"] = warmup
    configured = declared(
        {kind: values, "per": per, "batches_per_epoch": batches, "steps": "epoch"}
    )
    each = batches if per == "batch" else 1
    points = [
        (float(epoch), configured.schedule.at(max(0, epoch + shift) * each))
        for epoch in range(1, max(1, int(epochs * cut)) + 1)
    ]
    assert audit(points, configured, epochs) == []


@given(
    points=st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(allow_nan=True, allow_infinity=True)), max_size=40
    ),
    last=st.none() | st.floats(1, 1e6),
)
def test_any_log_gets_an_answer(points: list[tuple[float, float]], last: float | None) -> None:
    for fault in audit(points, EEG, last):
        assert fault.text
        assert fault.kind


def test_a_bounded_number_of_rates_is_kept() -> None:
    watch = Watch(total_steps=1e6, schedule=EEG)
    for step in range(20_000):
        watch.update(step, {"lr": EEG.schedule.at(step / 20)})
    assert len(pickle.dumps(watch)) < 16_000


def test_first_peak_and_last_of_the_reported_rates() -> None:
    reports = [(step, {"lr": EEG.schedule.at(step / 20)}) for step in range(20_000)]
    rates = learning_rates([*reports, (20_000, {"lr": math.nan}), (20_001, {"loss": 1.0})])
    assert rates == pytest.approx({"first": 1.2e-4, "peak": 3e-3, "last": 1.2e-7}, rel=1e-3)
    assert learning_rates([(1, {"loss": 1.0})]) == {}


def test_a_rate_that_is_still_in_its_warm_up_has_not_risen_after_a_floor() -> None:
    configured = declared({"linear": {"lr": 1e-3, "total": 40, "warmup": 4}})
    slow = [(step, 1e-3 * min(1.0, step / 20) * (0.97 ** max(0, step - 20))) for step in range(40)]
    assert "rose after its floor" not in [fault.kind for fault in audit(slow, configured, 40)]
    again = [*slow[:35], *((step, 1e-3) for step in range(35, 40))]
    assert "rose after its floor" in [fault.kind for fault in audit(again, configured, 40)]


def test_a_schedule_that_begins_after_a_resume() -> None:
    raw = {"cosine": {"lr": 1e-3, "total": 30}, "start": 20}
    configured = declared(raw)
    points = [(step, configured.schedule.at(step - 20)) for step in range(20, 51)]
    assert audit([(10, 5e-4), *points], configured, 50) == []
    assert audit([(step, 1e-3) for step in range(20, 51)], configured, 50)[0].text.startswith(
        "lr never moved: it is 0.001 from step 20 to 50, but cosine goes from 0.001 to 0"
    )
