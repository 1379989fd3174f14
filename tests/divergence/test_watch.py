"""The watch: notes beside the rule, each once, and what the policy makes of all of them."""

from __future__ import annotations

import csv
import gzip
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, strategies as st

from orchestrator.divergence import DivergenceRule, Policy, Verdict, Watch, is_forecast
from orchestrator.divergence.diagnosis import diagnose
from orchestrator.divergence.schedule.declared import declared
from orchestrator.divergence.symptoms import all_symptoms
from tests.shared_data import shared_data

FIVE_EPOCHS = [0.2847, 0.4059, 0.4111, 0.4625, 0.4580]


def watched(
    reports: Iterable[Mapping[str, float]], watch: Watch | None = None, *, fell: bool = False
) -> list[Verdict]:
    """Return all that the watch says, up to what ends the run."""
    watch = watch or Watch("val_mae")
    said = []
    for step, metrics in enumerate(reports, start=1):
        new = watch.update(step, metrics, loss_can_fall=fell)
        said += new
        if any(verdict.stops for verdict in new):
            break
    return said


def losses(values: Iterable[float], name: str = "train_loss") -> list[dict[str, float]]:
    return [{name: value} for value in values]


def falling(count: int, end: float = 0.1) -> list[float]:
    return [end ** (index / (count - 1)) for index in range(count)]


def symptoms(said: Iterable[Verdict]) -> list[str | None]:
    return [verdict.symptom for verdict in said]


# --- rising -----------------------------------------------------------------------------------


def test_the_five_epoch_run_is_told_of_where_no_other_trial_fell() -> None:
    said = watched(losses(FIVE_EPOCHS))
    assert [(one.action, one.symptom, one.onset) for one in said] == [("warn", "rising", 2)]
    assert said[0].numbers["first"] == 0.2847


def test_the_five_epoch_run_ends_where_another_trial_fell() -> None:
    said = watched(losses(FIVE_EPOCHS), fell=True)
    assert [(one.action, one.symptom) for one in said] == [("stop", "rising")]


def test_a_rising_run_ends_once_another_trial_falls_later() -> None:
    watch = Watch()
    for step, report in enumerate(losses(FIVE_EPOCHS), start=1):
        watch.update(step, report)
    said = watch.update(6, {"train_loss": 0.45}, loss_can_fall=True)
    assert [(one.action, one.symptom) for one in said] == [("stop", "rising")]
    assert watch.update(7, {"train_loss": 0.2}, loss_can_fall=True) == []


def test_a_run_that_fell_shows_that_the_loss_can() -> None:
    watch = Watch()
    for step, value in enumerate(falling(10)):
        watch.update(step, {"train_loss": value})
    assert watch.has_fallen
    stuck = Watch()
    for step, value in enumerate(FIVE_EPOCHS):
        stuck.update(step, {"train_loss": value})
    assert not stuck.has_fallen


# --- notes ------------------------------------------------------------------------------------


def test_oscillation() -> None:
    curve = [1.0 if step % 2 else 2.0 for step in range(60)]
    said = [one for one in watched(losses(curve)) if one.symptom == "oscillation"]
    assert len(said) == 1
    assert said[0].action == "warn"
    assert "swings between 1 and 2" in said[0].reason
    assert "oscillation" not in symptoms(watched(losses(falling(60))))


def test_a_loss_that_stands_high_is_a_plateau_and_one_that_converged_is_none() -> None:
    high = [0.9 + 0.1 * 0.5**step for step in range(60)]
    said = watched(losses(high))
    assert "plateau" in symptoms(said)
    plateau = next(one for one in said if one.symptom == "plateau")
    assert "no progress since step" in plateau.reason
    assert plateau.numbers["best"] == pytest.approx(0.9)
    low = [0.01 + 0.99 * 0.5**step for step in range(60)]
    assert "plateau" not in symptoms(watched(losses(low)))


def test_a_plateau_of_a_maximised_metric() -> None:
    curve = losses([0.5 + 0.05 * min(step, 3) for step in range(40)], "accuracy")
    said = watched(curve, Watch("accuracy", "maximize"))
    assert "plateau" in symptoms(said)
    assert next(one for one in said if one.symptom == "plateau").numbers["best"] > 0


