from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings, strategies as st

from benchmarks import contention
from benchmarks.makespan import in_trouble, lower_bound, measure, workload
from benchmarks.simulator import Others, Outcome, SimTrial, simulate
from orchestrator.placement.memory_needs.oom import ALL_OF_IT, MOST_RETRIES
from orchestrator.placement.model import Device, Host, Need, Policy

GIB = 1 << 30


def cards(*sizes: int) -> list[Device]:
    return [Device(str(index), "Card", size, size) for index, size in enumerate(sizes)]


def at_once(outcome: Outcome) -> int:
    """Return how many attempts ran at the same time at most."""
    starts = [run.started_s for run in outcome.runs]
    return max(
        (sum(run.started_s <= at < run.ended_s for run in outcome.runs) for at in starts), default=0
    )


def test_three_trials_of_8_gib() -> None:
    trials = [SimTrial(8 * GIB, 190 * 60.0)] * 3
    for size, minutes, most in ((24, 190, 3), (20, 380, 2), (8, 570, 1)):
        outcome = simulate(trials, cards(size * GIB))
        assert (outcome.makespan_s / 60, at_once(outcome)) == (minutes, most)
        assert sorted(outcome.completed) == [0, 1, 2]
    assert simulate(trials, cards(7 * GIB)).unplaced == [0, 1, 2]


def test_memory_that_is_promised_is_not_given_twice_while_trials_load() -> None:
    trials = [SimTrial(8, 100.0, loads_s=10.0)] * 4
    for tells in (True, False):
        outcome = simulate(trials, cards(17), tells_used=tells)
        assert (outcome.ooms, outcome.overcommitted, at_once(outcome)) == (0, 0, 2)


def test_a_trial_waits_while_others_hold_the_memory() -> None:
    others = [Others(50.0, "0", 6), Others(500.0, "0", 0)]
    early = simulate([SimTrial(8, 100.0)] * 2, cards(16), others=others)
    # Both had their memory before the others came, who got what was left.
    assert (early.makespan_s, early.ooms) == (100.0, 0)
    robbed = simulate([SimTrial(8, 100.0, loads_s=60.0)] * 2, cards(16), others=others)
    # One had been promised what was taken from it; it goes on alone with what is left.
    assert (robbed.makespan_s, robbed.ooms, len(robbed.completed)) == (200.0, 1, 2)
    late = simulate([SimTrial(12, 100.0)], [Device("0", "", 16, 9)], others=others)
    assert (late.waits > 0, late.runs[0].started_s, late.completed) == (True, 500.0, [0])
    never = simulate([SimTrial(12, 100.0)], [Device("0", "", 16, 9)])
    assert (never.unplaced, never.waits > 0, never.runs) == ([0], True, [])


def test_a_trial_declared_too_small_is_tried_again_with_more() -> None:
    trial = SimTrial(14, 100.0, need=Need(8, "declared"), loads_s=5.0)
    outcome = simulate([trial], cards(24))
    assert [(run.slot.memory_bytes, run.is_complete) for run in outcome.runs] == [
        (8, False),
        (12, False),
        (18, True),
    ]
    assert outcome.makespan_s == 110.0


def test_one_that_no_card_holds_fails_and_the_others_continue() -> None:
    big = SimTrial(30, 100.0, need=Need(8, "declared"), loads_s=5.0)
    outcome = simulate([big, *[SimTrial(6, 100.0)] * 5], cards(24))
    assert outcome.failed == [0]
    assert sorted(outcome.completed) == [1, 2, 3, 4, 5]
    assert outcome.runs[-1].slot.memory_bytes == 24 or outcome.ooms <= MOST_RETRIES + 1


def test_unknown_needs_have_a_card_each() -> None:
    trials = [SimTrial(3, 100.0, need=Need())] * 4
    outcome = simulate(trials, cards(24, 24))
    assert (at_once(outcome), outcome.makespan_s) == (2, 200.0)


def test_on_the_cpu_ram_is_watched_like_a_card() -> None:
    host = Host(cores=8, free_bytes=10 * GIB, total_bytes=16 * GIB)
    outcome = simulate([SimTrial(4 * GIB, 100.0)] * 5, host)
    assert (at_once(outcome), outcome.makespan_s, outcome.overcommitted) == (2, 300.0, 0)
    assert {run.slot.device for run in outcome.runs} == {"cpu"}


def test_the_benchmarks_workloads() -> None:
    trials = workload(0)
    assert 20 <= len(trials) <= 100
    assert trials == workload(0)
    assert lower_bound([SimTrial(12 * GIB, 60.0)] * 8, 1) == 240.0
    assert lower_bound([SimTrial(12 * GIB, 60.0), SimTrial(GIB, 900.0)], 4) == 900.0
    for seed in range(2):
        for count in (1, 4):
            known = measure(("both known", seed, count))
            plain = measure(("queue, head only", seed, count))
            assert 1.0 <= known.ratio <= plain.ratio
            assert known.ratio <= 1.3
            assert (known.ooms, known.lost, known.overcommitted) == (0, 0, 0)


