import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from trainers.base import build
from trainers.edc.acoustics import decay_parameters
from trainers.edc.config import PRESETS, Config
from trainers.edc.losses import AuxiliaryLoss, WeightedEdcLoss, make_loss

RATE_HZ = 500.0
POINTS = 1000


def decay(*t60_s: float, rate_hz: float = RATE_HZ, points: int = POINTS) -> Tensor:
    """Exponential decays [N, points]; the level falls by 60 dB in each t60."""
    time = torch.arange(points, dtype=torch.float64) / rate_hz
    rows = [10.0 ** (-6.0 * time / t60) for t60 in t60_s]
    return torch.stack(rows).float()


def scaled(linear: Tensor) -> Tensor:
    """Curves standardised per time step; half of the values are negative."""
    return (linear - linear.mean(0)) / linear.std(0).clamp(min=1e-6)


def weighted(**weights: float) -> WeightedEdcLoss:
    values = {"edt_weight": 1.5, "t20_weight": 2.5, "c50_weight": 2.0, **weights}
    return WeightedEdcLoss(rate_hz=RATE_HZ, **values)


def auxiliary(aux_weight: float = 0.1, temperature: float = 1.0) -> AuxiliaryLoss:
    return AuxiliaryLoss(
        aux_weight=aux_weight, temperature=temperature, rate_hz=RATE_HZ, to_linear=lambda x: x
    )


def test_mse_is_the_mean_of_squares() -> None:
    loss = make_loss(Config(loss="mse"), rate_hz=RATE_HZ, to_linear=lambda x: x)
    target = torch.zeros(2, 4)
    assert loss(target + 3.0, target, target).item() == pytest.approx(9.0)
    assert (loss.name, loss.weights) == ("mse", {})


def test_edc_rir_adds_half_of_the_squared_difference_of_neighbours() -> None:
    loss = make_loss(Config(loss="edc_rir"), rate_hz=RATE_HZ, to_linear=lambda x: x)
    target = torch.zeros(1, 3)
    predicted = torch.tensor([[0.0, 2.0, 0.0]])
    # errors 0, 2, 0; their differences 2, -2
    assert loss(predicted, target, target).item() == pytest.approx(4.0 / 3.0 + 0.5 * 4.0)
    # A constant error has no slope.
    assert loss(target + 1.0, target, target).item() == pytest.approx(1.0)


def test_the_mask_follows_the_regions_of_a_known_decay() -> None:
    # 60 dB in 1 s: -5 dB at 83.3 ms, -10 dB at 166.7 ms, -25 dB at 416.7 ms
    mask = weighted().mask(decay(1.0))[0]
    time = torch.arange(POINTS) / RATE_HZ
    expected = torch.ones(POINTS)
    expected[time <= 10 / 60] = 1.5
    expected[time < 0.050] = 2.0
    expected[(time >= 5 / 60) & (time <= 25 / 60)] = 2.5
    torch.testing.assert_close(mask, expected)


@given(
    weights=st.tuples(*[st.floats(0.0, 8.0, width=32)] * 3),
    t60_s=st.floats(0.05, 5.0),
)
@settings(max_examples=50, deadline=None)
def test_a_point_weighs_what_the_heaviest_region_around_it_weighs(
    weights: tuple[float, float, float], t60_s: float
) -> None:
    edt, t20, c50 = weights
    linear = decay(t60_s)
    mask = weighted(edt_weight=edt, t20_weight=t20, c50_weight=c50).mask(linear)[0].numpy()
    level = 10 * np.log10(np.maximum(linear[0].double().numpy(), 1e-30))
    for point in range(0, POINTS, 7):
        if min(abs(level[point] + edge) for edge in (5, 10, 25)) < 1e-3:
            continue
        around = []
        if point < 25:
            around.append(c50)
        if level[point] >= -10:
            around.append(edt)
        if -25 <= level[point] <= -5:
            around.append(t20)
        assert mask[point] == pytest.approx(max(around) if around else 1.0)


def test_the_mask_comes_from_the_linear_curve_and_never_from_the_scaled_one() -> None:
    linear = decay(0.3, 0.6, 1.2, 2.4)
    target = scaled(linear)
    assert (target < 0).any()  # whose logarithm would be NaN
    loss = weighted()
    error = torch.randn(linear.shape, generator=torch.Generator().manual_seed(1))
    expected = (loss.mask(linear) * error.square()).mean()
    torch.testing.assert_close(loss(target + error, target, linear), expected)


