"""The four losses.

Every loss receives curves in two spaces. Squared errors and first differences are computed in the
*scaled* space of the network's output (see `trainers.edc.config`). Regions in dB and acoustic
parameters are found in the *linear* space, the curve itself from 1.0 to 0, because half of the
standardized values are negative and have no logarithm.

Values of different losses, or of one loss with other weights or another scaler, cannot be
compared; compare the ``val_`` metrics on linear curves instead.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainers.edc.acoustics import EARLY_S
from trainers.edc.config import Config

FLOOR_DB = -60.0
T20_LIMIT_S = 5.0
C50_LIMIT_DB = 50.0
PART_LIMIT = 1e4


class CurveLoss(nn.Module):
    """The mean squared error in the scaled space, and the base of the other losses.

    Attributes:
        name: name of the loss in the config.
    """

    name = "mse"

    @property
    def weights(self) -> dict[str, float]:
        """Return the weights that the loss uses, by their names in the config."""
        return {}

    def forward(self, predicted: Tensor, target: Tensor, linear_target: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Args:
            predicted: [N, points], scaled.
            target: [N, points], scaled.
            linear_target: [N, points], the same curves, unscaled.
        """
        return mean_square(predicted - target)


class EdcRirLoss(CurveLoss):
    """MSE of the curve plus half the MSE of its first difference.

    The difference of a decay curve follows the energy of the impulse response, so this loss
    requires the right slope as well as the right level.
    """

    name = "edc_rir"
    difference_weight = 0.5

    def forward(self, predicted: Tensor, target: Tensor, linear_target: Tensor) -> Tensor:
        """Return the loss; see `CurveLoss.forward`."""
        error = predicted - target
        slope = mean_square(error[:, 1:] - error[:, :-1])
        return mean_square(error) + self.difference_weight * slope


class WeightedEdcLoss(CurveLoss):
    """MSE with a mask that weights the regions from which EDT, T20 and C50 are read.

    In overlapping regions the greatest weight counts; outside all regions the weight is 1.

    Args:
        edt_weight: weight of the curve from 0 to -10 dB.
        t20_weight: weight of the curve from -5 to -25 dB.
        c50_weight: weight of the first 50 ms.
        rate_hz: samples per second of the curves.
    """

    name = "weighted_edc"

    def __init__(
        self, *, edt_weight: float, t20_weight: float, c50_weight: float, rate_hz: float
    ) -> None:
        super().__init__()
        self.edt_weight = edt_weight
        self.t20_weight = t20_weight
        self.c50_weight = c50_weight
        self.early = early_points(rate_hz)

    @property
    def weights(self) -> dict[str, float]:
        """Return the three region weights."""
        return {
            "edt_weight": self.edt_weight,
            "t20_weight": self.t20_weight,
            "c50_weight": self.c50_weight,
        }

    def mask(self, linear: Tensor) -> Tensor:
        """Return the weight of every point of the linear curves [N, points]."""
        early = torch.arange(linear.shape[1], device=linear.device) < self.early
        # Compare energies, 10^(x/10) for x dB, so that zero needs no logarithm.
        regions = (
            (early.expand_as(linear), self.c50_weight),
            (linear >= 10**-1.0, self.edt_weight),
            ((linear <= 10**-0.5) & (linear >= 10**-2.5), self.t20_weight),
        )
        weight = torch.full_like(linear, -1.0)
        for inside, value in regions:
            weight = torch.where(inside, weight.clamp(min=value), weight)
        return torch.where(weight < 0, 1.0, weight)

    def forward(self, predicted: Tensor, target: Tensor, linear_target: Tensor) -> Tensor:
        """Return the loss; see `CurveLoss.forward`."""
        return (self.mask(linear_target) * (predicted - target).square()).mean()


