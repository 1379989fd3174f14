from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings, strategies as st

from orchestrator.placement.concurrency.number_search import Measurement, SearchUp
from orchestrator.placement.concurrency.throughput import Stopwatch, Window, speed_ratio
from orchestrator.placement.hardware.cpu_slots import share_of
from orchestrator.placement.model import Policy


class Bench:
    """Trials that report at the rate that a made machine allows, on a clock of its own.

    Args:
        growth: under test.
        combined: combined steps per second of so many trials at once.
        size: how many such steps a step of a trial is.
        trials: how many there are.
        steps: how long each is.
        jitter: greatest share by which an interval is off.
        batch_s: reports come together, as often as this.
    """

    def __init__(
        self,
        growth: SearchUp,
        combined: Callable[[int], float],
        *,
        size: Callable[[int], float] = lambda number: 1.0,
        trials: int = 30,
        steps: int = 400,
        jitter: float = 0.0,
        batch_s: float = 0.0,
        seed: int = 0,
        start_up_s: float = 5.0,
    ) -> None:
        self.growth = growth
        self.events: list[Measurement] = []
        self.limits: list[int] = []
        self._combined, self._size = combined, size
        self._trials, self._steps = trials, steps
        self._jitter, self._batch_s = jitter, batch_s
        self._start_up_s = start_up_s
        self._draw = random.Random(seed)
        self._running: dict[str, list[float]] = {}
        self._queue: list[tuple[float, str]] = []
        self.now = 0.0

    def run(self, until_settled: bool = False) -> Bench:
        self._admit()
        while self._queue and not (until_settled and self.growth.is_settled):
            self.now, name = heapq.heappop(self._queue)
            done = self._running[name]
            done[0] += 1
            at = self.now
            if self._batch_s:
                at = -(-self.now // self._batch_s) * self._batch_s
            self._note(self.growth.reported(name, done[0], at))
            if done[0] >= self._steps:
                del self._running[name]
                self._note(self.growth.ended(name))
            else:
                self._schedule(name, 0.0)
            self._admit()
        return self

    def _admit(self) -> None:
        while len(self._running) < self.growth.limit and self._trials:
            name = str(self._trials)
            self._trials -= 1
            self._running[name] = [0.0]
            self._note(self.growth.started(name))
            self._schedule(name, self._start_up_s)
        self.limits.append(self.growth.limit)

    def _schedule(self, name: str, wait_s: float) -> None:
        count = len(self._running)
        rate = self._combined(count) / count / self._size(int(name))
        factor = 1 + self._jitter * self._draw.uniform(-1, 1)
        heapq.heappush(self._queue, (self.now + wait_s + factor / rate, name))

    def _note(self, event: Measurement | None) -> None:
        if event is not None:
            self.events.append(event)


def measured(bench: Bench) -> list[tuple[int, float, str]]:
    return [(event.at_once, round(event.ratio, 2), event.decision) for event in bench.events]


SPEEDS = {1: 1.0, 2: 1.62, 3: 1.59}


def test_grows_while_it_helps_and_goes_back_where_it_does_not() -> None:
    growth = SearchUp(most=5)
    bench = Bench(growth, SPEEDS.__getitem__).run()
    assert measured(bench) == [(1, 1.0, "grow"), (2, 1.62, "grow"), (3, 1.59, "back")]
    assert growth.summary() == "2 at once: 1.62 × the speed of 1; 3 at once: 1.59 ×, staying at 2"
    assert bench.events[1].to_dict() == {"at_once": 2, "ratio": 1.62, "decision": "grow"}
    assert growth.limit == 2
    # The third was not ended: the limit fell while it ran.
    assert bench.limits.count(3) > 0
    assert growth.learned() == {
        "at_once": 2,
        "start": 1,
        "ratios": {"1": 1.0, "2": 1.62, "3": 1.59},
        "settled": True,
    }


def test_stays_where_nothing_more_fits_and_goes_on_when_it_does() -> None:
    growth = SearchUp(most=2)
    bench = Bench(growth, float, trials=4, steps=100).run()
    assert measured(bench) == [(1, 1.0, "grow"), (2, 2.0, "stay")]
    assert growth.summary() == "2 at once: 2.00 × the speed of 1, 3 at once when there is room"
    learned = growth.learned()
    assert learned is not None
    assert (learned["at_once"], learned["settled"]) == (2, False)
    growth.limit_within(3)
    event = growth.started("later")
    assert event == Measurement(2, pytest.approx(2.0), "grow")  # type: ignore[arg-type]
    assert growth.limit == 3
    growth.limit_within(1)
    assert growth.limit == 1


def test_a_gain_below_10_percent_is_none() -> None:
    for second, found in ((1.09, 1), (1.11, 2)):
        growth = SearchUp(most=2)
        Bench(growth, {1: 1.0, 2: second}.__getitem__).run()
        assert growth.limit == found


def test_noise_and_reports_that_come_together_decide_nothing() -> None:
    for seed in range(20):
        growth = SearchUp(most=4)
        # Faster than one report a second, handed over twice a second.
        bench = Bench(
            growth,
            lambda n: 4 * SPEEDS[n],
            steps=3000,
            jitter=0.5,
            batch_s=0.5,
            seed=seed,
            trials=6,
        )
        bench.run(until_settled=True)
        assert [event.decision for event in bench.events] == ["grow", "grow", "back"]
        assert bench.events[1].ratio == pytest.approx(1.62, rel=0.15)


def test_slow_trials_are_measured_by_few_reports() -> None:
    growth = SearchUp(most=4)
    bench = Bench(growth, lambda n: SPEEDS[n] / 600, steps=40, trials=8).run(until_settled=True)
    assert [event.decision for event in bench.events] == ["grow", "grow", "back"]
    # Three reports of ten minutes tell enough of one trial.
    assert bench.now < 600 * 40


def test_trials_shorter_than_a_window_are_measured_together() -> None:
    growth = SearchUp(most=4)
    bench = Bench(growth, SPEEDS.__getitem__, steps=8, trials=60, start_up_s=1.0).run()
    assert [event.decision for event in bench.events] == ["grow", "grow", "back"]


def test_a_trial_is_compared_with_itself() -> None:
    # The second trial has steps of a tenth: the mean rate would rise by far more than it helps.
    growth = SearchUp(most=2)
    bench = Bench(
        growth, {1: 1.0, 2: 1.05}.__getitem__, size=lambda number: 0.1 if number == 29 else 1.0
    ).run(until_settled=True)
    assert measured(bench) == [(1, 1.0, "grow"), (2, 1.05, "back")]


def test_what_was_learned_is_taken_over() -> None:
    growth = SearchUp(most=5)
    Bench(growth, SPEEDS.__getitem__).run()
    again = SearchUp(most=5, learned=growth.learned())
    assert (again.limit, again.is_settled) == (2, True)
    assert Bench(again, SPEEDS.__getitem__).run().events == []
    assert again.summary().endswith("staying at 2 (from an earlier sweep)")
    assert SearchUp(most=1, learned=growth.learned()).limit == 1


def test_what_lacked_room_then_goes_on_where_it_stood() -> None:
    before = SearchUp(most=2)
    Bench(before, float).run()
    growth = SearchUp(most=3, learned=before.learned())
    bench = Bench(growth, {1: 1.0, 2: 2.0, 3: 2.1}.__getitem__)
    assert growth.limit == 2
    bench.run()
    assert measured(bench) == [(2, 2.0, "grow"), (3, 2.1, "back")]


@pytest.mark.parametrize(
    "learned",
    [
        {},
        {"at_once": "2", "ratios": {}},
        {"at_once": 0, "ratios": {}},
        {"at_once": 2},
        {"at_once": 2, "ratios": {"a": 1}},
        {"at_once": 2, "ratios": {"1": None}},
        {"at_once": 2, "ratios": {"1": 1.0}},
        {"at_once": 2, "ratios": {"1": 1.0, "2": -1.0}},
    ],
)
def test_senseless_memories_are_none(learned: dict[str, object]) -> None:
    growth = SearchUp(most=4, learned=learned)
    assert (growth.limit, growth.is_settled, growth.summary()) == (1, False, "")


def test_out_of_memory_lowers_the_limit_for_good() -> None:
    growth = SearchUp(most=5)
    bench = Bench(growth, float, trials=8)
    bench.run()
    assert growth.limit == 5
    growth.out_of_memory(3)
    assert (growth.limit, growth.is_settled) == (2, True)
    growth.out_of_memory(4)
    assert growth.limit == 2
    growth.out_of_memory(1)
    assert growth.limit == 1
    early = SearchUp(most=5)
    early.out_of_memory(1)
    Bench(early, float, trials=4).run()
    assert early.limit == 1


def test_trials_that_report_nothing_new_do_not_grow() -> None:
    growth = SearchUp(most=3)
    growth.started("a")
    for second in range(1000):
        assert growth.reported("a", 1, float(second)) is None
    assert growth.reported("stranger", 1, 1000.0) is None
    assert growth.ended("stranger") is None
    assert (growth.limit, growth.learned()) == (1, None)


def test_the_watch_discards_the_time_in_which_one_starts_up() -> None:
    watch = Stopwatch(2)
    # Until b reports, a is slow.
    for second in range(10):
        watch.report("a", second / 10, float(second), {"a": True, "b": False})
    both = {"a": True, "b": True}
    for second in range(10, 42):
        watch.report("a", float(second), float(second), both)
        watch.report("b", 2.0 * second, float(second), both)
    assert watch.is_enough
    assert watch.rates() == {"a": pytest.approx(1.0), "b": pytest.approx(2.0)}


def test_how_much_is_enough() -> None:
    watch = Stopwatch(1, Window(points=3, at_least_s=2.0))
    for second in range(3):
        assert not watch.is_enough
        watch.report("a", float(second), float(second), {"a": True})
    assert watch.is_enough


def test_ratios() -> None:
    assert speed_ratio({"a": 0.8, "b": 0.8}, 2, {"a": 1.0}, 1) == pytest.approx(1.6)
    assert speed_ratio({"b": 0.5, "c": 0.5}, 2, {"a": 1.0}, 1) == pytest.approx(1.0)


def test_cores_are_shared_out() -> None:
    assert [share_of(8, n, Policy()) for n in (0, 1, 3, 8, 9)] == [8, 8, 2, 1, 1]


@settings(max_examples=60, deadline=None)
@given(
    gains=st.lists(st.floats(0.5, 2.0), min_size=6, max_size=6),
    most=st.integers(0, 6),
    trials=st.integers(1, 12),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 6)), max_size=4),
    jitter=st.floats(0.0, 0.5),
    seed=st.integers(0, 100),
)
@example(gains=[2.0, *[1.0] * 5], most=4, trials=5, changes=[(109, 0)], jitter=0.0, seed=0)
def test_it_ends_within_memory_at_a_level_that_it_measured(
    gains: list[float],
    most: int,
    trials: int,
    changes: list[tuple[int, int]],
    jitter: float,
    seed: int,
) -> None:
    speeds = [0.0, 1.0]
    for gain in gains:
        speeds.append(speeds[-1] * gain)
    growth = SearchUp(most=most)
    at = dict(changes)
    count = 0

    def combined(n: int) -> float:
        nonlocal count
        count += 1
        if count in at:
            growth.limit_within(at[count])
        return speeds[n]

    bench = Bench(growth, combined, trials=trials, steps=60, jitter=jitter, seed=seed).run()
    bound = max([most, 1, *(value for _, value in changes)])
    assert all(1 <= limit <= bound for limit in bench.limits)
    # A level is decided on once, but for one that had no room to go on from at first.
    decided = [event.at_once for event in bench.events if event.decision != "stay"]
    assert decided == sorted(set(decided))
    if growth.is_settled:
        last = bench.events[-1]
        assert last.decision == "back"
        assert growth.limit <= last.at_once - 1
        ratios = {event.at_once: event.ratio for event in bench.events}
        learned = growth.learned()
        assert learned is not None
        assert growth.limit <= learned["at_once"]  # memory may allow fewer now
        assert ratios[last.at_once] < 1.10 * ratios[learned["at_once"]]


def test_twice_as_many_are_tried_while_trials_cost_each_other_nothing() -> None:
    growth = SearchUp(most=16)
    bench = Bench(growth, float, trials=200, steps=400).run(until_settled=True)
    assert [event.at_once for event in bench.events][:4] == [1, 2, 4, 8]
