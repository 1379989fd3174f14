"""What the other series of a run change in the verdict on its training loss."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import pytest

from benchmarks import divergence as benchmark
from benchmarks.curves import curve_of
from benchmarks.synthetic_curves import KINDS, synthetic
from orchestrator.divergence import Policy, Verdict, Watch
from orchestrator.divergence.rule import DivergenceRule

FELL = [0.9**n for n in range(30)]


def judged(
    losses: Sequence[float], phases: Sequence[int] = (), **others: Sequence[float]
) -> tuple[int | None, Verdict]:
    rule, verdict = DivergenceRule(phases=phases), Verdict()
    for step, loss in enumerate(losses):
        more = {name: series[step] for name, series in others.items() if step < len(series)}
        verdict = rule.update(step, {"train_loss": loss, **more})
        if verdict.stops:
            return step, verdict
    return None, verdict


def test_a_rise_while_the_rate_climbs_in_its_warm_up_is_no_verdict() -> None:
    losses = [12.4, 20.0, 43.0, 42.0, 41.0, 40.0, 39.5, *(7.7 * 0.9**n for n in range(20))]
    climbing = [1e-5 * (n + 1) for n in range(8)] + [8e-5] * 20
    assert judged(losses)[0] is not None
    assert judged(losses, lr=climbing)[0] is None
    assert judged([*losses[:7], *[40.0] * 20], lr=climbing)[0] == 8, "once it climbs no more"


def test_exploding_gradients_confirm_an_explosion() -> None:
    losses = [*FELL, *[3.0] * 5]
    assert judged(losses)[0] == 32
    assert judged(losses, grad_norm=[1.0] * 30 + [50.0] * 5)[0] == 31
    assert judged(losses, grad_norm=[1.0] * 35)[0] == 32
    assert judged(FELL, grad_norm=[*[1.0] * 25, *[50.0] * 5])[0] is None, "alone they stop nothing"


def test_validation_that_is_as_good_as_ever_excuses_a_loss_that_rises() -> None:
    losses = [*FELL, *[0.6] * 30]
    assert judged(losses)[0] is not None
    assert judged(losses, val_loss=[*FELL, *[0.04] * 30])[0] is None
    assert judged(losses, val_loss=losses)[0] == judged(losses)[0]
    overfitted = [1.0, *(0.9 + 0.02 * n for n in range(29)), *[0.9] * 30]
    assert judged(losses, val_loss=overfitted)[0] is not None, "a dead network seems to be better"
    assert judged([*FELL, *[20.0] * 30], val_loss=[*FELL, *[0.04] * 30])[0] is not None
    assert judged(losses, val_loss=[*FELL, *[math.nan] * 30])[0] is not None


def test_validation_alone_never_stops() -> None:
    assert judged(FELL, val_loss=[*FELL[:10], *[50.0] * 20])[0] is None


def test_the_best_value_starts_over_in_another_phase() -> None:
    lifted = [*FELL, *(1.5 + 0.5 * 0.8**n for n in range(60))]
    assert judged(lifted)[0] is not None
    assert judged(lifted, phases=[30])[0] is None
    assert judged(lifted, phase=[1.0] * 30 + [2.0] * 60)[0] is None
    assert judged([*lifted, *[40.0] * 5], phases=[30])[0] == 91
    assert judged([*lifted[:40], math.nan], phases=[30])[0] == 40


def test_the_best_value_starts_over_when_the_rate_does() -> None:
    cycle = [1e-3 * (1 - n / 30) + 1e-6 for n in range(30)]
    restarted = [*FELL, *[0.5] * 15, *(0.5 * 0.8**n for n in range(15))]
    assert judged(restarted)[0] is not None
    assert judged(restarted, lr=cycle * 2)[0] is None
    assert judged([*FELL, *[3.0] * 30], lr=cycle * 2)[0] is not None


def test_a_phase_starts_the_other_detectors_over() -> None:
    def found(losses: Sequence[float], phases: Sequence[int]) -> set[str]:
        watch = Watch(phases=phases)
        for step, loss in enumerate(losses):
            watch.update(step, {"train_loss": loss})
        return {str(one.symptom) for one in watch.standing()}

    flat = [1.0, *(0.9 + 0.01 * (n % 3) for n in range(40)), *(3.0 * 0.9**n for n in range(30))]
    assert found(flat[:41], ()) == {"plateau"}
    assert found(flat, [41]) == set()


def test_a_loss_that_starts_at_zero_has_to_find_its_level() -> None:
    level = [0.0, 0.5, 0.9, 1.2, 1.3, 1.35, *(1.3 * 0.97**n for n in range(40))]
    assert judged(level)[0] is None
    assert judged([*level, *[9.0] * 5])[0] == len(level) + 2


@pytest.mark.parametrize("label", KINDS)
def test_made_up_curves_are_the_same_for_a_seed_and_judged_well(label: str) -> None:
    drawn = list(synthetic(5, 1))
    assert json.dumps(drawn) == json.dumps(list(synthetic(5, 1)))
    curves = [curve_of(raw) for raw in drawn]
    mine = [one for one in curves if one.label.startswith(label)]
    stopped = [one.repo for one in mine if benchmark.judge(one).stopped_at is not None]
    assert len(stopped) >= 0.8 * len(mine) if label == "diverged" else len(stopped) <= 2


def test_a_type_of_values() -> None:
    report: Mapping[str, float] = {"train_loss": 1.0, "lr": math.nan, "grad_norm": math.inf}
    assert not DivergenceRule().update(0, report).stops


RAMP = [min(1.0, max(0.0, (n - 40) / 20)) for n in range(100)]
RECONSTRUCTION = [0.3 + 1.7 * 0.92**n for n in range(100)]


def warned(losses: Sequence[float], **others: Sequence[float]) -> set[str]:
    rule, found = DivergenceRule(), set()
    for step, loss in enumerate(losses):
        more = {name: series[step] for name, series in others.items()}
        verdict = rule.update(step, {"train_loss": loss, **more})
        assert not verdict.stops, verdict.reason
        found.add(verdict.symptom or "")
    return found - {""}


def test_a_gradual_rise_that_ends_is_only_warned_of() -> None:
    annealed = [one + 0.5 * weight for one, weight in zip(RECONSTRUCTION, RAMP, strict=True)]
    assert warned(annealed) == {"lost progress"}
    lost = [one + 0.1 * max(0, n - 40) for n, one in enumerate(RECONSTRUCTION)]
    assert judged(lost)[1].symptom == "lost progress", "it rises past its first value"
    at_once = [one + 0.5 * (n >= 40) for n, one in enumerate(RECONSTRUCTION)]
    assert judged(at_once)[0] is not None


def test_harder_data_may_raise_the_loss_each_time() -> None:
    stages = [low + (1.9 - low) * 0.8**n for low in (0.2, 0.4, 0.6, 0.8) for n in range(40)]
    assert warned(stages) == {"lost progress"}
    assert judged([*stages, *[2.5] * 30])[1].symptom == "lost progress", "another jump, which stays"


def test_what_rises_while_another_series_gets_better_is_only_warned_of() -> None:
    at_once = [one + 1.2 * (n >= 40) for n, one in enumerate(RECONSTRUCTION)]
    assert judged(at_once)[0] is not None
    assert warned(at_once, accuracy=[1 - one / 2 for one in RECONSTRUCTION]) == {"lost progress"}
    assert warned(at_once, train_rec_loss=RECONSTRUCTION) == {"lost progress"}
    worse = [*(1 - one / 2 for one in RECONSTRUCTION[:40]), *[0.1] * 60]
    assert judged(at_once, accuracy=worse)[0] is not None
    assert judged(at_once, throughput=list(range(100)))[0] is not None
    assert not warned(at_once, kl_weight=[1.0 * (n >= 40) for n in range(100)])


def test_the_policy_decides_what_may_be_meant() -> None:
    annealed = [one + 0.5 * weight for one, weight in zip(RECONSTRUCTION, RAMP, strict=True)]

    def actions(policy: Policy) -> list[str]:
        watch = Watch(policy=policy)
        seen = [watch.update(n, {"train_loss": loss}) for n, loss in enumerate(annealed)]
        return [one.action for found in seen for one in found if one.symptom == "lost progress"]

    assert actions(Policy()) == ["warn"]
    assert actions(Policy.of({"lost progress": "stop"}))[0] == "stop"
