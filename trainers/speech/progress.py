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
    """Sums over the batches since the last report, kept on the device so that no batch waits.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        # loss·sentences, sentences, gradient norms, batches with a norm
        self._values = torch.zeros(4, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, sentences: int, norm: Tensor, *, skip_infinite: bool) -> None:
        """Take one batch.

        Args:
            loss: mean loss of the batch, a scalar without gradient.
            sentences: size of the batch.
            norm: L2 norm of the gradient before clipping.
            skip_infinite: leave norms that are not finite out.
        """
        counted = torch.isfinite(norm) if skip_infinite else torch.ones_like(norm)
        kept = torch.where(counted.bool(), norm, 0.0)
        parts = [loss * sentences, torch.full_like(loss, sentences), kept, counted.to(norm.dtype)]
        self._values += torch.stack([part.double() for part in parts])

    def means(self) -> tuple[float, float]:
        """Return the mean loss per sentence and gradient norm per batch; NaN of nothing."""
        loss, sentences, norm, batches = self._values.tolist()
        return (
            loss / sentences if sentences else math.nan,
            norm / batches if batches else math.nan,
        )

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
