"""What a training run remembers beside its model: sums since the last report, the best state."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Sums:
    """The loss summed over the batches since the last report, on the device so that none waits.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._sentences = 0

    def add(self, loss: Tensor, sentences: int) -> None:
        """Take the mean `loss` of a batch, a scalar without gradient, and the batch's size."""
        self._loss += loss.double() * sentences
        self._sentences += sentences

    def mean(self) -> float:
        """Return the mean loss per sentence; NaN of nothing."""
        return float(self._loss) / self._sentences if self._sentences else math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"loss": self._loss, "sentences": self._sentences}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._loss.copy_(state["loss"])
        self._sentences = int(state["sentences"])


class Best:
    """The state with the least validation error so far, in host memory.

    Attributes:
        value: its validation error; infinite while there is none.
        batch: the batches after which it stood; 0 while there is none.
        waited: evaluations since then.
        model: its model state; None while there is none.
    """

    def __init__(self) -> None:
        self.value = math.inf
        self.batch = 0
        self.waited = 0
        self.model: dict[str, Tensor] | None = None

    def update(self, value: float, batch: int, model: nn.Module) -> None:
        """Keep the state of `model` if `value` is less than the best; NaN never is."""
        self.waited += 1
        if value < self.value:
            self.value, self.batch, self.waited = value, batch, 0
            self.model = {
                name: item.detach().to("cpu", copy=True)
                for name, item in model.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        vars(self).update(state)


class Clock:
    """Seconds spent in named parts of the training."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
