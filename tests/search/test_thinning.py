"""What of a trial's reports reaches the study."""

from __future__ import annotations

import math

from hypothesis import given, strategies as st

from orchestrator.search.recorded import FULL_STEPS, Reports, stride


@given(st.integers(0, 10**12))
def test_the_stride_grows_with_the_steps(step: int) -> None:
    assert stride(step) == (1 if step < FULL_STEPS else 1 << (step.bit_length() - 9))


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats()), max_size=200))
def test_what_is_kept_is_finite_new_and_in_order(reports: list[tuple[int, float]]) -> None:
    taken = Reports()
    kept = [(step, value) for step, value in reports if taken.take(step, value)]
    assert all(math.isfinite(value) for _, value in kept)
    steps = [step for step, _ in kept]
    assert steps == sorted(set(steps))
    if taken.last is not None:
        assert taken.last_is_kept == (taken.last in kept and kept[-1] == taken.last)


@given(st.integers(1, 400), st.integers(1, 2000))
def test_trials_of_the_same_rhythm_keep_the_same_steps(every: int, count: int) -> None:
    def kept(values: float) -> list[int]:
        taken = Reports()
        return [step for step in range(0, every * count, every) if taken.take(step, values)]

    assert kept(0.1) == kept(0.9)
    assert len(kept(0.1)) <= FULL_STEPS + 256 * math.log2(every * count)


def test_all_early_steps_are_kept() -> None:
    taken = Reports()
    assert all(taken.take(step, 0.5) for step in range(FULL_STEPS))


def test_non_finite_values_are_counted_until_a_finite_one() -> None:
    taken = Reports()
    for step in range(14):
        assert not taken.take(step + 3, math.nan)
    assert taken.is_lost
    assert taken.non_finite_since == 3
    assert taken.take(30, 0.5)
    assert not taken.is_lost
    assert taken.non_finite == 0
