"""What a training run remembers beside its model: the sums of an epoch and the best state."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Sums:
    """Sums over the batches of one epoch, kept on the device so that no batch waits for them.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        # loss·curves, curves
        self._values = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, curves: int) -> None:
        """Take one batch.

        Args:
            loss: mean loss of the batch, a scalar without gradient.
            curves: size of the batch.
        """
        parts = [loss * curves, torch.full_like(loss, curves)]
        self._values += torch.stack([part.double() for part in parts])

    def finite(self) -> bool:
        """Tell whether all losses so far were finite."""
        return bool(torch.isfinite(self._values[0]))

    def mean(self) -> float:
        """Return the mean loss per curve; NaN of nothing."""
        loss, curves = self._values.tolist()
        return loss / curves if curves else math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"values": self._values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._values.copy_(state["values"])


class Best:
    """The state with the least validation error so far, in host memory.

    Attributes:
        value: its validation error; infinite while there is none.
        epoch: the epoch after which it stood, from 1; 0 while there is none.
        model: its model state; None while there is none.
    """

    def __init__(self) -> None:
        self.value = math.inf
        self.epoch = 0
        self.model: dict[str, Tensor] | None = None

    def update(self, value: float, epoch: int, model: nn.Module) -> None:
        """Keep the state of `model` if `value` is less than the best; NaN never is."""
        if value < self.value:
            self.value = value
            self.epoch = epoch
            self.model = {
                name: item.detach().to("cpu", copy=True)
                for name, item in model.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"value": self.value, "epoch": self.epoch, "model": self.model}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.value = float(state["value"])
        self.epoch = int(state["epoch"])
        self.model = state["model"]
