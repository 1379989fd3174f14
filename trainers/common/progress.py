"""Training state besides the model: sums, best state, times, memory."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trainers.base import Goal


class Sums:
    """The loss summed over batches, kept on the device so that no batch waits for it.

    Args:
        device: device of the losses.
    """

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._samples = 0

    def add(self, loss: Tensor, samples: int) -> None:
        """Add the mean `loss` of a batch, a scalar without gradient, and the size of the batch."""
        self._loss += loss.double() * samples
        self._samples += samples

    def is_finite(self) -> bool:
        """Return whether all losses so far were finite; waits for the device."""
        return bool(torch.isfinite(self._loss))

    def mean(self) -> float:
        """Return the mean loss per sample; NaN before the first batch."""
        return float(self._loss) / self._samples if self._samples else math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {"loss": self._loss, "samples": self._samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self._loss.copy_(state["loss"])
        self._samples = int(state["samples"])


class Best:
    """The model state with the best validation value so far, in host memory.

    Args:
        goal: whether the value is minimized or maximized.

    Attributes:
        value: its validation value; infinite before there is one.
        step: the epoch or batch after which it was taken; 0 before there is one.
        waited: validations since then.
        model: its state; None before there is one.
    """

    def __init__(self, goal: Goal = "minimize") -> None:
        self._sign = 1.0 if goal == "minimize" else -1.0
        self.value = self._sign * math.inf
        self.step = 0
        self.waited = 0
        self.model: dict[str, Tensor] | None = None

    def update(self, value: float, step: int, model: nn.Module) -> None:
        """Keep the state of `model` if `value` is better than the best; NaN never is."""
        self.waited += 1
        if self._sign * value < self._sign * self.value:
            self.value, self.step, self.waited = value, step, 0
            self.model = {
                name: item.detach().to("cpu", copy=True)
                for name, item in model.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {
            "value": self.value,
            "step": self.step,
            "waited": self.waited,
            "model": self.model,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.value = float(state["value"])
        self.step, self.waited = int(state["step"]), int(state["waited"])
        self.model = state["model"]


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


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory: reserved by PyTorch on a GPU, else RAM of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(kibibytes) if sys.platform == "darwin" else int(kibibytes) * 1024
