"""Which checkpoints `keep` deletes: those of trials that nothing needs any more, and no others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.promotion import Promotions
from orchestrator.engine.queue.sweep_view import SweepLog, SweepView
from orchestrator.engine.state.kept_checkpoints import CheckpointKeeper
from orchestrator.engine.state.trials import SweepTrials
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState
from orchestrator.search.studies import Studies
from orchestrator.sweepfile.model.course import Promote, Stage
from orchestrator.sweepfile.model.program import Program, Resume
from orchestrator.sweepfile.model.spec import MetricGoal, Spec
from tests.engine.sweeps import toy_spec

LOSES = {"of": 1}


class Sweep:
    """Trials on the disk, with both checkpoints each."""

    def __init__(self, folder: Path, keep: dict[str, Any] | None, **fields: Any) -> None:
        options = {} if keep is None else {"keep": keep}
        self.spec: Spec = toy_spec(folder, {}, options=options, **fields)
        self.records: dict[int, TrialRecord] = {}
        self.view = SweepView(self.spec, SweepDir(folder / "sweep"), self.records)

    def add(self, value: float | None, state: str = "COMPLETE", **fields: Any) -> TrialRecord:
        number = len(self.records)
        record = TrialRecord(number, f"t{number}", {}, TrialState(state), value=value, **fields)
        self.view.save(record)
        self.records[number] = record
        run = self.view.run_dir(record)
        if state != "WAITING":
            run.checkpoint_file.write_text("last")
            run.best_checkpoint_file.write_text("best")
        return record

    def clean(self, *, promotes: bool = False) -> list[str]:
        """Delete what is spare; return what is left as ``"0 last"``."""
        CheckpointKeeper(self.view, lambda record: promotes).clean()
        return [
            f"{record.number} {path.read_text()}"
            for record in self.records.values()
            for path in (
                self.view.run_dir(record).checkpoint_file,
                self.view.run_dir(record).best_checkpoint_file,
            )
            if path.exists()
        ]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (None, ["0 last", "0 best", "1 last", "1 best"]),
        ({"best": 1, "last": 1}, ["0 last", "0 best", "1 last", "1 best"]),
        ({"best": 1, "last": 0}, ["0 best", "1 best"]),
        ({"best": 0}, ["0 last", "1 last"]),
        ({"of": 1}, ["1 last", "1 best"]),
        ({"best": 1, "last": 0, "of": 1}, ["1 best"]),
        ({"of": 5}, ["0 last", "0 best", "1 last", "1 best"]),
    ],
)
def test_what_is_kept_of_two(tmp_path: Path, keep: dict[str, Any] | None, left: list[str]) -> None:
    sweep = Sweep(tmp_path, keep)
    sweep.add(0.5)
    sweep.add(0.2)
    assert sweep.clean() == left


def test_the_best_are_the_greatest_if_the_metric_is_to_grow(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, LOSES, metric=MetricGoal("acc", "maximize"))
    sweep.add(0.5)
    sweep.add(0.2)
    assert sweep.clean() == ["0 last", "0 best"]


@pytest.mark.parametrize("state", ["WAITING", "RUNNING", "FAIL"])
def test_what_may_run_again_keeps_its_own(tmp_path: Path, state: str) -> None:
    sweep = Sweep(tmp_path, LOSES)
    sweep.add(0.2)
    record = sweep.add(0.9, state="COMPLETE")
    record.state = TrialState(state)
    assert "1 last" in sweep.clean()


def test_a_trial_stopped_by_a_pruner_has_lost(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, LOSES)
    sweep.add(0.9)
    sweep.add(0.1, state="PRUNED")
    assert sweep.clean() == ["0 last", "0 best"], "its value is no result"


def test_what_a_waiting_trial_starts_from_is_kept_until_it_has_it(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, LOSES)
    sweep.add(0.2)
    sweep.add(0.9)
    follower = sweep.add(None, state="WAITING", origin=1, link="remedy", from_checkpoint=True)
    assert "1 last" in sweep.clean()
    sweep.view.run_dir(follower).checkpoint_file.write_text("own")
    assert sweep.clean() == ["0 last", "0 best", "2 own"]


def test_what_may_yet_be_promoted_is_kept(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, LOSES)
    sweep.add(0.2)
    sweep.add(0.9)
    assert len(sweep.clean(promotes=True)) == 4
    assert len(sweep.clean()) == 2


def test_each_stage_has_its_best_and_seeds_count_as_one(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, LOSES, seeds=(0, 1))
    for value, group, replicate in ((0.1, 0, 0), (0.9, 0, 1), (0.3, 2, 0), (0.3, 2, 1)):
        sweep.add(value, group=group, replicate=replicate, stage="quick")
    sweep.add(0.8, group=4, replicate=0, stage="full")
    left = {text.split()[0] for text in sweep.clean()}
    assert left == {"2", "3", "4"}, "0.3 is less than the mean of 0.1 and 0.9"


def test_a_config_with_a_failed_seed_displaces_no_other(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, LOSES, seeds=(0, 1))
    sweep.add(0.3, group=0, replicate=0)
    sweep.add(0.3, group=0, replicate=1)
    sweep.add(0.1, group=2, replicate=0)
    failed = sweep.add(None, state="FAIL", group=2, replicate=1)
    assert len(sweep.clean()) == 8, "a retry may yet change its mean either way"
    failed.state, failed.value = TrialState.COMPLETE, 0.9
    assert {text.split()[0] for text in sweep.clean()} == {"0", "1"}


def test_checkpoints_of_a_program_are_those_that_it_names(tmp_path: Path) -> None:
    program = Program("train.py", resume=Resume(("--resume",), checkpoint="ckpt/*.pt"))
    sweep = Sweep(tmp_path, LOSES, trainer=None, program=program)
    sweep.add(0.2)
    loser = sweep.view.run_dir(sweep.add(0.9))
    elsewhere = tmp_path / "data.pt"
    elsewhere.write_text("data")
    (loser.path / "ckpt").mkdir()
    (loser.path / "ckpt" / "one.pt").write_text("one")
    (loser.path / "ckpt" / "link.pt").symlink_to(elsewhere)
    (loser.path / "other.pt").write_text("other")
    sweep.clean()
    assert elsewhere.exists()
    assert (loser.path / "other.pt").exists()
    assert not (loser.path / "ckpt" / "one.pt").exists()


def test_what_a_killed_driver_decided_to_promote_is_kept_also_with_only(tmp_path: Path) -> None:
    """The decision is written down before the trials that follow from it."""
    stages = (Stage("quick", {}, Promote(top=2)), Stage("full", {}, resumes=True))
    sweep = Sweep(tmp_path, LOSES, stages=stages)
    for value in (0.9, 0.2, 0.3):
        sweep.add(value, stage="quick")
    log = SweepLog(sweep.view.folder, lambda event, record, details: None)
    state = SweepRecord("sweep")
    Promotions(sweep.view, Decisions(state, log)).review(more_to_come=False)
    trials = partial(SweepTrials, sweep.spec, log)
    studies = Studies(log.folder.study_file, "sweep", sweep.spec)
    only = trials(studies, Decisions(state, log), records=sweep.records, only=frozenset("0"))
    only.review()
    left = [
        sweep.view.run_dir(record).checkpoint_file.exists() for record in only.view.records.values()
    ]
    assert left == [False, True, True]
    whole = trials(studies, Decisions(state, log), records=sweep.records)
    whole.review()
    followers = list(whole.view.records.values())[3:]
    assert [(one.origin, one.from_checkpoint) for one in followers] == [(1, True), (2, True)]


def test_a_config_without_all_its_seeds_counts_as_the_trials_that_it_has(tmp_path: Path) -> None:
    """A cap may cut the seeds of the last config: no more trials follow from it."""
    stages = (Stage("quick", {}, Promote(top=2)), Stage("full", {}))
    sweep = Sweep(tmp_path, None, stages=stages, seeds=(0, 1))
    for number, group, replicate in ((0, 0, 0), (1, 0, 1), (2, 2, 0)):
        sweep.add(0.1 * number, stage="quick", group=group, replicate=replicate)
    log = SweepLog(sweep.view.folder, lambda event, record, details: None)
    promotions = Promotions(sweep.view, Decisions(SweepRecord("sweep"), log))
    assert len(promotions.review(more_to_come=False)) == 3
    assert promotions.expected(3) == 3
