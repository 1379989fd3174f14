"""Where two curves separate."""

from __future__ import annotations

import math

from hypothesis import given, strategies as st

from orchestrator.analysis.relate import Separation
from orchestrator.analysis.relate.separation import separate

values = st.floats(allow_nan=True, allow_infinity=True)
curves = st.dictionaries(st.integers(0, 50), values, max_size=30)


def curve(*points: float) -> dict[int, float]:
    return dict(enumerate(points, 1))


def test_equal_curves_do_not_separate() -> None:
    found = separate(curve(1, 0.5, 0.2), curve(1, 0.5, 0.2))
    assert (found.same_until, found.step, found.lower) == (3, None, "")


def test_the_step_is_the_first_of_the_stretch_that_stays_apart() -> None:
    found = separate(curve(1, 0.8, 0.6, 0.5, 0.4, 0.3), curve(1, 0.8, 0.7, 0.7, 0.7, 0.7))
    assert (found.same_until, found.step, found.lower) == (2, 3, "a")
    assert found.values == (0.6, 0.7)
    assert found.last == (6, 0.3, 0.7)


def test_a_crossing_is_before_the_separation() -> None:
    found = separate(curve(1, 0.9, 0.8, 0.7, 0.6, 0.5), curve(0.9, 0.88, 0.9, 0.9, 0.9, 0.9))
    assert found.crossing == 3
    assert found.step is not None
    assert found.step >= 3


def test_noise_is_no_separation() -> None:
    one = curve(*(0.5 + 0.01 * (-1) ** step for step in range(40)))
    two = curve(*(0.5 + 0.01 * (-1) ** (step // 2) for step in range(40)))
    assert separate(one, two).step is None


def test_a_value_that_is_not_finite_separates() -> None:
    found = separate(curve(3, 2, 1, 1), curve(3, 2, math.nan, math.nan))
    assert (found.same_until, found.step) == (2, 3)


def test_only_common_steps_count() -> None:
    assert separate({1: 1.0, 3: 2.0}, {2: 1.0}) == Separation(0)
    assert separate({10: 1.0, 20: 0.5}, {10: 1.0, 15: 9.0, 20: 0.9}).common == 2


@given(curves, curves)
def test_any_two_curves(one: dict[int, float], two: dict[int, float]) -> None:
    found, mirrored = separate(one, two), separate(two, one)
    assert (found.step, found.crossing) == (mirrored.step, mirrored.crossing)
    if found.step is not None:
        assert found.step in one.keys() & two.keys()
        assert found.same_until is None or found.same_until < found.step
    assert separate(one, one).step is None
