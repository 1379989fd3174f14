"""The rule on curves made for it: what stops, what lives, and in which words."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.divergence import LONGEST_TRANSIENT, DivergenceRule, Verdict
from orchestrator.divergence.rule import LASTING_METRIC

NAN, INF = math.nan, math.inf


def replay(
    reports: Iterable[Mapping[str, float]],
    *,
    metric: str | None = "val_mae",
    goal: str = "minimize",
    start: int = 1,
) -> list[Verdict]:
    """Return the verdicts up to the one that stops the run."""
    rule = DivergenceRule(metric, goal)
    verdicts = []
    for step, metrics in enumerate(reports, start=start):
        verdicts.append(rule.update(step, metrics))
        if verdicts[-1].action == "stop":
            break
    return verdicts


def losses(values: Iterable[float], name: str = "train_loss") -> list[dict[str, float]]:
    return [{name: value} for value in values]


def falling(count: int, start: float = 1.0, end: float = 0.1) -> list[float]:
    return [start * (end / start) ** (index / (count - 1)) for index in range(count)]


# --- non-finite -------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "word"), [(NAN, "nan"), (INF, "inf"), (-INF, "-inf")])
@pytest.mark.parametrize("name", ["train_loss", "loss", "train_edc_loss", "train/loss"])
def test_a_non_finite_training_loss_stops_at_once(value: float, word: str, name: str) -> None:
    verdicts = replay(losses([0.9, 0.8, value, 0.7], name))
    assert [verdict.action for verdict in verdicts] == ["continue", "continue", "stop"]
    assert verdicts[-1] == Verdict("stop", "non-finite", 3, f"{name} is {word} since step 3")


def test_the_first_report_may_be_the_last() -> None:
    assert replay(losses([NAN]))[-1].action == "stop"


def test_nan_in_validation_passes_while_the_training_loss_is_finite() -> None:
    # The SAR run: validation NaN at epochs 3, 5, 17 and 26 to 34, and the best of its group.
    bad = {3, 5, 17, *range(26, 35)}
    reports = [
        {"train_loss": loss, "val_loss": NAN if epoch in bad else loss, "val_mae": 0.3}
        for epoch, loss in enumerate(falling(40), start=1)
    ]
    verdicts = replay(reports)
    assert len(verdicts) == 40
    warned = [step for step, verdict in enumerate(verdicts, 1) if verdict.action == "warn"]
    assert warned == [3, 5, 17, 26]  # once for each onset
    assert verdicts[25].onset == 26
    assert verdicts[25].reason == "val_loss is nan at step 26, which may pass"


def test_validation_may_stay_nan_for_ever_beside_a_sound_training_loss() -> None:
    reports = [{"train_loss": loss, "val_mae": NAN} for loss in falling(100)]
    assert [verdict.action for verdict in replay(reports)] == ["warn"] + ["continue"] * 99


def test_a_part_of_the_loss_may_be_infinite_while_the_whole_is_finite() -> None:
    reports = [{"train_loss": loss, "train_aux_loss": INF} for loss in falling(20)]
    verdicts = replay(reports)
    assert [verdict.action for verdict in verdicts] == ["warn"] + ["continue"] * 19


def test_warnings_of_one_report_come_together() -> None:
    reports: list[dict[str, float]] = [{"train_loss": 0.5}] * 2
    reports += [{"train_loss": loss} for loss in (0.7, 0.71)]
    reports.append({"train_loss": 0.72, "val_loss": NAN, "val_mae": INF})
    verdict = replay(reports)[-1]
    assert verdict.action == "warn"
    assert verdict.symptom == "rising"
    assert verdict.reason.endswith(
        "; val_loss is nan at step 5, which may pass; val_mae is inf at step 5, which may pass"
    )


def test_other_values_may_be_infinite() -> None:
    reports = [{"train_loss": loss, "grad_norm": INF, "lr": NAN} for loss in falling(20)]
    assert {verdict.action for verdict in replay(reports)} == {"continue"}


@pytest.mark.parametrize(
    ("name", "allowed"), [("val_mae", LONGEST_TRANSIENT + 1), ("score", LASTING_METRIC)]
)
def test_a_lone_metric_that_stays_nan_is_lost(name: str, allowed: int) -> None:
    verdicts = replay(losses([0.5, 0.4] + [NAN] * 40, name), metric=name)
    assert len(verdicts) == 2 + allowed
    assert verdicts[-1].action == "stop"
    assert verdicts[-1].onset == 3
    assert "no training loss" in verdicts[-1].reason
    assert [verdict.action for verdict in verdicts[2:4]] == ["warn", "continue"]


# --- explosion --------------------------------------------------------------------------------


def test_an_explosion_stops_on_its_third_report() -> None:
    verdicts = replay(losses([0.9, 0.6, 0.4, 0.3, 0.31, 0.3, 2.0, 3.0, 4.12, 9.0]))
    assert len(verdicts) == 9
    assert verdicts[-1] == Verdict(
        "stop",
        "explosion",
        7,
        "train_loss 4.12 is more than twice its first value 0.9 and its best 0.3, "
        "3 reports in a row since step 7",
    )


def test_adam_at_an_absurd_rate_stops_within_three_reports() -> None:
    verdicts = replay(losses([0.7, 3.1e38, 2.9e38, 3.3e38, 3.2e38]))
    assert len(verdicts) == 3
    assert verdicts[-1].symptom == "explosion"
    assert verdicts[-1].reason == (
        "train_loss 2.9e+38 is more than ten times its first value 0.7 and its best 0.7, "
        "2 reports in a row since step 2"
    )


def test_a_spike_that_falls_back_lives() -> None:
    # As one of the AlgoPerf runs, which ended better than it was before the spike.
    spike = [1.6, 0.888, 0.54, 0.341, 0.21, 0.112, 0.0934, 0.0849, 0.0705, 0.063, 0.0557, 0.0392]
    curve = [*falling(30, 6.9, 0.06), *spike, *([0.035] * 20)]
    assert {verdict.action for verdict in replay(losses(curve))} == {"continue"}


def test_a_training_that_begins_again_lives() -> None:
    once = [0.15 + 6.75 * math.exp(-index / 8) + 0.02 * (index % 3) for index in range(100)]
    assert {verdict.action for verdict in replay(losses([*once, *once]))} == {"continue"}


def test_a_spike_that_stays_or_comes_back_only_in_part_is_lost() -> None:
    up = falling(30, 6.9, 0.06)
    assert len(replay(losses([*up, 6.0, 5.9, 6.1, 6.0, 6.0, 6.0]))) == 34
    part = [8.0, 6.0, 4.5, 3.5, 3.0, *([3.0] * 20)]
    verdicts = replay(losses([*up, *part]))
    assert verdicts[-1].action == "stop"
    assert 35 < len(verdicts) < 45


def test_a_loss_that_doubles_late_in_a_long_run_and_stays_is_lost() -> None:
    # A fifth of the progress would have to be lost for a hundred reports, which are not left.
    verdicts = replay(losses([*falling(960, 10.0, 1.0), *([2.6] * 20)]))
    assert verdicts[-1].symptom == "lost progress"
    assert len(verdicts) == 966


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=40))
def test_any_finite_values_are_judged(values: list[float]) -> None:
    verdicts = replay(losses(values))
    assert [v.action for v in verdicts] == [v.action for v in replay(losses(values))]


def test_an_explosion_of_the_metric_stops_where_there_is_no_loss() -> None:
    verdicts = replay(losses([0.5, 0.4, 4.0, 4.5, 4.8], "val_mae"))
    assert verdicts[-1].action == "stop"
    assert verdicts[-1].reason.startswith("val_mae 4.8 is more than twice")


def test_a_validation_loss_alone_never_stops_a_run() -> None:
    verdicts = replay(losses([0.5, 0.4, 8.0, 9.0, 10.0], "val_loss"), metric=None)
    assert (verdicts[-1].symptom, verdicts[-1].action) == ("explosion", "warn")


def test_an_exploding_validation_loss_beside_a_sound_training_loss_is_no_divergence() -> None:
    reports = [{"train_loss": loss, "val_loss": 1 / loss**3} for loss in falling(40)]
    assert {verdict.action for verdict in replay(reports)} == {"continue"}


def test_the_training_loss_takes_over_when_it_comes_late() -> None:
    late = [{"val_loss": 0.5}, *({"train_loss": loss, "val_loss": 90.0} for loss in falling(20))]
    assert {verdict.action for verdict in replay(late)} == {"continue"}


def test_values_far_apart_do_not_overflow() -> None:
    edges = [1e308, 1e-308, 5e-324, 1e-308, 1e308, 1e308, 1e-300, 1e308, -1e308, 1e308, 0.0]
    assert replay(losses(edges * 3))


# --- lost progress ----------------------------------------------------------------------------


def test_lost_progress_of_a_negative_loss_stops() -> None:
    # A log-likelihood: ratios mean nothing, the part of the progress that is lost does.
    curve = [-1.0 - 0.4 * index for index in range(20)] + [-2.0, -1.9, -1.8, -1.7]
    verdicts = replay(losses(curve))
    assert verdicts[-1].action == "stop"
    assert verdicts[-1].symptom == "lost progress"
    assert verdicts[-1].onset == 21
    assert "of its progress from -1 to" in verdicts[-1].reason


def test_a_healthy_negative_loss_lives() -> None:
    curve = [1.0 - 0.1 * index for index in range(60)]
    assert {verdict.action for verdict in replay(losses(curve))} == {"continue"}


def test_a_maximised_metric_that_collapses_stops() -> None:
    psnr = [12 + 0.5 * index for index in range(16)] + [11.0, 10.0, 9.0, 9.0]
    verdicts = replay(losses(psnr, "val_psnr"), metric="val_psnr", goal="maximize")
    assert verdicts[-1].action == "stop"
    assert verdicts[-1].onset == 17
    assert verdicts[-1].reason.startswith("val_psnr 9 has lost")


def test_a_maximised_metric_that_grows_lives() -> None:
    accuracy = [1 - value for value in falling(50, 0.9, 0.01)]
    verdicts = replay(losses(accuracy, "val_accuracy"), metric="val_accuracy", goal="maximize")
    assert {verdict.action for verdict in verdicts} == {"continue"}


def test_losing_a_fifth_for_long_stops_and_for_a_while_does_not() -> None:
    settled = [*falling(20, 1.0, 0.5), *[0.5, 0.51] * 6]
    assert len(replay(losses([*settled, *[0.65] * 8, *[0.5] * 10]))) == 50
    verdicts = replay(losses([*settled, *[0.65] * 30]))
    assert verdicts[-1].action == "stop"
    assert "10 reports in a row since step 33" in verdicts[-1].reason


# --- what lives -------------------------------------------------------------------------------


def test_a_spike_in_the_warm_up_recovers() -> None:
    curve = [1.0, 4.8, 2.6, *falling(40, 1.0, 0.05)]
    assert len(replay(losses(curve))) == 43


def test_one_spike_of_a_hundredfold_late_in_a_run_recovers() -> None:
    curve = [*falling(50), 90.0, 4.0, *falling(20, 0.1, 0.08)]
    assert len(replay(losses(curve))) == 72


def test_the_five_epoch_run_is_warned_of_as_rising() -> None:
    verdicts = replay(losses([0.2847, 0.4059, 0.4111, 0.4625, 0.4580]))
    assert [verdict.action for verdict in verdicts] == [
        "continue",
        "continue",
        "continue",
        "warn",
        "continue",
    ]
    assert verdicts[3].onset == 2
    assert verdicts[3].reason == (
        "train_loss 0.4625 was never below its first value 0.2847 and is 62% worse than it, "
        "3 reports in a row since step 2"
    )


@pytest.mark.parametrize("curve", [[], [0.5], [0.5, 0.9], [0.5, 2.0, 3.0], [0.0, 0.0, 0.0]])
def test_short_runs_end_without_a_verdict(curve: list[float]) -> None:
    assert all(verdict.action == "continue" for verdict in replay(losses(curve)))


def test_reports_without_the_series_change_nothing() -> None:
    curve = [0.9, 0.5, 0.3, 2.0, 3.0, 4.0]
    mixed = [report for loss in losses(curve) for report in (loss, {"lr": 0.1}, {})]
    assert replay(mixed)[-1].reason.startswith("train_loss 4 is more than twice")


def test_values_that_are_no_numbers_are_passed_over() -> None:
    odd: dict[str, object] = {"train_loss": "0.5", "val_loss": None, "done": True}
    assert DivergenceRule().update(1, odd).action == "continue"  # type: ignore[arg-type]


# --- steps ------------------------------------------------------------------------------------


def test_one_spike_that_is_reported_three_times_is_one_report() -> None:
    rule = DivergenceRule()
    for step, loss in enumerate(falling(10)):
        rule.update(step, {"train_loss": loss})
    assert {rule.update(10, {"train_loss": 50.0}).action for _ in range(5)} == {"continue"}


def test_a_resumed_run_gets_its_own_three_reports() -> None:
    rule = DivergenceRule()
    for step, loss in enumerate([*falling(10), 5.0, 6.0]):
        assert rule.update(step, {"train_loss": loss}).action == "continue"
    actions = [rule.update(step, {"train_loss": 7.0 + step / 10}).action for step in (9, 10, 11)]
    assert actions == ["continue", "continue", "stop"]


def test_a_resumed_run_that_repeats_good_steps_lives() -> None:
    rule = DivergenceRule()
    curve = falling(40)
    steps = [*range(30), *range(20, 40), *range(35, 40)]
    assert {rule.update(step, {"train_loss": curve[step]}).action for step in steps} == {"continue"}


def test_a_lost_run_stays_lost() -> None:
    rule = DivergenceRule()
    lost = rule.update(1, {"train_loss": NAN})
    assert rule.update(2, {"train_loss": 0.1}) == lost


def test_an_unknown_goal_is_refused() -> None:
    with pytest.raises(ValueError, match="goal: expected minimize or maximize"):
        DivergenceRule("val_mae", "min")


# --- properties -------------------------------------------------------------------------------

anything = st.floats(allow_nan=True, allow_infinity=True)
reports_of_any_kind = st.lists(
    st.dictionaries(st.sampled_from(["train_loss", "val_loss", "val_mae", "lr"]), anything),
    max_size=60,
)


@given(reports=reports_of_any_kind, goal=st.sampled_from(["minimize", "maximize"]))
def test_replaying_gives_the_same_verdicts(reports: list[dict[str, float]], goal: str) -> None:
    first = replay(reports, goal=goal)
    assert first == replay(reports, goal=goal)
    for verdict in first:
        quiet = verdict.action == "continue"
        assert quiet == (verdict.symptom is None) == (verdict.onset is None)
        assert quiet == (not verdict.reason)


@given(
    noise=st.lists(st.floats(-1, 1), min_size=3, max_size=300),
    start=st.floats(0.01, 1e4),
    share=st.floats(0, 0.15),
    decay=st.floats(0.0, 0.2),
    floor=st.floats(0.05, 0.9),
)
@settings(max_examples=300)
def test_a_decreasing_curve_with_noise_is_never_stopped(
    noise: list[float], start: float, share: float, decay: float, floor: float
) -> None:
    curve = [
        start * (floor + (1 - floor) * math.exp(-decay * index)) * (1 + share * wobble * floor)
        for index, wobble in enumerate(noise)
    ]
    assert all(verdict.action != "stop" for verdict in replay(losses(curve)))


@given(
    before=st.integers(1, 200),
    factor=st.floats(2.5, 1e6),
    start=st.floats(1e-6, 1e6),
)
def test_an_explosion_is_always_stopped_by_its_third_report(
    before: int, factor: float, start: float
) -> None:
    sound = [start * (0.5 + 0.5 * 0.9**index) for index in range(before)]
    verdicts = replay(losses([*sound, *[start * factor * (1 + 0.1 * i) for i in range(5)]]))
    assert verdicts[-1].action == "stop"
    # From ten times the first value on, two reports are enough.
    assert len(verdicts) == before + (2 if factor > 10 else 3)
    assert verdicts[-1].onset == before + 1


def test_memory_does_not_grow_with_the_run() -> None:
    def size_after(reports: int) -> int:
        import pickle

        rule = DivergenceRule("val_mae", "minimize")
        for step in range(reports):
            rule.update(step, {"train_loss": 1 + 1 / (step + 1), "val_mae": NAN})
        return len(pickle.dumps(rule))

    # It keeps at most 128 means over intervals, whose number depends on the length.
    assert abs(size_after(20_000) - size_after(200)) < 2_500


def test_the_rule_loads_no_numeric_package() -> None:
    code = (
        "import sys, orchestrator.divergence.rule\n"
        "print(sorted({'numpy', 'torch', 'pandas', 'scipy', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_list_of_losses_is_judged() -> None:
    assert DivergenceRule.judge([0.9, 0.5, 0.3, 0.2]).action == "continue"
    lost = DivergenceRule.judge([0.9, 0.5, 0.3, math.nan, 0.2])
    assert (lost.action, lost.onset) == ("stop", 3)
    assert DivergenceRule.judge([0.2847, 0.4056, 0.4111, 0.4625, 0.4580]).symptom == "rising"
    assert DivergenceRule.judge([0.2847, 0.4056, 0.4111, 0.4625, 0.2]).symptom is None
    falls = [*(0.1 * n for n in range(20)), *[0.1] * 12]
    assert DivergenceRule.judge(falls, "accuracy", "maximize").symptom == "lost progress"


# --- curves that are not what they seem -------------------------------------------------------


def judged(values: list[float]) -> str:
    return DivergenceRule.judge(values).action


def test_a_dead_network_is_lost_though_it_is_only_some_percent_above_its_best() -> None:
    fall = [4.16 - 0.33 * (1 - 0.9**step) + 0.002 * (-1) ** step for step in range(80)]
    assert judged([*fall, 6.422, *[4.089] * 12]) == "stop"
    assert judged([*fall, 6.422, *[4.089] * 4, *[3.83] * 20]) == "continue", "a short relapse"


def test_another_run_in_the_same_log_begins_a_new_curve() -> None:
    opening = [6.937, 12.229, 7.537, 6.266]
    fall = [6.0 * 0.97**step for step in range(60)]
    again = [value * 1.005 for value in opening]
    assert judged([*opening, *fall, *again, *fall]) == "continue"
    assert judged([*opening, *fall, *again, *fall, *[50.0] * 4]) == "stop"


def test_a_transient_at_the_beginning_is_no_verdict() -> None:
    assert judged([12.44, 12.445, 41.03, 43.06, 38.1, 33.7, 31.2, 25.6, 22.1, 19.8, 15.0, 8.0]) == (
        "continue"
    )
    assert judged([4.93, 412.0, 413.0, 415.0]) == "stop"


def test_a_tiny_loss_with_spikes_of_its_own_size_is_not_lost() -> None:
    noisy = [0.2218, 0.12, 0.03, 0.06, *[0.0004 * (1, 6, 2, 9, 4, 12)[n % 6] for n in range(60)]]
    assert judged([*noisy, 0.0144, 0.0087, 0.0335, 0.0177, 0.0145, 0.0144, 0.004]) == "continue"


def test_a_run_that_rises_from_early_on_is_lost_without_siblings() -> None:
    assert judged([0.3, *[0.45 + 0.001 * n for n in range(10)]]) == "warn"
    assert judged([0.3, *[0.45 + 0.001 * n for n in range(25)]]) == "stop"


def test_a_long_run_is_given_time_to_come_back() -> None:
    fall = [5.0 + 1.6 * 0.99**step for step in range(600)]
    spike = [8.2, 8.77, 7.95, 8.69, 7.92, 7.45, 7.32, 7.2, 7.09, 7.0, 6.9, 6.8, 6.7, 6.6, 6.5]
    assert judged([*fall, *spike, *[6.4 - 0.02 * n for n in range(60)]]) == "continue"


def test_a_late_jump_is_not_pardoned_because_its_first_report_was_extreme() -> None:
    fallen = [2.2 * 0.9**n for n in range(57)]
    [*_, last] = replay(losses([*fallen, 417.0, 2.89, 2.78, 2.63, 2.51]))
    assert (last.symptom, last.onset) == ("lost progress", 58)


def test_single_batches_that_begin_low_do_not_explode() -> None:
    batches = [1.73, 2.2, 3.3, 1.6, 1.58, 3.59, 3.72, 4.52, 2.3, 3.4, 2.94, 2.64, 3.22, 2.68]
    assert not any(verdict.stops for verdict in replay(losses(batches)))


def test_an_excursion_like_one_that_the_run_recovered_from_is_waited_for() -> None:
    before, again = [0.7, 0.72, 0.71], [0.7, 0.72, 0.71, 0.7]
    calm = [0.1] * 6
    curve = [*falling(20), *before, *calm, *again, *calm]
    assert not any(verdict.stops for verdict in replay(losses(curve)))
    without = [*falling(20), *calm, *again]
    assert replay(losses(without))[-1].stops
    assert replay(losses([*falling(20), *before, *calm, *again, 0.71]))[-1].stops  # it lasts longer
