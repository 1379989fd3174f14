from __future__ import annotations

import pytest

from orchestrator.engine.slots.timing import SweepTiming
from orchestrator.placement.concurrency.throughput import Window
from orchestrator.runs.records import TrialRecord, TrialState

WINDOW = Window(noisy_s=100.0)


def record(number: int, **more: object) -> TrialRecord:
    return TrialRecord(number, f"t{number}", {"epochs": 10}, **more)  # type: ignore[arg-type]


def test_fewer_are_measured_only_in_a_sweep_that_is_long_enough() -> None:
    for n_trials, answer in ((20, "no"), (50, "yes"), (None, "yes")):
        pace = SweepTiming(n_trials, WINDOW)
        pace.started("a", record(0), 0.0)
        assert pace.pays(1.0, 2, 1) == "no", "nobody knows how long trials take"
        pace.ended("a", 50.0, is_typical=True)
        # 49 that wait make 49 × 50 s / 2 = 1,225 s, of which a twentieth is 61 s: half of 100 s.
        assert pace.pays(50.0, 2, 1) == answer
        # 613 s with four at once; of these 31 s are enough for a quarter of 100 s.
        assert pace.pays(50.0, 4, 3) == answer


def test_how_far_a_trial_is_shows_it_as_well() -> None:
    pace = SweepTiming(4, WINDOW)
    pace.started("a", record(0, total_steps=100), 0.0)
    # It makes its data for ten minutes, then does a step in ten seconds.
    pace.reported("a", 1, 600.0)
    assert pace.remaining_s(600.0, 1) is None
    pace.reported("a", 5, 640.0)
    assert pace.remaining_s(640.0, 1) is None, "too little of it is done"
    pace.reported("a", 11, 700.0)
    assert pace.remaining_s(700.0, 1) == pytest.approx(3 * 1590 + 890)
    pace.reported("stranger", 5, 700.0)
    pace.ended("stranger", 709.0, is_typical=True)


def test_where_nothing_waits_slots_are_empty_anyway() -> None:
    pace = SweepTiming(2, WINDOW)
    pace.started("a", record(0), 0.0)
    assert pace.pays(1.0, 2, 1) == "no"
    pace.started("b", record(1), 0.0)
    assert pace.pays(1.0, 2, 1) == "free"
    pace.ended("b", 5.0, is_typical=False)
    assert pace.pays(6.0, 2, 1) == "free"
    # It runs again, after an out-of-memory.
    pace.started("c", record(1), 6.0)
    pace.ended("c", 7.0, is_typical=False)
    assert pace.pays(8.0, 2, 1) == "free"


def test_an_interrupted_sweep_remembers_what_its_trials_took() -> None:
    times = {"started_at": "2026-01-01T10:00:00+00:00", "ended_at": "2026-01-01T10:05:00+00:00"}
    pace = SweepTiming(3, WINDOW)
    pace.restore(
        [
            record(0, state=TrialState.COMPLETE, attempt=1, **times),
            record(1, state=TrialState.COMPLETE, attempt=2, started_at=None, ended_at="senseless"),
            record(2, state=TrialState.WAITING),
        ]
    )
    assert pace.expect({"epochs": 10}) == pytest.approx(300, rel=0.13)
    assert pace.remaining_s(0.0, 1) == pytest.approx(300)


def test_the_pace_of_a_running_trial_shows_how_long_others_take() -> None:
    pace = SweepTiming(10, WINDOW)
    for attempt, epochs, step_s in (("a", 10, 1.0), ("b", 10, 1.0), ("c", 80, 8.0), ("d", 80, 8.0)):
        known = TrialRecord(0, attempt, {"epochs": epochs}, attempt=1, total_steps=100)
        pace.started(attempt, known, 0.0)
        for step in range(1, 8):
            pace.reported(attempt, step, step * step_s)
    short, long = pace.expect({"epochs": 10}), pace.expect({"epochs": 80})
    assert short is not None
    assert long is not None
    assert long > 2 * short
    # The same attempt counts once, and what it took in the end replaces its pace.
    for attempt in "abcd":
        pace.ended(attempt, 100.0, is_typical=True)
    assert pace.expect({"epochs": 10}) == pace.expect({"epochs": 80})


def test_the_rest_of_a_trial_that_continues_is_not_a_whole_one() -> None:
    pace = SweepTiming(10, WINDOW)
    pace.started("a", record(0, total_steps=100, attempt=2), 0.0)
    for step in range(90, 99):
        pace.reported("a", step, float(step))
    assert pace.expect({"epochs": 10}) is None