class AuxiliaryLoss(CurveLoss):
    """MSE plus ``aux_weight``/2 times the squared errors of T20 (s²) and C50 (dB²).

    T20 is three times the time from -5 to -25 dB. Each crossing is a differentiable soft argmin:
    the mean time weighted by softmax(-|level - crossing| / temperature). C50 is the ratio of the
    sums of the curve before and after 50 ms (the metric ``c50_edcsum``), which stays smooth when
    the ISO ratio diverges.

    Three limits keep a bad batch from ending the training: levels to [-60, 0] dB re 1.0, |T20| to
    5 s and |C50| to 50 dB, and each squared error to 1e4. The last limit scales instead of
    clamping, since a clamped term has no gradient. If the sum is still not finite, the loss is the
    unlimited MSE, so that a diverged network is visible.

    Args:
        aux_weight: weight of the two errors, in [0.01, 1].
        temperature: temperature of the softmax, dB.
        rate_hz: samples per second of the curves.
        to_linear: maps scaled curves to linear ones.
    """

    name = "auxiliary"

    def __init__(
        self,
        *,
        aux_weight: float,
        temperature: float,
        rate_hz: float,
        to_linear: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.aux_weight = min(max(aux_weight, 0.01), 1.0)
        self.temperature = temperature
        self.rate_hz = rate_hz
        self.early = early_points(rate_hz)
        self.to_linear = to_linear

    @property
    def weights(self) -> dict[str, float]:
        """Return the weight and the temperature."""
        return {"aux_weight": self.aux_weight, "aux_temperature": self.temperature}

    def t20(self, linear: Tensor) -> Tensor:
        """Return T20 [N] in s of linear curves [N, points], within ±5 s."""
        level = 10.0 * linear.clamp(10 ** (FLOOR_DB / 10), 1.0).log10()
        time = torch.arange(level.shape[1], device=level.device) / self.rate_hz
        near_5 = torch.softmax((level + 5.0).abs() / -self.temperature, dim=1)
        near_25 = torch.softmax((level + 25.0).abs() / -self.temperature, dim=1)
        return (3.0 * ((near_25 - near_5) * time).sum(dim=1)).clamp(-T20_LIMIT_S, T20_LIMIT_S)

    def c50(self, linear: Tensor) -> Tensor:
        """Return C50 [N] in dB from sums of linear curves [N, points], within ±50 dB."""
        # Each sample is limited, not the sum: a negative sample cannot hide the others, and a
        # clamped sum would have no gradient.
        energy = linear.clamp(0.0, 1.0)
        early = energy[:, : self.early].sum(dim=1) + 1e-10
        late = energy[:, self.early :].sum(dim=1) + 1e-10
        return (10.0 * (early / late).log10()).clamp(-C50_LIMIT_DB, C50_LIMIT_DB)

    def forward(self, predicted: Tensor, target: Tensor, linear_target: Tensor) -> Tensor:
        """Return the loss; see `CurveLoss.forward`."""
        square = mean_square(predicted - target)
        # NaN passes every clamp and causes NaN gradients even in an unused term.
        linear = torch.nan_to_num(self.to_linear(predicted), posinf=1.0, neginf=0.0)
        t20 = mean_square(self.t20(linear) - self.t20(linear_target))
        c50 = mean_square(self.c50(linear) - self.c50(linear_target))
        total = limited(square) + self.aux_weight * 0.5 * (limited(t20) + limited(c50))
        return torch.where(torch.isfinite(square) & torch.isfinite(total), total, square)


def mean_square(error: Tensor) -> Tensor:
    """Return the mean of the squares."""
    return error.square().mean()


def limited(part: Tensor) -> Tensor:
    """Return `part` scaled to at most 1e4; its gradient keeps its direction."""
    return part * (PART_LIMIT / part.detach()).clamp(max=1.0)


def early_points(rate_hz: float) -> int:
    """Return the number of points of a curve before 50 ms."""
    return int(EARLY_S * rate_hz + 1e-9)


def make_loss(
    config: Config, *, rate_hz: float, to_linear: Callable[[Tensor], Tensor]
) -> CurveLoss:
    """Return the loss that `config` names.

    Args:
        config: gives the loss and its weights.
        rate_hz: samples per second of the curves.
        to_linear: maps scaled curves [N, points] to linear ones.
    """
    if config.loss == "edc_rir":
        return EdcRirLoss()
    if config.loss == "weighted_edc":
        return WeightedEdcLoss(
            edt_weight=config.edt_weight,
            t20_weight=config.t20_weight,
            c50_weight=config.c50_weight,
            rate_hz=rate_hz,
        )
    if config.loss == "auxiliary":
        return AuxiliaryLoss(
            aux_weight=config.aux_weight,
            temperature=config.aux_temperature,
            rate_hz=rate_hz,
            to_linear=to_linear,
        )
    return CurveLoss()
