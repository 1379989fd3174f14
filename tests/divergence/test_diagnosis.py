"""Advice with a run's own numbers, and what runs tell together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from orchestrator.divergence.diagnosis import Diagnosis, RunSummary, compare_runs, diagnose
from orchestrator.divergence.schedule.declared import declared


def of(losses: list[float], **more: object) -> Diagnosis:
    reports = [(step, {"train_loss": loss}) for step, loss in enumerate(losses, start=1)]
    return diagnose(reports, **more)  # type: ignore[arg-type]


def changes(diagnosis: Diagnosis, at: int = 0) -> str:
    return "; ".join(diagnosis.findings[at].advice.change)


def test_nan_under_half_precision() -> None:
    losses = [1.0, 0.8, 0.7, 0.6, 0.5, math.nan]
    found = of(losses, config={"lr": 3e-3, "precision": "16-mixed"})
    assert found.outcome == "diverged"
    assert (found.best, found.best_step) == (0.5, 5)
    assert changes(found).startswith("turn mixed precision off")
    assert "lower lr from 0.003 to 0.0003" in changes(found)
    assert "clip the norm of the gradients at 1.0" in changes(found)
    assert "after epoch 5, the best" in found.findings[0].advice.avoid[0]


def test_nan_from_the_start_points_at_the_data() -> None:
    found = of([math.nan], config={"lr": 1e-3})
    assert "bad inputs" in found.findings[0].advice.cause


def test_an_absurd_rate_is_named_and_not_merely_divided() -> None:
    found = of([math.nan], config={"lr": 1e20})
    assert found.findings[0].advice.cause == "lr 1e+20 is too high for any optimizer"
    assert changes(found) == "lower lr from 1e+20 to 0.001"


def test_clipping_that_is_on_is_not_advised() -> None:
    found = of([1.0, 0.5, 0.3, 9.0, 9.0, 9.0, 9.0], config={"lr": 0.1, "gradient_clip_val": 1.0})
    assert found.findings[0].symptom == "explosion"
    assert found.saved == 1
    assert "clip" not in changes(found)


def test_a_rate_that_rose_is_named() -> None:
    rates = [*[1e-4] * 7, *[5e-4] * 4]
    losses = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 2.6, 2.9, 3.5, 3.9]
    reports = [
        (step, {"train_loss": loss, "lr": rate})
        for step, (loss, rate) in enumerate(zip(losses, rates, strict=True), start=1)
    ]
    found = diagnose(reports, config={"lr": 1e-4})
    assert found.outcome == "diverged"
    assert "rose from 0.0001 at the best value to 0.0005" in found.findings[0].advice.cause
    assert found.findings[0].advice.change[0] == "keep the peak of the learning rate at 0.0001"
    assert found.rates == {"first": 1e-4, "peak": 5e-4, "last": 5e-4}


def test_a_broken_schedule_comes_before_other_advice() -> None:
    reports = [(s, {"train_loss": 0.9 + 0.1 * 0.5**s, "lr": 1e-3}) for s in range(1, 41)]
    configured = declared({"cosine": {"lr": 1e-3, "total": 40}})
    found = diagnose(reports, schedule=configured, total_steps=40)
    assert [finding.symptom for finding in found.findings] == ["schedule", "plateau"]
    assert "raise the learning rate from 0.001 to 0.003" in changes(found, 1)


def test_what_came_back_was_not_lost() -> None:
    fall = [0.9**step for step in range(20)]
    spike = [40.0, 40.0, 40.0, 40.0]
    assert of([*fall, *spike]).outcome == "diverged"
    back = of([*fall, *spike, *[0.1 * 0.9**step for step in range(20)]])
    assert (back.outcome, back.saved) == ("sound", 0)
    twice = of([*fall, *spike, *[0.1 * 0.9**step for step in range(20)], *spike])
    assert (twice.outcome, twice.findings[0].since) == ("diverged", 45)
    passed = of([1.0, math.nan, 0.9, 0.8, 0.7, 0.6])
    assert passed.outcome == "sound"
    assert of([1.0, 0.5, math.nan, 0.9, 0.8, math.nan]).outcome == "diverged"


def test_no_fatal_finding_spans_a_restart() -> None:
    lost = [(step, {"train_loss": 0.5**step if step < 6 else 50.0}) for step in range(1, 12)]
    again = [(step, {"train_loss": 0.8**step}) for step in range(1, 10)]
    found = diagnose([*lost, *again])
    assert [finding.symptom for finding in found.findings] == ["restart"]
    higher = [(step, {"train_loss": 30 * 0.9**step}) for step in range(1, 20)]
    good = [(step, {"train_loss": 0.5**step}) for step in range(1, 12)]
    assert not diagnose([*good, *higher]).is_lost, "two runs in one file"
    assert diagnose([*good, *lost]).is_lost


def test_overfitting_that_recovered_is_not_reported() -> None:
    falls = [0.95**step for step in range(100)]
    bump = [0.5 * 0.97**step + (0.15 if 20 < step < 35 else 0.0) for step in range(100)]
    reports = [
        (step, {"train_loss": train, "val_loss": val})
        for step, (train, val) in enumerate(zip(falls, bump, strict=True))
    ]
    assert [f.symptom for f in diagnose(reports[:34]).findings] == ["overfitting"]
    assert diagnose(reports).findings == ()


@given(
    noise=st.lists(st.floats(-0.02, 0.02), min_size=60, max_size=60),
    turn=st.integers(10, 40),
)
def test_a_quoted_number_is_the_number_at_its_step(noise: list[float], turn: int) -> None:
    vals = [0.3 + 0.02 * abs(step - turn) + noise[step] for step in range(60)]
    reports = [(step, {"train_loss": 0.9**step, "val_loss": val}) for step, val in enumerate(vals)]
    for finding in diagnose(reports).findings:
        if finding.symptom == "overfitting":
            assert f"rose from {vals[finding.since or 0]:.4g} at step {finding.since}" in (
                finding.reason
            )


def test_a_forecast_is_for_runs_that_continue() -> None:
    reports = [(step, {"train_loss": 0.9**step, "val_mae": 1 - step / 1000}) for step in range(50)]
    aim = {"metric": "val_mae", "target": 0.1, "total_steps": 60}
    assert diagnose(reports, **aim).findings == ()
    running = diagnose(reports, **aim, is_over=False)
    assert [finding.symptom for finding in running.findings] == ["too slow"]


def test_targets_are_reached_when_all_are() -> None:
    reports = [(step, {"train_loss": 0.9**step, "val_mae": 0.9**step}) for step in range(50)]
    some = diagnose(reports, targets={"val_mae": (0.5, "minimize"), "r2": (0.9, "maximize")})
    assert (some.outcome, some.findings) == ("sound", ())
    assert some.targets == {
        "val_mae": (0.5, pytest.approx(0.9**49), 7),
        "r2": (0.9, None, None),
    }
    assert diagnose(reports, targets={"val_mae": (0.5, "minimize")}).outcome == "target reached"


def test_no_two_findings_advise_the_opposite() -> None:
    swings = [1.0, *(0.8 + 0.3 * (-1) ** step for step in range(80))]
    found = of(swings, config={"lr": 1e-3})
    assert found.findings[0].symptom == "oscillation"
    texts = [text for finding in found.findings for text in finding.advice.change]
    assert any(text.startswith("lower lr") for text in texts)
    assert not any(text.startswith("raise") for text in texts)


def test_a_loss_above_its_first_value_is_not_a_plateau() -> None:
    user = [0.2847, 0.4059, 0.4111, 0.4625, 0.4580, *[0.45, 0.46] * 20]
    assert [finding.symptom for finding in of(user, config={"lr": 1e-3}).findings] == ["rising"]


def test_there_is_one_finding_per_symptom() -> None:
    cycle = {"max_lr": 3e-3, "total": 300, "pct_start": 0.1}
    configured = declared({"onecycle": cycle, "per": "batch", "batches_per_epoch": 10})
    slow = [(s, {"train_loss": 0.9**s, "lr": configured.schedule.at(s)}) for s in range(1, 29)]
    found = diagnose(slow, schedule=configured, total_steps=30).findings
    assert [finding.symptom for finding in found] == ["schedule"]
    assert "once per epoch instead of per batch" in found[0].reason
    assert "lr still rises" in found[0].reason


def test_a_rate_that_never_moves_gets_a_hint_without_a_schedule() -> None:
    reports = [(step, {"train_loss": 0.9**step, "lr": 1e-3}) for step in range(9)]
    assert diagnose(reports[:8]).hint == ""
    assert diagnose(reports).hint.startswith("lr is 0.001 in all 9 reports")
    constant = declared({"constant": {"lr": 1e-3}})
    assert diagnose(reports, schedule=constant).hint == ""


def test_the_first_rate_is_that_of_the_first_step() -> None:
    configured = declared({"cosine": {"lr": 1e-3, "total": 40}})
    reports = [
        (step, {"train_loss": 0.9**step, "lr": configured.schedule.at(step)})
        for step in range(1, 41)
    ]
    found = diagnose(reports, schedule=configured, total_steps=40)
    assert (found.rates["first"], found.rates["peak"]) == (1e-3, 1e-3)


def test_nothing_to_judge() -> None:
    assert diagnose([]).outcome == "not judged"
    assert diagnose([(1, {"time": 3.0})]).outcome == "not judged"
    assert of([1.0, 0.5, 0.2]).outcome == "sound"


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(
    reports=st.lists(
        st.tuples(
            st.integers(0, 40),
            st.dictionaries(st.sampled_from(["train_loss", "val_mae", "lr", "grad_norm"]), numbers),
        ),
        max_size=60,
    ),
    goal=st.sampled_from(["minimize", "maximize"]),
)
def test_any_log_gets_a_diagnosis(reports: list[tuple[int, dict[str, float]]], goal: str) -> None:
    configured = declared({"linear": {"lr": 1e-3, "total": 40}})
    found = diagnose(
        reports,
        metric="val_mae",
        goal=goal,
        target=0.1,
        total_steps=40,
        schedule=configured,
        config={"lr": 1e-3},
    )
    for finding in found.findings:
        assert finding.reason
        assert finding.advice.cause != "not known"
        assert finding.advice.change


# --- runs together ----------------------------------------------------------------------------


def seen(*rows: tuple[float, float, bool]) -> list[RunSummary]:
    return [
        RunSummary(f"run {i}", {"lr": lr, "eps": eps}, lost)
        for i, (lr, eps, lost) in enumerate(rows)
    ]


def test_one_parameter_that_parts_them() -> None:
    told = compare_runs(seen((1e-4, 1, False), (1e-4, 2, False), (1e-3, 1, True), (1e-2, 2, True)))
    assert told[0] == (
        "Stable only at lr ≤ 0.0001: none of the 2 runs there diverged, all 2 others did."
    )
    assert "run 0 differs from run 2 only in lr (0.0001, not 0.001)" in told[1]


def test_two_that_changed_together_prove_neither() -> None:
    told = compare_runs(
        seen((1e-3, 0.1, False), (1e-3, 0.1, False), (2e-2, 1e-8, True), (2e-2, 1e-8, True))
    )
    assert "lr and eps changed together, so neither is proven" in told[0]
    assert "is the cause" not in " ".join(told)


def test_one_lost_run_beside_one_that_differs_in_two() -> None:
    told = compare_runs(seen((1e-3, 0.1, False), (2e-2, 1e-8, True)))
    assert told == [
        "run 0 did not diverge and differs from run 1 in lr and eps: they changed together, so "
        "neither is proven."
    ]


def test_words_part_runs_as_well() -> None:
    runs = [
        RunSummary(name, {"loss": loss}, loss == "aux")
        for name, loss in (("a", "mse"), ("b", "mse"), ("c", "aux"), ("d", "aux"))
    ]
    assert compare_runs(runs)[0].startswith("Stable only with loss mse")


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert compare_runs(seen((1, 1, False), (2, 1, False))) == []
    assert compare_runs(seen((1, 1, True))) == []
    assert compare_runs(seen((1, 1, True), (2, 1, True)))[0].startswith("All 2 runs diverged")
    mixed = seen((1, 1, True), (1, 1, False), (2, 1, True), (2, 1, False))
    assert not [text for text in compare_runs(mixed) if text.startswith("Stable")]


values = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3))


@given(
    st.lists(
        st.builds(
            RunSummary,
            st.text(max_size=5),
            st.dictionaries(st.sampled_from("abc"), values, max_size=3),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_any_runs_can_be_compared(runs: list[RunSummary]) -> None:
    assert all(isinstance(text, str) for text in compare_runs(runs))
