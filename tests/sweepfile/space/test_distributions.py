from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st
from scipy import special, stats

from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.space.distributions import (
    beta_quantile,
    beta_share,
    quantile,
    share_of,
    support,
    whole_steps,
)

shapes = st.floats(0.05, 500)


@given(shapes, shapes, st.floats(0, 1))
def test_the_incomplete_beta_function_is_scipys(a: float, b: float, x: float) -> None:
    expected = special.betainc(a, b, x)
    assert beta_share(a, b, x) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(shapes, shapes, st.floats(1e-6, 1 - 1e-6))
def test_its_inverse(a: float, b: float, share: float) -> None:
    x = beta_quantile(a, b, share)
    assert 0 < x <= 1
    # Next to 1 floats are too far apart for the share to come back.
    if x < 1 - 1e-9:
        assert special.betainc(a, b, x) == pytest.approx(share, rel=1e-6, abs=1e-9)


@given(st.floats(-5, 5), st.floats(0.01, 9), st.floats(1e-9, 1 - 1e-9))
def test_normal_ones_are_scipys(mu: float, sigma: float, share: float) -> None:
    found = quantile(Domain("normal", mu=mu, sigma=sigma), share)
    assert found == pytest.approx(stats.norm.ppf(share, mu, sigma), rel=1e-9, abs=1e-9)
    logged = quantile(Domain("log_normal", mu=mu, sigma=sigma), share)
    assert logged == pytest.approx(math.exp(found), rel=1e-9)  # type: ignore[arg-type]


ALL = [
    Domain("normal", mu=0.0, sigma=0.0),
    Domain("normal", mu=-2.0, sigma=3.0),
    Domain("q_normal", mu=0.0, sigma=3.0, q=2),
    Domain("log_normal", mu=0.0, sigma=1e6),
    Domain("q_log_normal", mu=0.0, sigma=2.0, q=0.5),
    Domain("beta", a=0.5, b=2.0),
    Domain("q_beta", a=2.0, b=2.0, q=0.1),
    Domain("log_uniform", low=-3, high=2),
    Domain("inv_log_uniform", low=-3, high=2),
    Domain("q_log_uniform", low=0, high=5, q=1),
    Domain("q_log_uniform_values", low=1, high=100, q=8),
    Domain("uniform", low=-1e308, high=1e308),
]


@pytest.mark.parametrize("domain", ALL, ids=lambda domain: domain.distribution)
@given(share=st.floats(0, 1, exclude_max=True), other=st.floats(0, 1, exclude_max=True))
def test_draws_rise_with_the_share_and_stay_inside(
    domain: Domain, share: float, other: float
) -> None:
    low, high = support(domain)
    first, second = (quantile(domain, part) for part in sorted((share, other)))
    assert isinstance(first, int | float)
    assert isinstance(second, int | float)
    assert math.isfinite(first)
    assert math.isfinite(second)
    room = 1e-9 * max(1.0, abs(low) if math.isfinite(low) else 0.0)
    assert low - room <= first <= second <= high + abs(high) * 1e-9
    assert type(first) is (int if isinstance(domain.q, int) else float)
    assert 0.0 <= share_of(domain, first) <= 1.0


@given(
    low=st.integers(-(10**6), 10**6),
    width=st.integers(1, 10**6),
    steps=st.integers(1, 5000),
    digits=st.integers(0, 6),
    share=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from(["q_uniform", "q_log_uniform_values"]),
)
def test_multiples_of_q_stay_inside_and_have_its_decimals(
    low: int, width: int, steps: int, digits: int, share: float, kind: str
) -> None:
    scale = 10**digits
    low = abs(low) + 1 if "log" in kind else low
    domain = Domain(kind, low=low / scale, high=(low + width) / scale, q=steps / scale)
    least, most = whole_steps(domain)
    assume(least <= most)
    value = quantile(domain, share)
    assert low / scale <= value <= (low + width) / scale  # type: ignore[operator]
    assert value == round(value, digits)  # type: ignore[call-overload]
    theirs = quantile(replace(domain, as_wandb=True), share)
    assert abs(value - theirs) <= steps / scale * 1.0001  # type: ignore[operator]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any), st.integers(0, 999))
def test_weighed_choices_come_as_often_as_they_should(weights: list[int], part: int) -> None:
    total = sum(weights)
    domain = Domain(
        "categorical_w_probabilities",
        values=tuple(range(len(weights))),
        probabilities=tuple(weight / total for weight in weights),
    )
    drawn = [quantile(domain, (place + 0.5) / total) for place in range(total)]
    assert [drawn.count(value) for value in domain.values] == weights
    assert weights[quantile(domain, part / 1000)] > 0  # type: ignore[call-overload]