def test_zero_and_negative_curves_have_a_mask() -> None:
    mask = weighted().mask(torch.tensor([[1.0, 0.0, -1.0] + [0.0] * 100]))
    assert torch.isfinite(mask).all()
    assert mask[0, -1] == 1.0


def test_equal_weights_of_one_make_the_weighted_loss_the_mse() -> None:
    linear = decay(0.5, 1.0)
    loss = weighted(edt_weight=1.0, t20_weight=1.0, c50_weight=1.0)
    error = torch.randn(linear.shape, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(loss(linear + error, linear, linear), error.square().mean())


@given(st.floats(0.1, 1.5))
@settings(max_examples=30, deadline=None)
def test_soft_crossings_agree_with_t20_of_an_exponential_decay(t60_s: float) -> None:
    # T20 of an exponential decay is its T60; the soft argmin is off by little where the
    # decay passes a level in several samples.
    found = auxiliary(temperature=0.2).t20(decay(t60_s)).item()
    assert found == pytest.approx(t60_s, abs=0.01)


def test_c50_of_the_loss_is_the_metric_by_sums() -> None:
    linear = decay(0.4, 0.8, 1.6)
    known = decay_parameters(linear.numpy(), RATE_HZ)["c50_edcsum_db"]
    np.testing.assert_allclose(auxiliary().c50(linear).numpy(), known, atol=1e-3)


def test_auxiliary_adds_half_its_weight_of_the_two_squared_errors() -> None:
    loss = auxiliary(aux_weight=0.4)
    target, predicted = decay(0.5, 1.0), decay(0.6, 0.9)
    parts = [
        (part(predicted) - part(target)).square().mean().item() for part in (loss.t20, loss.c50)
    ]
    expected = (predicted - target).square().mean().item() + 0.4 * 0.5 * sum(parts)
    assert min(parts) > 0
    assert loss(predicted, target, target).item() == pytest.approx(expected, rel=1e-5)


def test_auxiliary_of_the_right_curve_is_zero() -> None:
    target = decay(0.5, 1.0)
    assert auxiliary()(target, target, target).item() == 0.0


@pytest.mark.parametrize(
    ("given_weight", "kept"), [(0.0, 0.01), (0.01, 0.01), (0.3, 0.3), (7.0, 1.0)]
)
def test_the_auxiliary_weight_stays_within_its_limits(given_weight: float, kept: float) -> None:
    assert auxiliary(aux_weight=given_weight).weights["aux_weight"] == kept


def test_parameters_of_the_auxiliary_loss_are_limited() -> None:
    loss = auxiliary()
    slow = AuxiliaryLoss(aux_weight=0.1, temperature=1.0, rate_hz=10.0, to_linear=lambda x: x)
    assert slow.t20(decay(60.0, rate_hz=10.0)).item() == 5.0
    assert loss.c50(torch.cat([torch.ones(1, 25), torch.zeros(1, 975)], dim=1)).item() == 50.0
    assert loss.c50(torch.cat([torch.zeros(1, 25), torch.ones(1, 975)], dim=1)).item() == -50.0


@pytest.mark.parametrize("size", [0.0, -3.0, 1e-30, 1e3, 1e12])
def test_auxiliary_is_finite_with_a_finite_gradient_for_any_finite_prediction(size: float) -> None:
    target = decay(0.5, 1.0)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(3))
    predicted = (noise * size).requires_grad_()
    value = auxiliary()(predicted, target, target)
    value.backward()
    assert predicted.grad is not None
    assert torch.isfinite(value)
    assert torch.isfinite(predicted.grad).all()


def test_a_huge_error_is_limited_in_size_and_still_leads_back() -> None:
    target = decay(0.5)
    predicted = (target + 1e6).requires_grad_()
    value = auxiliary(aux_weight=0.01)(predicted, target, target)
    value.backward()
    assert predicted.grad is not None
    assert value.item() <= 1e4 + 0.01 * 0.5 * 2e4
    assert (predicted.grad > 0).all()


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_auxiliary_falls_back_to_the_mse_and_shows_that_a_network_has_diverged(bad: float) -> None:
    target = decay(0.5)
    predicted = target.clone()
    predicted[0, 10] = bad
    value = auxiliary()(predicted, target, target)
    plain = (predicted - target).square().mean()
    torch.testing.assert_close(value, plain, equal_nan=True)
    assert not torch.isfinite(value)