def test_overfitting() -> None:
    reports = [
        {"train_loss": loss, "val_loss": 0.3 + abs(0.3 - loss)} for loss in falling(40, end=0.01)
    ]
    said = [one for one in watched(reports) if one.symptom == "overfitting"]
    assert len(said) == 1
    assert said[0].reason.startswith("val_loss rose from 0.3")
    better = [{**one, "val_auroc": 0.5 + n / 100} for n, one in enumerate(reports)]
    assert watched(better, Watch("val_auroc", "maximize")) == [], "what ranks the trials improves"
    level = [{"train_loss": loss, "val_loss": 0.3 + loss} for loss in falling(40)]
    assert "overfitting" not in symptoms(watched(level))


def test_too_slow_for_its_target() -> None:
    # The residual autoencoder at 1e-5: 19.78 dB where 21 was wanted.
    slow = [15 + 0.04 * step for step in range(100)]
    watch = Watch("val_psnr", "maximize", target=21.0, total_steps=100)
    said = watched(losses(slow, "val_psnr"), watch)
    assert symptoms(said) == ["too slow"] * 3, "a forecast is renewed as the run goes on"
    assert "misses its target 21" in said[0].reason
    assert said[0].numbers["promised"] == pytest.approx(18.96, abs=0.1)
    assert watch.standing() == []


def test_a_run_on_its_way_to_the_target_is_not_too_slow() -> None:
    watch = Watch("val_psnr", "maximize", target=21.0, total_steps=100)
    assert watched(losses([15 + 0.08 * step for step in range(100)], "val_psnr"), watch) == []


def test_only_the_last_forecast_stands_and_only_while_the_run_is_behind() -> None:
    watch = Watch("val_psnr", "maximize", target=21.0, total_steps=100)
    for step in range(60):
        watch.update(step, {"val_psnr": 15 + 0.04 * step})
    (found,) = watch.standing()
    assert " at step 45 of 100; " in found.reason
    assert is_forecast(found.reason)
    assert watch.standing(is_over=True) == []
    for step in range(60, 75):
        watch.update(step, {"val_psnr": 17.4 + 0.2 * (step - 60)})
    assert watch.standing() == [], "it has caught up"


def test_nobody_calls_a_run_that_met_its_target_a_plateau() -> None:
    watch = Watch("val_mae", target=0.95, total_steps=80)
    assert (
        watched(
            losses([1.0, *[0.94] * 3, *[0.94 - 1e-2 * (s % 2) for s in range(76)]], "val_mae"),
            watch,
        )
        == []
    )


def test_dead_from_the_start() -> None:
    said = watched(losses([2.303] * 8))
    assert symptoms(said) == ["dead from the start"]
    assert said[0].onset == 1
    jumped = watched(losses([134.0, 68.3, 68.3, 68.3, 68.3, 68.3, 68.3, 68.3]))
    assert (jumped[0].symptom, jumped[0].onset) == ("dead from the start", 2)
    assert watched(losses([*falling(10), *[0.1] * 10])) == []


def test_a_noisy_loss_that_has_not_learned() -> None:
    def found(values: Iterable[float], **more: list[float]) -> list[tuple[str, str]]:
        reports = [
            (n, {"train_loss": one, **{name: series[n] for name, series in more.items()}})
            for n, one in enumerate(values)
        ]
        return [(one.symptom, one.reason) for one in diagnose(reports).findings]

    guess = [2.29 - 0.02 * min(1, n / 10) + 0.012 * math.sin(12.9898 * n) for n in range(60)]
    assert [one for one, _ in found(guess)] == ["has not learned"]
    assert "a guess among 10 classes has 2.303" in found(guess)[0][1]
    assert "from 2.266 since step 7" in found([9000.0, 90.0, 4.0, *guess[:50]])[0][1]
    assert found([one - 0.004 * n for n, one in enumerate(guess)]) == []
    assert found([*guess[:30], *(2.27 * 0.95**n for n in range(30))]) == [], "it has learned since"
    assert found(guess[:40], val_loss=[2.3 * 0.97**n for n in range(40)]) == []


def test_gradients_of_nothing() -> None:
    reports = [{"train_loss": 1.0 / (step + 1), "grad_norm": 0.0} for step in range(5)]
    assert symptoms(watched(reports)) == ["dead from the start"]


