"""The queue: what may start, in which order, and what any order of taking leaves."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine.queue import LOOK_AHEAD, TrialQueue
from orchestrator.runs.records import TrialRecord
from orchestrator.search.study import Study
from orchestrator.spec.model import Domain, Spec
from tests.engine.sweeps import toy_spec


def open_queue(
    folder: Path, spec: Spec, records: dict[int, TrialRecord] | None = None
) -> TrialQueue:
    study = Study.open(
        folder / "study.journal",
        name="q",
        goal="minimize",
        method=spec.method,
        seed=0,
        pruner="none",
    )
    return TrialQueue(spec, study, {} if records is None else records, frozenset())


def test_candidates_come_in_order_and_asking_takes_nothing(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {f"t{n}": {"lr": 0.1 + n} for n in range(100)})
    record = TrialRecord(7, "t7", {"lr": 7.1})
    queue = open_queue(tmp_path, spec, {7: record})
    first = [candidate.number for candidate in queue.candidates()]
    assert first[:3] == [7, 0, 1]
    assert len(first) == LOOK_AHEAD
    assert [candidate.number for candidate in queue.candidates()] == first
    assert queue.candidates()[0].record is record
    assert queue.take(2).number == 1
    assert [c.number for c in queue.candidates(3)] == [7, 0, 2]
    queue.put_back(TrialRecord(1, "t1", {"lr": 1.1}))
    assert [c.number for c in queue.candidates(3)] == [1, 7, 0]


def test_what_the_study_has_yet_to_propose_is_one_candidate(tmp_path: Path) -> None:
    space = {"lr": Domain("log_uniform_values", low=1e-3, high=1.0)}
    queue = open_queue(
        tmp_path, toy_spec(tmp_path, {}, method="bayes", parameters=space, run_cap=3)
    )
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
        queue = open_queue(folder, toy_spec(folder, {f"t{n}": {"lr": 1.0 + n} for n in range(12)}))
        taken = []
        for place in places:
            candidates = queue.candidates(6)
            chosen = min(place, len(candidates) - 1)
            record = queue.take(chosen)
            assert record.number == candidates[chosen].number
            taken.append(record.number)
        assert sorted(taken) == list(range(12))
        assert not queue