@pytest.mark.parametrize("name", ["mse", "edc_rir", "weighted_edc", "auxiliary"])
def test_each_loss_is_made_from_its_config_and_falls_as_it_is_followed(name: str) -> None:
    config = build(Config, PRESETS, {"loss": name, "edt_weight": 3, "aux_weight": 0.2})
    linear = decay(0.3, 0.5, 0.8, 1.2)
    mean, spread = linear.mean(0), linear.std(0).clamp(min=1e-6)
    target = (linear - mean) / spread
    loss = make_loss(config, rate_hz=RATE_HZ, to_linear=lambda x: x * spread + mean)
    assert loss.name == name
    assert set(loss.weights) <= set(vars(config))
    predicted = torch.zeros_like(target, requires_grad=True)
    optimizer = torch.optim.Adam([predicted], lr=0.02)
    first = loss(predicted, target, linear).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss(predicted, target, linear).backward()
        optimizer.step()
    assert loss(predicted, target, linear).item() < 0.5 * first


def test_weights_are_read_back_from_what_the_loss_computes_with() -> None:
    config = build(Config, PRESETS, {"loss": "weighted_edc", "t20_weight": 3.0})
    loss = make_loss(config, rate_hz=RATE_HZ, to_linear=lambda x: x)
    assert loss.weights == {"edt_weight": 1.5, "t20_weight": 3.0, "c50_weight": 2.0}
    assert isinstance(loss, WeightedEdcLoss)
    loss.t20_weight = 9.0
    assert loss.weights["t20_weight"] == 9.0
    assert loss.mask(decay(1.0)).max() == 9.0


def test_levels_outside_0_to_60_db_count_as_its_ends() -> None:
    loss = auxiliary()
    curve = decay(0.5)
    level = 10 * curve.log10()
    assert level.min() < -61, "or there is nothing to cut off"
    loud = torch.where(level > -0.5, curve * 3.0, curve.clamp(max=1.0))
    torch.testing.assert_close(loss.t20(loud), loss.t20(loud.clamp(max=1.0)))
    faint = torch.where(level < -60, 0.0, curve)
    torch.testing.assert_close(loss.t20(faint), loss.t20(curve.clamp(min=1e-6)))


def test_each_part_is_at_most_ten_thousand() -> None:
    # Clarities of 50 and -50 dB are 100 dB apart: 10,000 dB², as far as they can be.
    early = torch.cat([torch.ones(1, 25), torch.zeros(1, 975)], dim=1)
    late = 1.0 - early
    loss = auxiliary(aux_weight=0.1)
    t20 = (loss.t20(early) - loss.t20(late)).square().item()
    value = loss(early, late, late).item()
    assert value == pytest.approx(1.0 + 0.05 * (1e4 + t20), rel=1e-6)
    assert t20 <= 100.0


def test_an_infinite_error_falls_back_to_the_mse_and_a_finite_one_keeps_its_parts() -> None:
    # Scaled values are finite and their squares are not: what float32 loses first.
    target = decay(0.5)
    huge = torch.full_like(target, 1e20)
    value = auxiliary()(huge, target, target)
    assert value.item() == math.inf
    # The linear curve overflows, the error does not.
    loss = AuxiliaryLoss(
        aux_weight=0.1, temperature=1.0, rate_hz=RATE_HZ, to_linear=lambda x: x * 3e38 + x * 3e38
    )
    predicted = (target + 0.1).requires_grad_()
    value = loss(predicted, target, target)
    value.backward()
    assert math.isfinite(value.item())
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_the_failed_crossings_were_softer_than_the_stabilised_ones() -> None:
    # At 2 dB T20 of a short decay is off farther than at 1 dB.
    off = [
        abs(auxiliary(temperature=width_db).t20(decay(0.2)).item() - 0.2) for width_db in (1.0, 2.0)
    ]
    assert off[0] < off[1]
