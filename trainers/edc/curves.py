"""Features and curves as tensors: placement, scaling and prediction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.edc.losses import CurveLoss

Array = NDArray[Any]
Autocast = Callable[[], AbstractContextManager[Any]]

RESIDENT_BYTES = 512 * 2**20
"""Curves up to this size are moved to the GPU once; larger ones batch by batch."""


class CurveScale(nn.Module):
    """The affine map between linear and scaled curves, on the device.

    Args:
        inverse: maps scaled curves [1, points] to linear ones (from the fitted scaler).
        points: samples of a curve.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, inverse: Callable[[Array], Array], points: int) -> None:
        super().__init__()
        # Derived from the fitted scaler, so that scaling is defined in one place.
        zero, one = inverse(np.zeros((1, points)))[0], inverse(np.ones((1, points)))[0]
        self.register_buffer("offset", torch.from_numpy(zero).float())
        self.register_buffer("scale", torch.from_numpy(one - zero).float())

    def to_scaled(self, linear: Tensor) -> Tensor:
        """Return scaled curves for linear ones [N, points]."""
        return (linear - self.offset) / self.scale

    def to_linear(self, scaled: Tensor) -> Tensor:
        """Return linear curves for scaled ones [N, points]."""
        return torch.addcmul(self.offset, scaled, self.scale)


class CurveSet:
    """The features and linear curves of one split.

    Args:
        features: [N, 16], scaled.
        curves: [N, points], linear.
        device: device of the batches.
    """

    def __init__(self, features: Array, curves: Array, device: torch.device) -> None:
        self.targets = curves
        self._device = device
        self._features = torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(device)
        self._curves = torch.from_numpy(np.ascontiguousarray(curves, np.float32))
        self._resident = device.type == "cpu" or curves.nbytes <= RESIDENT_BYTES
        if self._resident:
            self._curves = self._curves.to(device)

    def __len__(self) -> int:
        return len(self.targets)

    def sample(self, count: int) -> CurveSet:
        """Return at most `count` curves, evenly spread and always the same."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)
        features = self._features[torch.from_numpy(rows).to(self._device)].cpu().numpy()
        return CurveSet(features, self.targets[rows], self._device)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [n, 16] and linear curves [n, points] on the device for CPU indices."""
        if self._resident:
            there = rows.to(self._device)
            return self._features[there], self._curves[there]
        curves = self._curves[rows].pin_memory().to(self._device, non_blocking=True)
        return self._features[rows.to(self._device)], curves


def predict(
    model: nn.Module,
    loss: CurveLoss,
    scale: CurveScale,
    curves: CurveSet,
    *,
    batch_size: int,
    autocast: Autocast,
) -> tuple[NDArray[np.float32], float]:
    """Return the linear curves [N, points] that `model` predicts and their mean loss.

    The model is in evaluation mode afterwards.
    """
    model.eval()
    predicted = np.empty(curves.targets.shape, np.float32)
    total = torch.zeros((), dtype=torch.float64)
    with torch.inference_mode():
        for rows in torch.split(torch.arange(len(curves)), batch_size):
            features, linear = curves.batch(rows)
            with autocast():
                scaled = model(features)
            scaled = scaled.float()
            value = loss(scaled, scale.to_scaled(linear), linear)
            # Predictions are copied to the host anyway, so reading the loss adds no wait.
            predicted[rows.numpy()] = scale.to_linear(scaled).cpu().numpy()
            total += value.double().cpu() * len(rows)
    return predicted, float(total) / len(curves)
