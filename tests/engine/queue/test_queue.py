"""The queue: what may start, in which order, and what any course of a sweep leaves."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.queue import LOOK_AHEAD, TrialQueue
from orchestrator.engine.queue.study_trials import StudyTrials
from orchestrator.engine.queue.sweep_view import SweepLog, SweepView
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord
from orchestrator.search.studies import Studies
from orchestrator.sweepfile.model.spec import Domain, Spec
from tests.engine.sweeps import toy_spec

LR = {"lr": Domain("log_uniform_values", low=1e-3, high=1.0)}


class OwnedQueue:
    """A queue with the records that its owner keeps."""

    def __init__(
        self,
        folder: Path,
        spec: Spec,
        records: dict[int, TrialRecord] | None = None,
        state: SweepRecord | None = None,
    ) -> None:
        self.records = {} if records is None else records
        log = SweepLog(SweepDir(folder), lambda event, record, details: None)
        log.folder.path.mkdir(exist_ok=True)
        view = SweepView(spec, log.folder, self.records)
        study_trials = StudyTrials(view, Studies(log.folder.study_file, "a", spec))
        decisions = Decisions(state or SweepRecord("a"), log)
        self.queue = TrialQueue(view, study_trials, decisions)
        self.candidates = self.queue.candidates
        self.put_back = self.queue.put_back

    def __bool__(self) -> bool:
        return bool(self.queue)

    def take(self, place: int = 0) -> TrialRecord:
        record = self.queue.take(place)
        self.records[record.number] = record
        return record

    def add(self, record: TrialRecord) -> None:
        self.records[record.number] = record
        self.queue.add(record)


def test_candidates_come_in_order_and_asking_takes_nothing(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {f"t{n}": {"lr": 0.1 + n} for n in range(100)})
    record = TrialRecord(7, "t7", {"lr": 7.1})
    queue = OwnedQueue(tmp_path, spec, {7: record})
    first = [candidate.number for candidate in queue.candidates()]
    assert first[:3] == [7, 0, 1]
    assert len(first) == LOOK_AHEAD
    assert [candidate.number for candidate in queue.candidates()] == first
    assert queue.candidates()[0].record is record
    assert queue.take(2).number == 1
    assert [c.number for c in queue.candidates(3)] == [7, 0, 2]
    queue.put_back(TrialRecord(1, "t1", {"lr": 1.1}))
    assert [c.number for c in queue.candidates(3)] == [1, 7, 0]


def test_the_study_shows_what_named_trials_set(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {"lr": 0.1}, "b": {"lr": 0.2, "epochs": 3}})
    queue = OwnedQueue(tmp_path, spec)
    for _ in range(2):
        queue.take()
    study = Studies(tmp_path / "study.journal", "a", spec).of(None)._study
    first, second = (trial.user_attrs for trial in study.trials)
    assert first == {"trial": "a", "lr": 0.1}
    assert second == {"trial": "b", "lr": 0.2, "epochs": 3}


def test_what_the_study_has_yet_to_propose_is_one_candidate(tmp_path: Path) -> None:
    queue = OwnedQueue(tmp_path, toy_spec(tmp_path, {}, method="bayes", parameters=LR, run_cap=3))
    for number in range(3):
        (candidate,) = queue.candidates()
        assert candidate.number is None
        assert "lr" not in candidate.config
        assert queue.take().number == number
    assert not queue
    assert queue.candidates() == []


@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.integers(0, 5), min_size=12, max_size=12))
def test_whatever_place_is_taken_each_trial_comes_once(places: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queue = OwnedQueue(folder, toy_spec(folder, {f"t{n}": {"lr": 1.0 + n} for n in range(12)}))
        taken = []
        for place in places:
            candidates = queue.candidates(6)
            chosen = min(place, len(candidates) - 1)
            record = queue.take(chosen)
            assert record.number == candidates[chosen].number
            taken.append(record.number)
        assert sorted(taken) == list(range(12))
        assert not queue


def test_replicates_of_a_proposal_follow_it_at_once(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {}, method="bayes", parameters=LR, run_cap=6, seeds=(3, 4, 5))
    records: dict[int, TrialRecord] = {}
    queue = OwnedQueue(tmp_path, spec, records)
    taken = [queue.take() for _ in range(4)]
    assert [(r.number, r.group, r.replicate, r.config["seed"]) for r in taken] == [
        (0, 0, 0, 3),
        (1, 0, 1, 4),
        (2, 0, 2, 5),
        (3, 3, 0, 3),
    ]
    assert len({record.config["lr"] for record in taken[:3]}) == 1
    assert [record.optuna_number for record in taken] == [0, None, None, 1]
    again = OwnedQueue(tmp_path / "again", spec, {0: taken[0], 3: taken[3]})
    assert [again.take().number for _ in range(6)][2:] == [1, 2, 4, 5]
    assert not again


def test_a_random_sweep_that_grows_gives_way_to_what_followed(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {}, method="random", parameters=LR, run_cap=2)
    records: dict[int, TrialRecord] = {}
    state = SweepRecord("a")
    queue = OwnedQueue(tmp_path, spec, records, state)
    for _ in range(2):
        queue.take()
    follower = TrialRecord(2, "answer", {"lr": 0.5}, origin=1, link="remedy")
    queue.add(follower)
    assert queue.take() is follower
    longer = toy_spec(tmp_path, {}, method="random", parameters=LR, run_cap=4)
    more = OwnedQueue(tmp_path / "more", longer, dict(records), state)
    assert [candidate.number for candidate in more.candidates()] == [0, 1, 2, 4, 5], (
        "those that wait again, then two new ones"
    )
    plain = OwnedQueue(tmp_path / "plain", longer)
    configs = {c.number: c.config for c in plain.candidates()}
    new = {c.number: c.config for c in more.candidates() if c.record is None}
    assert new == {4: configs[2], 5: configs[3]}


@pytest.mark.parametrize("follower", [1, 5])
def test_an_endless_random_sweep_gives_no_number_twice(tmp_path: Path, follower: int) -> None:
    spec = toy_spec(tmp_path, {}, method="random", parameters=LR)
    records: dict[int, TrialRecord] = {}
    queue = OwnedQueue(tmp_path, spec, records)
    assert len(queue.candidates()) == LOOK_AHEAD
    queue.take()
    queue.add(TrialRecord(follower, "answer", {}, origin=0, link="remedy"))
    taken = [queue.take() for _ in range(8)]
    numbers = [record.number for record in taken]
    assert len(set(numbers)) == 8
    assert numbers[0] == follower
    assert len({record.config.get("lr") for record in taken}) == 8
