"""Values to Optuna and back: nothing is lost, and no two values become one."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.samplers import RandomSampler
from optuna.study import create_study

from orchestrator.errors import UsageError
from orchestrator.search.space import Space, text_of
from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.space.distributions import quantile, whole_steps

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values_of_yaml = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are the same in type and content, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


@given(st.lists(values_of_yaml, min_size=1, max_size=6))
def test_every_choice_comes_back_as_it_was(values: list[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space = Space({"x": Domain("categorical", values=tuple(values))})
    stored = json_to_distribution(distribution_to_json(space.distributions["x"]))
    for value in values:
        held = space.encode({"x": value}).held["x"]
        # The way through the journal: as the index of the choice.
        back = stored.to_external_repr(stored.to_internal_repr(held))
        assert same(space.decode({"x": back})["x"], value)


def test_values_that_python_takes_for_equal_stay_apart() -> None:
    values = (1, 1.0, True, "1", "true", [1], "[1]", {"a": 1}, None, "null")
    space = Space({"x": Domain("categorical", values=values)})
    held = [space.encode({"x": value}).held["x"] for value in values]
    assert len(set(held)) == len(values)
    assert all(isinstance(item, str) for item in held)
    assert "x" in space.encode({"x": 0}).rest


def test_plain_choices_stay_as_they_are_for_optunas_tools() -> None:
    space = Space({"x": Domain("categorical", values=("adam", 1, 0.5, False, None))})
    assert space.distributions["x"].choices == ("adam", 1, 0.5, False, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "domain",
    [
        Domain("int_uniform", low=1, high=5),
        Domain("uniform", low=-1.5, high=2.5),
        Domain("log_uniform_values", low=1e-5, high=1e-1),
        Domain("q_uniform", low=0.1, high=0.9, q=0.1),
        Domain("q_uniform", low=8, high=64, q=8),
        Domain("q_uniform", low=1, high=9, q=4.0),
        Domain("categorical", values=([1, 2], [3])),
    ],
    ids=lambda domain: f"{domain.distribution}-{domain.q}",
)
def test_what_optuna_draws_is_in_the_domain_and_can_be_given_again(domain: Domain) -> None:
    space = Space({"x": domain})
    study = create_study(sampler=RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask(space.distributions)
        value = space.decode(trial.params)["x"]
        encoded = space.encode({"x": value})
        assert not encoded.rest
        assert same(space.decode(encoded.held)["x"], value)
        if domain.low is not None and domain.high is not None:
            room = (domain.q or 0) / 2
            assert domain.low - room <= value <= domain.high + room
        if domain.q is not None:
            assert value == pytest.approx(round(value / domain.q) * domain.q)
            assert len(json.dumps(value)) <= 3
            assert type(value) is type(domain.q)
        if domain.distribution == "int_uniform":
            assert type(value) is int


@given(
    low=st.integers(-50, 50) | st.floats(-50, 50),
    width=st.integers(1, 50) | st.floats(0.01, 50),
    q=st.integers(1, 9) | st.sampled_from([0.1, 0.25, 0.3, 1.5]),
    share=st.floats(0, 1, exclude_max=True),
)
def test_what_the_spec_draws_from_a_quantised_range_is_a_parameter(
    low: float, width: float, q: float, share: float
) -> None:
    domain = Domain("q_uniform", low=low, high=low + width, q=q)
    least, most = whole_steps(domain)
    assume(least <= most)
    space = Space({"x": domain})
    value = quantile(domain, share)
    held = space.encode({"x": value}).held
    assert held["x"] == pytest.approx(value)
    assert type(space.decode(held)["x"]) is type(value)


BY_SHARE = [
    Domain("normal", mu=3.0, sigma=2.0),
    Domain("q_normal", mu=3.0, sigma=9.0, q=2),
    Domain("log_normal", mu=-1.0, sigma=0.5),
    Domain("q_log_normal", mu=2.0, sigma=1.0, q=0.5),
    Domain("beta", a=2.0, b=5.0),
    Domain("q_beta", a=2.0, b=2.0, q=0.05),
    Domain("q_log_uniform_values", low=1, high=512, q=8),
    Domain("q_log_uniform", low=0, high=5, q=1.0),
    Domain("log_uniform", low=-9, high=0),
    Domain("inv_log_uniform", low=0, high=9),
    Domain("inv_log_uniform_values", low=1e-4, high=1),
]


@pytest.mark.parametrize("domain", BY_SHARE, ids=lambda domain: domain.distribution)
def test_what_optuna_has_not_is_drawn_as_the_spec_draws_it(domain: Domain) -> None:
    space = Space({"x": domain})
    study = create_study(sampler=RandomSampler(seed=1))
    drawn = [space.decode(study.ask(space.distributions).params)["x"] for _ in range(400)]
    quartiles = [sorted(drawn)[place] for place in (100, 200, 300)]
    for value, low, high in zip(quartiles, (0.15, 0.4, 0.65), (0.35, 0.6, 0.85), strict=True):
        assert quantile(domain, low) <= value <= quantile(domain, high)
    for value in drawn[:50]:
        held = space.encode({"x": value}).held
        back = space.decode(held)["x"]
        assert type(back) is type(value)
        assert back == pytest.approx(value, rel=1e-6)
    assert space.encode({"x": "text"}).rest == {"x": "text"}


def test_weighed_choices_keep_their_weights_and_objects() -> None:
    domain = Domain(
        "categorical_w_probabilities",
        values=(1, True, [1], "never"),
        probabilities=(0.7, 0.2, 0.1, 0.0),
    )
    space = Space({"x": domain})
    study = create_study(sampler=RandomSampler(seed=1))
    drawn = [space.decode(study.ask(space.distributions).params)["x"] for _ in range(300)]
    counts = [sum(same(value, other) for other in drawn) for value in domain.values]
    assert counts[0] > 2 * counts[1] > 2 * counts[2] > counts[3] == 0
    for value in domain.values[:3]:
        assert same(space.decode(space.encode({"x": value}).held)["x"], value)
    assert space.encode({"x": "never"}).rest == {"x": "never"}


@given(st.floats(1e-9, 1e9), st.floats(0, 1))
def test_a_given_number_is_kept_to_the_last_bit(high: float, part: float) -> None:
    value = high * part
    space = Space({"x": Domain("uniform", low=0.0, high=high)})
    assert space.decode(space.encode({"x": value}).held)["x"] == value


@pytest.mark.parametrize("value", [6, 0, 2.5, "3", True, None, math.nan, math.inf, [3]])
def test_a_value_outside_its_range_is_kept_apart(value: Any) -> None:
    encoded = Space({"x": Domain("int_uniform", low=1, high=5)}).encode({"x": value, "y": 2})
    assert encoded.held == {}
    assert set(encoded.rest) == {"x", "y"}


def test_constants_are_passed_through() -> None:
    space = Space(
        {"a": Domain("constant", values=({"b": [1]},)), "c": Domain("uniform", low=0, high=1)}
    )
    assert space.decode({"c": 0.5}) == {"a": {"b": [1]}, "c": 0.5}
    assert set(space.distributions) == {"c"}


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Domain("log_uniform_value", low=1, high=2), "Did you mean 'log_uniform_values'"),
        (Domain("categorical"), "contains no value"),
        (Domain("uniform", low=1), "min and max are needed"),
        (Domain("uniform", low=2, high=1), "contains no value"),
        (Domain("log_uniform_values", low=0, high=1), "contains no value"),
        (Domain("int_uniform", low=1.2, high=1.8), "contains no value"),
        (Domain("q_uniform", low=0, high=1, q=0), "contains no value"),
    ],
)
def test_a_domain_that_optuna_cannot_take_is_refused(domain: Domain, words: str) -> None:
    with pytest.raises(UsageError, match=r"^parameters\.x") as caught:
        Space({"x": domain})
    assert words in str(caught.value)


@given(values_of_yaml, values_of_yaml)
def test_texts_are_equal_for_the_same_values_only(left: Any, right: Any) -> None:
    assert (text_of(left) == text_of(right)) == (same(left, right))