def test_memory_that_grows_and_memory_that_settles() -> None:
    leak = [{"train_loss": 0.5**step, "gpu_memory_mib": 4000 + 50 * step} for step in range(40)]
    said = watched(leak, Watch(memory_limit_mib=8000))
    assert symptoms(said) == ["growing memory"]
    assert "50 MiB per step, and reaches its limit of 8000 MiB at step 81" in said[0].reason
    settles = [
        {"train_loss": 0.5**step, "gpu_memory_mib": min(4000 + 500 * step, 9000)}
        for step in range(40)
    ]
    assert watched(settles) == []


def test_a_restart_in_the_log() -> None:
    watch = Watch()
    steps = (1, 2, 3, 3, 1, 2)
    said = [one for step in steps for one in watch.update(step, {"train_loss": 1 / step})]
    assert symptoms(said) == ["restart"]
    assert said[0].reason == "the log starts again: step 1 comes after step 3"


def test_a_schedule_that_stands_still() -> None:
    configured = declared({"cosine": {"lr": 1e-3, "total": 50}})
    reports = [{"train_loss": value, "lr": 1e-3} for value in falling(50)]
    watch = Watch(schedule=configured, total_steps=50)
    said = watched(reports, watch)
    assert said[0].symptom == "schedule"
    assert said[0].reason.startswith("lr never moved")
    rates = diagnose(list(enumerate(reports))).rates
    assert rates == {"first": 1e-3, "peak": 1e-3, "last": 1e-3}


def test_of_several_groups_the_first_rate_counts() -> None:
    configured = declared({"cosine": {"lr": 1e-3, "total": 50}})
    reports = [
        {"train_loss": value, "lr/pg0": configured.schedule.at(step), "lr/pg1": 0.1}
        for step, value in enumerate(falling(50))
    ]
    watch = Watch(schedule=configured, total_steps=50)
    assert watched(reports, watch) == []
    assert diagnose(list(enumerate(reports))).rates["peak"] == 1e-3


# --- policy -----------------------------------------------------------------------------------


def test_a_policy_can_end_a_run_for_a_note() -> None:
    said = watched(losses([2.303] * 8), Watch(policy=Policy.of({"dead from the start": "stop"})))
    assert [one.action for one in said] == ["stop"]


def test_a_policy_can_let_a_lost_run_live_and_says_so_once() -> None:
    policy = Policy.of({"explosion": "warn", "lost progress": "warn", "non-finite": "warn"})
    curve = [0.9, 0.5, 0.3, 9.0, 9.0, 9.0, 9.0, math.nan, math.nan, math.inf, 9.0, math.nan]
    said = watched(losses(curve), Watch(policy=policy))
    assert [(one.action, one.symptom, one.onset) for one in said] == [
        ("warn", "explosion", 4),
        ("warn", "non-finite", 8),
        ("warn", "non-finite", 12),
    ]


def test_what_is_lost_comes_first() -> None:
    reports: list[dict[str, float]] = losses([2.303] * 5)
    reports.append({"train_loss": math.nan, "val_loss": math.nan})
    said = watched(reports)
    assert said[0].action == "stop"


# --- properties -------------------------------------------------------------------------------

anything = st.floats(allow_nan=True, allow_infinity=True)
names = ["train_loss", "val_loss", "val_mae", "lr", "grad_norm", "memory_mib"]
reports_of_any_kind = st.lists(
    st.tuples(st.integers(0, 50), st.dictionaries(st.sampled_from(names), anything)), max_size=80
)


@given(reports=reports_of_any_kind, goal=st.sampled_from(["minimize", "maximize"]))
def test_the_watch_ends_what_the_rule_ends_and_says_the_same_again(
    reports: list[tuple[int, dict[str, float]]], goal: str
) -> None:
    schedule = declared({"cosine": {"lr": 1e-3, "total": 50}})

    def once() -> list[list[Verdict]]:
        watch = Watch("val_mae", goal, target=0.1, total_steps=50, schedule=schedule)
        return [watch.update(step, metrics) for step, metrics in reports]

    said = once()
    assert said == once()
    rule = DivergenceRule("val_mae", goal)
    for (step, metrics), new in zip(reports, said, strict=True):
        verdict = rule.update(step, metrics)
        assert any(one.stops for one in new) == verdict.stops
        for one in new:
            assert one.symptom in all_symptoms()
            assert one.reason
        if verdict.stops:
            break