def test_durations_that_are_learned_shorten_a_sweep_over_settings() -> None:
    ratios = {
        name: [measure((f"settings: {name}", seed, 4)) for seed in range(6)]
        for name in ("unknown", "learned", "first reports", "known")
    }
    means = {name: sum(one.ratio for one in found) / 6 for name, found in ratios.items()}
    assert 1.0 <= means["known"] < means["first reports"] < means["learned"] < means["unknown"]
    assert not any(one.lost or one.overcommitted for found in ratios.values() for one in found)


def test_every_out_of_memory_of_the_benchmark_is_recovered() -> None:
    outcome = in_trouble(0, 1)
    assert outcome.ooms > 0
    assert (outcome.failed, outcome.unplaced, outcome.overcommitted) == ([], [], 0)


SIZES = st.lists(st.integers(4, 48), min_size=1, max_size=4)
KNOWN = st.builds(
    SimTrial,
    memory_bytes=st.integers(1, 48),
    duration_s=st.floats(1, 100),
    told_s=st.none() | st.floats(1, 100),
    loads_s=st.floats(0, 20),
)


@settings(max_examples=150, deadline=None)
@given(trials=st.lists(KNOWN, max_size=20), sizes=SIZES, tells=st.booleans())
def test_every_trial_that_fits_somewhere_ends(
    trials: list[SimTrial], sizes: list[int], tells: bool
) -> None:
    outcome = simulate(trials, cards(*sizes), tells_used=tells)
    fit = [place for place, trial in enumerate(trials) if trial.memory_bytes <= max(sizes)]
    assert sorted(outcome.completed) == fit
    assert (outcome.overcommitted, outcome.ooms, outcome.failed) == (0, 0, [])
    assert sorted(outcome.unplaced + fit) == list(range(len(trials)))


@settings(max_examples=150, deadline=None)
@given(
    trials=st.lists(KNOWN, max_size=12),
    needs=st.lists(st.none() | st.integers(1, 48), min_size=12, max_size=12),
    sizes=SIZES,
    tells=st.booleans(),
)
def test_wrong_needs_are_found_out_and_every_trial_that_fits_ends(
    trials: list[SimTrial], needs: list[int | None], sizes: list[int], tells: bool
) -> None:
    told = [
        dataclasses.replace(
            trial, need=Need(None if need is None else min(need, max(sizes)), "declared")
        )
        for trial, need in zip(trials, needs, strict=False)
    ]
    outcome = simulate(told, cards(*sizes), tells_used=tells)
    for place, trial in enumerate(told):
        if trial.memory_bytes <= ALL_OF_IT * max(sizes):
            assert place in outcome.completed
        elif trial.memory_bytes > max(sizes):
            assert place in outcome.failed
    assert (outcome.overcommitted, outcome.unplaced) == (0, [])
    assert sorted(outcome.completed + outcome.failed) == list(range(len(told)))
    assert outcome.ooms <= (MOST_RETRIES + 1) * len(told)


OTHERS = st.lists(
    st.builds(
        Others,
        at_s=st.floats(0, 300),
        device=st.sampled_from(["0", "1"]),
        memory_bytes=st.integers(0, 40),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(
    trials=st.lists(KNOWN, max_size=12),
    needs=st.lists(st.none() | st.integers(1, 40), min_size=12, max_size=12),
    others=OTHERS,
    policy=st.builds(
        Policy,
        max_parallel=st.none() | st.integers(1, 3),
        gpus_per_trial=st.sampled_from([1, 1, 2]),
    ),
    tells=st.booleans(),
)
def test_whatever_others_do_nothing_is_promised_twice_and_all_ends(
    trials: list[SimTrial],
    needs: list[int | None],
    others: list[Others],
    policy: Policy,
    tells: bool,
) -> None:
    told = [
        dataclasses.replace(trial, need=Need(need, "declared"))
        for trial, need in zip(trials, needs, strict=False)
    ]
    outcome = simulate(
        told,
        cards(40, 24),
        others=[*others, Others(1e6, "0", 0), Others(1e6, "1", 0)],
        policy=policy,
        tells_used=tells,
    )
    assert outcome.overcommitted == 0
    ended = outcome.completed + outcome.failed + outcome.unplaced
    assert sorted(ended) == list(range(len(told)))
    width = policy.gpus_per_trial
    fits = 40 if width == 1 else 24
    # What waited for others ended once they had left.
    assert all((needs[place] or 0) > fits for place in outcome.unplaced)
    assert at_once(outcome) <= (policy.max_parallel or 99)


def test_trials_that_contend_for_a_card() -> None:
    alone = contention.combined(3, share=0.5, cores=8, slower=0.0, slices=0.0)
    assert alone[0] == 1.0 < alone[1] < alone[2] < 2.0  # the card is full with two
    thrashing = contention.combined(8, share=0.8, cores=8, slower=0.3, slices=0.03)
    assert thrashing[7] < 1.0
    for seed in range(3):
        kind, ratio = contention.measure(seed)
        assert kind == contention.KINDS[seed]
        assert 1.0 <= ratio < 1.3


def test_the_table_of_contention(capsys: pytest.CaptureFixture[str]) -> None:
    assert contention.main(["--workloads", "3"]) == 0
    assert capsys.readouterr().out.count("\n") == 6
