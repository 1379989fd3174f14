"""The course of whole sweeps, whose trials the test plays: kills, failures and all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.queue.decisions import Decisions, TimeSpent, limit_reached
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots import trial_needs
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import SlotOptions
from orchestrator.errors import UsageError
from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState, load_trials
from orchestrator.search.studies import Studies
from orchestrator.sweepfile.conditions import constraints
from orchestrator.sweepfile.model.course import Ablate, Budget, Change, Promote, Remedy, Stage
from orchestrator.sweepfile.model.spec import Constraint, Domain, MetricGoal, Spec
from tests.engine.machines import FakeMachine
from tests.engine.sweeps import cpu_plan, toy_spec

LR = {"lr": Domain("log_uniform_values", low=1e-3, high=1.0)}
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def unknown(name: str, folder: Path | None = None) -> None:
        raise UsageError(name)

    # The toy trainer would be looked at in a process of its own for each driver.
    monkeypatch.setattr(trial_needs, "trainer_schema", unknown)


class Play:
    """A sweep whose driver may be killed at any moment, and whose trials do as they are told."""

    def __init__(self, folder: Path, spec: Spec, slots: int = 2) -> None:
        self.spec = spec
        self.slots = slots
        self.sweep = SweepDir(folder / "sweep")
        self.sweep.trials_dir.mkdir(parents=True)
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.starts: list[int] = []
        self.count = 0
        self.open()

    def open(self) -> None:
        """Start a driver, as after one that was killed."""
        state = SweepRecord.load(self.sweep) or SweepRecord("sweep")
        state.course.pop("ended", None)
        records = {record.number: record for record in load_trials(self.sweep)}
        for record in records.values():
            if record.state is TrialState.RUNNING:
                record.state, record.reason = TrialState.WAITING, "interrupted"
                record.save(self.sweep.run_dir(record.number, record.name))
        self.state = state
        log = SweepLog(
            self.sweep, lambda event, record, details: self.events.append((event, dict(details)))
        )
        allocator = SlotAllocator(
            self.spec,
            cpu_plan(self.slots),
            SlotOptions(),
            FakeMachine(cores=self.slots),
            log,
        )
        self.conductor = Conductor(self.spec, log, allocator, records=records, state=state)
        self.running: dict[str, TrialRecord] = {}

    def start(self) -> TrialRecord | None:
        self.count += 1
        attempt = self.conductor.next_attempt(str(self.count))
        if attempt is None:
            return None
        record = self.conductor.records[attempt.number]
        assert attempt.run_dir.metrics_file.exists() is False or record.attempt > 1
        self.starts.append(record.number)
        self.running[str(self.count)] = record
        return record

    def end(self, attempt_id: str, value: float | None, *, done: bool = True) -> None:
        """End an attempt; `value` is reported before, None reports nothing."""
        record = self.running.pop(attempt_id)
        run = self.sweep.run_dir(record.number, record.name)
        if value is not None:
            metrics = {"train_loss": value, "val_mae": value}
            jsonl.append(run.metrics_file, {"step": 1, "metrics": metrics})
            self.conductor.on_messages(attempt_id, [["report", 1, metrics]])
        self.conductor.on_messages(attempt_id, [["done"] if done else ["failed", "it broke"]])
        self.conductor.on_gone(attempt_id)

    def to_the_end(self, worth: Mapping[float, float], *, fails: tuple[float, ...] = ()) -> None:
        """Run all that is left; what a trial is worth depends on its rate."""
        for _ in range(500):
            if self.conductor.is_over:
                return
            while self.start() is not None:
                pass
            for attempt_id, record in list(self.running.items())[:1]:
                lr = record.config["lr"]
                self.end(attempt_id, worth.get(lr, lr), done=lr not in fails)
        raise AssertionError("it does not end")

    @property
    def records(self) -> list[TrialRecord]:
        return load_trials(self.sweep)

    def at(self, stage: str) -> list[TrialRecord]:
        return [record for record in self.records if record.stage == stage]


STAGES = (
    Stage("quick", {"epochs": 2}, Promote(top=3)),
    Stage("mid", {"epochs": 4}, Promote(fraction=0.4), resumes=True),
    Stage("full", {"epochs": 6}),
)


def grid(folder: Path, rates: list[float], **fields: Any) -> Spec:
    domain = Domain("categorical", values=tuple(rates))
    return toy_spec(folder, {}, parameters={"lr": domain}, **fields)


def test_stages_promote_the_best_and_no_more(tmp_path: Path) -> None:
    rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    play = Play(tmp_path, grid(tmp_path, rates, stages=STAGES))
    assert play.conductor.trials.expected == 6 + 3 + 2
    play.to_the_end({0.1: 9.0, 0.4: 0.3})
    assert [record.config["lr"] for record in play.at("mid")] == [0.2, 0.3, 0.4]
    assert [record.config["epochs"] for record in play.at("mid")] == [4, 4, 4]
    assert [(r.name, r.config["epochs"], r.link) for r in play.at("full")] == [
        ("lr=0.2+full", 6, "promoted"),
        ("lr=0.3+full", 6, "promoted"),
    ], "two of three, and not the one that is equal to the second"
    assert [record.from_checkpoint for record in play.at("full")] == [False] * 2
    assert all(record.from_checkpoint for record in play.at("mid"))
    told = [details["words"] for event, details in play.events if event == "promotion"]
    assert told == [
        "stage quick: 6 trials, 6 complete; 3 promoted to mid (top 3): lr=0.2 0.2, lr=0.3 0.3, "
        "lr=0.4 0.3",
        "stage mid: 3 trials, 3 complete; 2 promoted to full (the best 40 %): lr=0.2+mid "
        "0.2, lr=0.3+mid 0.3",
    ]
    assert play.conductor.trials.expected == 11


@pytest.mark.parametrize(("or_not_worse", "promoted"), [(False, 1), (True, 2)])
def test_those_that_are_not_worse_are_promoted_too(
    tmp_path: Path, or_not_worse: bool, promoted: int
) -> None:
    rule = Promote(top=1, or_not_worse=or_not_worse)
    stages = (Stage("quick", {"epochs": 2}, rule), Stage("full", {"epochs": 6}))
    spec = grid(tmp_path, [0.1, 0.2, 0.3], stages=stages, seeds=(0, 1))
    play = Play(tmp_path, spec)
    play.to_the_end({0.1: 0.5, 0.2: 0.5, 0.3: 0.9})
    assert len(play.at("full")) == 2 * promoted
    text = play.state.course["stages"]["quick"]["words"]
    assert ("top 1, or not worse" in text) is or_not_worse


def test_who_was_mended_is_promoted_under_the_name_that_says_so(tmp_path: Path) -> None:
    stages = (Stage("quick", {}, Promote(top=1)), Stage("mid", {}, Promote(top=1)), Stage("full"))
    remedy = {"non-finite": Remedy(set={"lr": "*0.1"})}
    play = Play(tmp_path, grid(tmp_path, [0.5, 0.9], stages=stages, remedy=remedy))
    assert play.start() is not None
    play.end("1", float("nan"))
    play.to_the_end({})
    (last,) = play.at("full")
    assert last.name == "lr=0.5 → remedy 1: lr=0.05+full"
    assert last.config["lr"] == 0.05


def test_a_metric_that_nobody_knows_is_told_once(tmp_path: Path) -> None:
    spec = grid(tmp_path, [0.1, 0.2], metric=MetricGoal("val_acc", "maximize"))
    play = Play(tmp_path, spec)
    play.to_the_end({})
    assert all("it reported train_loss, val_mae" in r.warnings[0] for r in play.records)
    told = [details["text"] for event, details in play.events if event == "warning"]
    assert len(told) == 1
    assert told[0].startswith("val_acc is not known")


def test_a_stage_that_promotes_nobody_ends_the_sweep(tmp_path: Path) -> None:
    stages = (Stage("quick", {}, Promote(top=2, condition="val_mae < 0.05")), Stage("full", {}))
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2], stages=stages))
    play.to_the_end({})
    assert play.at("full") == []
    assert play.conductor.trials.is_complete
    told = play.state.course["stages"]["quick"]
    assert told["words"].endswith("none promoted to full (top 2, if val_mae < 0.05)")


def test_who_breaks_a_constraint_at_the_next_stage_leaves_its_place_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constraints, "trainer_schema", lambda name, folder=None: None)
    stages = (Stage("quick", {"epochs": 2}, Promote(top=2)), Stage("full", {"epochs": 6}))
    guard = Constraint("lr < 0.15 and epochs > 3", forbid=True, reason="too slow")
    spec = grid(tmp_path, [0.1, 0.2, 0.3], stages=stages, constraints=(guard,), seeds=(0, 1))
    play = Play(tmp_path, spec)
    play.to_the_end({})
    assert [(r.config["lr"], r.replicate) for r in play.at("full")] == [
        (0.2, 0), (0.2, 1), (0.3, 0), (0.3, 1)
    ]  # fmt: skip
    assert play.state.course["stages"]["quick"]["words"] == (
        "stage quick: 6 trials, 6 complete; 2 promoted to full (top 2): lr=0.2 0.2, lr=0.3 0.3; "
        "not allowed there: lr=0.1 (forbid lr < 0.15 and epochs > 3 (too slow))"
    )
    at_full = [number for number in play.starts if number >= 6]
    assert [play.conductor.records[number].replicate for number in at_full] == [0, 0, 1, 1]


def test_one_stage_alone_promotes_nobody(tmp_path: Path) -> None:
    spec = grid(tmp_path, [0.1, 0.2], stages=STAGES, stage="mid", stage_set={"epochs": 4})
    play = Play(tmp_path, spec)
    play.to_the_end({})
    assert [(r.stage, r.config["epochs"]) for r in play.records] == [("mid", 4)] * 2


def changes(folder: Path, **fields: Any) -> Spec:
    given: dict[str, Any] = {
        "baseline": {"lr": 0.5},
        "changes": {
            "lower": Change({"lr": 0.4}),
            "worse": Change({"lr": 0.9}, gate="val_mae < 0.8"),
            "longer": Change({"epochs": 9}),
        },
    }
    return toy_spec(folder, {}, ablate=Ablate(**{**given, **fields}), seeds=(0, 1, 2))


def test_a_missed_gate_ends_an_ablation_and_says_by_how_much(tmp_path: Path) -> None:
    play = Play(tmp_path, changes(tmp_path, gate="val_mae <= 0.3"))
    play.to_the_end({})
    assert [record.name for record in play.records] == [
        "baseline+seed=0",
        "baseline+seed=1",
        "baseline+seed=2",
    ]
    ending = play.conductor.ending
    assert ending is not None
    assert ending.exit_code == 3
    words = "gate of baseline: val_mae <= 0.3 is missed: val_mae is 0.5, 0.2 too high"
    assert ending.reason == words
    play.open()
    assert play.conductor.is_over, "and it stays ended"
    assert play.conductor.ending == ending


def test_changes_run_beside_each_other_once_the_gate_holds(tmp_path: Path) -> None:
    play = Play(tmp_path, changes(tmp_path, gate="val_mae <= 0.5 and complete"), slots=20)
    for _ in range(3):
        assert play.start() is not None
    assert play.start() is None, "the gate is not decided"
    assert not play.conductor.is_over
    play.to_the_end({})
    found = {record.name: record for record in play.records}
    assert len(found) == 12
    assert found["worse+seed=0"].change == {"name": "worse", "set": {"lr": 0.9}}
    assert play.state.course["gates"]["worse"]["held"] is False
    assert play.conductor.ending is None


def test_a_change_that_gains_more_than_the_noise_stays(tmp_path: Path) -> None:
    play = Play(tmp_path, changes(tmp_path, keep_improvements=True), slots=20)
    noise = iter([0.50, 0.51, 0.52, 0.40, 0.41, 0.42, 0.90, 0.91, 0.92, 0.41, 0.40, 0.43])
    batches = []
    while not play.conductor.is_over:
        batch = 0
        while play.start() is not None:
            batch += 1
        batches.append(batch)
        for attempt_id in list(play.running):
            play.end(attempt_id, next(noise))
    assert batches == [3, 3, 3, 3], "one change at a time, with all its seeds"
    kept = play.state.course["kept"]
    assert {name: decided["kept"] for name, decided in kept.items()} == {
        "lower": True,
        "worse": False,
        "longer": False,
    }
    last = [record for record in play.records if record.change.get("name") == "longer"]
    assert all(record.config["lr"] == 0.4 for record in last), "on top of what was kept"
    assert last[0].change["kept"] == ["lower"]
    assert kept["lower"]["words"].startswith(
        "change lower: kept: val_mae gains 0.1 against baseline; noise explains"
    )
    assert "gate" in kept["worse"]["words"]


def test_the_study_hears_of_a_config_once_with_the_mean(tmp_path: Path) -> None:
    spec = grid(tmp_path, [0.1, 0.2], seeds=(0, 1, 2))
    play = Play(tmp_path, spec, slots=1)
    order, values = [], {(0, 0): 0.1, (0, 1): 0.2, (0, 2): 0.6, (3, 0): 0.5, (3, 1): 0.7}
    while (record := play.start()) is not None:
        order.append((record.group, record.replicate))
        value = values.get((record.group or 0, record.replicate))
        play.end(str(play.count), value, done=value is not None)
        if len(order) == 3:
            play.open()
    assert [replicate for _, replicate in order] == [0, 0, 1, 1, 2, 2], "configs before seeds"
    study = Studies(play.sweep.study_file, "sweep", spec).of(None)._study
    told = sorted(trial.value or 0.0 for trial in study.trials if trial.state.name == "COMPLETE")
    assert told == [pytest.approx(0.3), pytest.approx(0.6)]
    first = play.records[3]
    assert first.warnings == ["the mean is of 2 of 3 seeds: lr=0.2_seed=2 FAIL"]


def test_a_config_that_a_pruner_stops_spares_its_other_seeds(tmp_path: Path) -> None:
    spec = grid(tmp_path, [0.1, 0.2, 0.3], seeds=(0, 1))
    play = Play(tmp_path, spec, slots=4)
    for _ in range(4):
        play.start()
    stopped = next(r for r in play.running.values() if r.config["lr"] == 0.2)
    live = next(i for i, r in play.running.items() if r is stopped)
    play.conductor._running[live].request_end(TrialState.PRUNED, "median pruner: it is worse")
    play.end(live, None)
    play.to_the_end({})
    other = next(r for r in play.records if r.group == stopped.number and r.replicate == 1)
    assert (other.state, other.attempt) == (TrialState.PRUNED, 0)
    assert other.reason == (
        "its config was stopped with its first seed (trial 2): median pruner: it is worse"
    )
    assert len(play.records) == 6
    study = Studies(play.sweep.study_file, "sweep", spec).of(None)
    assert sorted(study.states().values()) == ["COMPLETE", "COMPLETE", "PRUNED"]


@pytest.mark.parametrize(
    ("fields", "fails", "count", "words"),
    [
        (
            {"budget": Budget(trials=3)},
            (),
            3,
            "budget: 3 of 3 allowed trials ended. To run more, raise budget.trials and run it "
            "again",
        ),
        (
            {"budget": Budget(failures=2)},
            (0.2, 0.3),
            3,
            "budget: 2 trials failed in a row, the last of them lr=0.2, lr=0.3. Fix the cause "
            "and run again with --retry-failed",
        ),
        (
            {"metric": MetricGoal("val_mae", target=0.35)},
            (),
            1,
            "target: trial 0 (lr=0.1) reached val_mae 0.1, and 0.35 was wanted",
        ),
    ],
)
def test_what_bounds_a_sweep_ends_it_in_order(
    tmp_path: Path, fields: dict[str, Any], fails: tuple[float, ...], count: int, words: str
) -> None:
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5], **fields), slots=1)
    play.to_the_end({}, fails=fails)
    assert len(play.records) == count
    assert play.conductor.ending is not None
    assert play.conductor.ending.reason == words
    play.open()
    assert play.conductor.is_over


def test_never_more_run_than_the_budget_allows(tmp_path: Path) -> None:
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2, 0.3], budget=Budget(trials=2)), slots=3)
    assert play.start() is not None
    assert play.start() is not None
    assert play.start() is None
    assert play.conductor.trials.expected == 2
    assert play.conductor.ending is None, "those that run may yet run out of memory"


def test_hours_are_of_all_drivers_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2, 0.3], budget=Budget(hours=2)))
    play.start()
    spent = play.conductor._spent
    monkeypatch.setattr(spent, "_monotonic", lambda: spent._last + 1.5 * 3600)
    play.conductor.tick()
    assert play.conductor.ending is None
    play.open()
    play.start()
    spent = play.conductor._spent
    assert spent.hours == pytest.approx(1.5)
    monkeypatch.setattr(spent, "_monotonic", lambda: spent._last + 0.6 * 3600)
    play.conductor.tick()
    assert play.conductor.ending is not None
    assert play.conductor.ending.reason == (
        "budget: 2 h have passed. To run more, raise budget.hours and run it again"
    )
    (attempt_id,) = play.running
    assert play.conductor.is_ending(attempt_id)
    play.conductor.close()
    assert play.records[0].state is TrialState.WAITING
    play.open()
    assert play.conductor.is_over


def test_gpu_hours_count_every_card(tmp_path: Path) -> None:
    state = SweepRecord("sweep")
    log = SweepLog(SweepDir(tmp_path), lambda event, record, details: None)
    now = iter([0.0, 3600.0, 7200.0, 7200.0])
    spent = TimeSpent(Decisions(state, log), lambda: next(now))
    for gpus, is_last in ((2, False), (0, True)):
        spent.tick(gpus, is_last=is_last)
        written = SweepRecord.load(log.folder)
        assert written is not None
        assert written.course["spent"]["gpu_hours"] == 2.0
    assert (spent.hours, spent.gpu_hours) == (2.0, 2.0)
    ending = limit_reached(toy_spec(tmp_path, {}, budget=Budget(gpu_hours=2.0)), [], spent)
    assert ending is not None
    assert (ending.reason.partition(".")[0], ending.stops) == (
        "budget: 2 h of GPUs are used up",
        True,
    )
    assert TimeSpent(Decisions(state, log), lambda: next(now)).hours == 2.0


def test_each_stage_has_its_study_and_a_lost_journal_is_written_again(tmp_path: Path) -> None:
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2, 0.3, 0.4], stages=STAGES), slots=1)
    play.to_the_end({})

    def told() -> dict[str, list[float]]:
        studies = Studies(play.sweep.study_file, "sweep", play.spec)
        return {
            stage: sorted(trial.value or 0.0 for trial in studies.of(stage)._study.trials)
            for stage in ("quick", "mid", "full")
        }

    before = told()
    assert before == {"quick": [0.1, 0.2, 0.3, 0.4], "mid": [0.1, 0.2, 0.3], "full": [0.1, 0.2]}
    play.sweep.study_file.unlink()
    play.open()
    assert told() == before
    play.open()
    assert told() == before, "and not twice"


def test_what_a_killed_driver_did_not_tell_is_told_later(tmp_path: Path) -> None:
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2]), slots=2)
    done, left = play.start(), play.start()
    assert done is not None
    assert left is not None
    done.state, done.value = TrialState.COMPLETE, 0.1
    done.save(play.sweep.run_dir(done.number, done.name))
    play.open()
    states = Studies(play.sweep.study_file, "sweep", play.spec).of(None).states()
    assert states == {0: "COMPLETE", 1: "FAIL"}


def test_a_changed_rule_decides_anew_and_makes_nobody_twice(tmp_path: Path) -> None:
    play = Play(tmp_path, grid(tmp_path, [0.1, 0.2, 0.3], stages=stages_of(1)))
    play.to_the_end({})
    assert [record.origin for record in play.at("full")] == [0]
    play.spec = grid(tmp_path, [0.1, 0.2, 0.3], stages=stages_of(2))
    play.open()
    play.to_the_end({})
    assert [record.origin for record in play.at("full")] == [0, 1]


def stages_of(top: int) -> tuple[Stage, ...]:
    return (Stage("quick", {}, Promote(top=top)), Stage("full", {}))


def test_a_failed_trial_counts_for_the_sampler_as_the_file_says(tmp_path: Path) -> None:
    metric = MetricGoal("val_mae", impute="worst")
    spec = toy_spec(tmp_path, {}, method="bayes", parameters=LR, run_cap=3, metric=metric)
    play = Play(tmp_path, spec, slots=1)
    for value, done in ((0.3, True), (0.7, False), (None, False)):
        play.start()
        play.end(str(play.count), value, done=done)
    trials = Studies(play.sweep.study_file, "sweep", spec).of(None)._study.trials
    assert [(trial.state.name, trial.value) for trial in trials] == [
        ("COMPLETE", 0.3),
        ("COMPLETE", 0.7),
        ("COMPLETE", 0.7),
    ]
    assert [record.state.value for record in play.records] == ["COMPLETE", "FAIL", "FAIL"]


# Any course --------------------------------------------------------------------------------------


SPECS = ("grid", "seeds", "bayes", "ablate")


def any_spec(folder: Path, kind: str, rule: Promote) -> Spec:
    stages = (Stage("quick", {"epochs": 2}, rule), Stage("full", {"epochs": 6}))
    if kind == "ablate":
        return changes(folder, gate="val_mae < 0.55", keep_improvements=True)
    if kind == "bayes":
        return toy_spec(
            folder, {}, method="bayes", parameters=LR, run_cap=4, seeds=(0, 1), stages=stages
        )
    seeds = (0, 1) if kind == "seeds" else ()
    return grid(folder, [0.1, 0.2, 0.3, 0.4], seeds=seeds, stages=stages)


RULES = st.builds(
    Promote,
    top=st.none() | st.integers(1, 3),
    fraction=st.none() | st.sampled_from([0.25, 0.5, 1.0]),
    condition=st.none() | st.just("val_mae < 0.5"),
)
STEP = st.sampled_from(["start", "start", "good", "good", "fail", "kill", "stop", "tie"])


def oracle(play: Play, rule: Promote) -> set[int]:
    """Return who should have been promoted, worked out apart from the engine."""
    groups: dict[int, list[TrialRecord]] = {}
    for record in play.at("quick"):
        groups.setdefault(record.number if record.group is None else record.group, []).append(
            record
        )
    values = {}
    for number, members in groups.items():
        known = [m.value for m in members if m.state is TrialState.COMPLETE and m.value is not None]
        if any(m.state is TrialState.COMPLETE for m in members):
            values[number] = sum(known) / len(known) if known else None
    ranked = sorted((value, number) for number, value in values.items() if value is not None)
    chosen = set(values)
    cuts = [rule.top] if rule.top is not None else []
    if rule.fraction is not None:
        cuts.append(-(-len(groups) * int(rule.fraction * 100) // 100))
    for cut in cuts:
        chosen &= {number for _, number in ranked[:cut]}  # of those that tie, the first
    if rule.condition is not None:
        chosen = {n for n in chosen if values[n] is not None and (values[n] or 0.0) < 0.5}
    return chosen


@pytest.mark.slow
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(SPECS), rule=RULES, steps=st.lists(STEP, max_size=40))
def test_whatever_happens_nothing_is_lost_and_nothing_runs_twice(
    kind: str, rule: Promote, steps: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        play = Play(Path(name), any_spec(Path(name), kind, rule))
        finished: dict[int, tuple[TrialState, int]] = {}
        values = 0

        def check() -> None:
            for record in play.records:
                before = finished.get(record.number)
                assert before is None or before == (record.state, record.attempt), "it ran again"
                if record.state in FINISHED:
                    finished[record.number] = (record.state, record.attempt)

        for step in [*steps, *["start", "start", "good"] * 60]:
            live = next(iter(play.running), None)
            if step == "kill":
                play.open()
            elif step == "stop" and live is not None:
                play.conductor.stop_trial(play.running[live].number, "stopped by hand")
            elif step == "start":
                play.start()
            elif live is not None:
                values += step != "tie"
                play.end(live, (values * 37 % 100) / 100, done=step != "fail")
            check()
            if play.conductor.is_over:
                break
        assert play.conductor.is_over, "it ends"
        assert all(record.state in FINISHED for record in play.records)
        play.open()
        assert play.conductor.is_over, "and stays at its end"
        if kind == "ablate":
            held = play.state.course.get("gates", {}).get("baseline", {}).get("held")
            assert len(play.records) == (12 if held else 3)
            return
        promoted = {record.origin: record for record in play.at("full")}
        assert len(promoted) == len(play.at("full"))
        assert {number for number in promoted if _is_first(play, number)} == oracle(play, rule)
        own = [record for record in play.records if record.origin is None]
        assert len(own) == {"grid": 4, "seeds": 8, "bayes": 4}[kind]


def _is_first(play: Play, number: int | None) -> bool:
    return any(r.number == number and r.replicate == 0 for r in play.records)