def test_memory_does_not_grow_with_the_run() -> None:
    def size_after(reports: int) -> int:
        configured = declared({"cosine": {"lr": 1e-3, "total": 1e6}})
        watch = Watch("val_mae", target=0.0, total_steps=1e6, schedule=configured)
        for step in range(reports):
            report = {"train_loss": 1 + 1 / (step + 1), "val_mae": math.nan, "lr": 1e-3}
            watch.update(step, {**report, "val_loss": 1.0 + step, "memory_mib": float(step)})
        return len(pickle.dumps(watch))

    assert size_after(20_000) - size_after(2_000) < 4_000


def test_the_watch_loads_no_numeric_package() -> None:
    code = (
        "import sys, orchestrator.divergence.watch\n"
        "print(sorted({'numpy', 'torch', 'pandas', 'scipy', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- real curves ------------------------------------------------------------------------------


@pytest.mark.slow
def test_notes_on_real_curves() -> None:
    path = shared_data("curves", "labelled_curves.jsonl.gz")
    with gzip.open(path, "rt") as stream:
        curves = [json.loads(line) for line in stream]
    seen: dict[str, dict[str, int]] = {}
    total: dict[str, int] = {}
    for curve in curves:
        if curve["ambiguous"] or curve["mode"] == "max":
            continue
        total[curve["label"]] = total.get(curve["label"], 0) + 1
        watch = Watch(policy=Policy.of(dict.fromkeys(all_symptoms(), "warn")))
        train, val = curve["values"], curve["val_loss"] or [None] * len(curve["values"])
        found: set[str] = set()
        for step, pair in enumerate(zip(train, val, strict=False)):
            report = dict(zip(("train_loss", "val_loss"), pair, strict=True))
            known = {name: float(v) for name, v in report.items() if v is not None}
            found |= {str(one.symptom) for one in watch.update(step, known)}
        found |= {"still"} if found & {"plateau", "dead from the start"} else set()
        found |= {f"{one.symptom} at the end" for one in watch.standing(is_over=True)}
        for symptom in found:
            counts = seen.setdefault(symptom, {})
            counts[curve["label"]] = counts.get(curve["label"], 0) + 1
    assert seen["overfitting"]["overfit"] == total["overfit"]
    assert seen["overfitting at the end"]["overfit"] == total["overfit"]
    assert seen["overfitting"].get("healthy", 0) <= 0.05 * total["healthy"]
    assert seen["overfitting at the end"].get("healthy", 0) <= 0.02 * total["healthy"]
    assert seen["still"]["plateau"] >= 0.9 * total["plateau"]
    assert seen["plateau"].get("healthy", 0) <= 0.15 * total["healthy"]
    assert seen["plateau at the end"].get("healthy", 0) <= 0.05 * total["healthy"]
    assert seen["dead from the start"]["plateau"] >= 0.6 * total["plateau"]
    assert seen["dead from the start"].get("healthy", 0) == 0
    assert seen["oscillation"]["oscillating"] >= 0.6 * total["oscillating"]
    assert seen["oscillation"].get("healthy", 0) <= 0.15 * total["healthy"]


def test_the_sar_runs_live_and_the_slow_one_is_called_slow() -> None:
    with shared_data("curves", "sar_autoencoder", "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    watches: dict[str, Watch] = {}
    said: dict[str, list[Verdict]] = {}
    for row in rows:
        run = row["run"]
        total = float(row["max_epochs"])
        watch = watches.setdefault(
            run, Watch("val_psnr_db", "maximize", target=21.0, total_steps=total)
        )
        cells = ("train_loss", "val_loss", "val_psnr_db", "lr")
        report = {name: float(row[name]) for name in cells if row[name]}
        said.setdefault(run, []).extend(watch.update(int(row["epoch"]), report))
    assert not [one for verdicts in said.values() for one in verdicts if one.stops]
    assert "too slow" in symptoms(said["residual_v2_c16"])
    assert "too slow" not in symptoms(said["resnet_lite_v2_c16"])
    assert symptoms(said["resnet_lite_c16"]).count("non-finite") == 4
