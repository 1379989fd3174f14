"""What a training remembers beside its model: sums of an epoch, the best state, what it took."""

from __future__ import annotations

import math
import resource
import sys
from typing import Any

import torch
from torch import Tensor, nn


class Sums:
    """Sums over the batches of one epoch, kept on the device so that no batch waits for them.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        # loss·patches, patches
        self._values = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, loss: Tensor, patches: int) -> None:
        """Take one batch.

        Args:
            loss: mean loss of the batch, a scalar without gradient.
            patches: size of the batch.
        """
        parts = [loss * patches, torch.full_like(loss, patches)]
        self._values += torch.stack([part.double() for part in parts])

    def finite(self) -> bool:
        """Tell whether all losses so far were finite."""
        return bool(torch.isfinite(self._values[0]))

    def mean(self) -> float:
        """Return the mean loss per patch; NaN of nothing."""
        loss, patches = self._values.tolist()
        return loss / patches if patches else math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"values": self._values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._values.copy_(state["values"])


class Best:
    """The state with the greatest validation PSNR so far, in host memory.

    Attributes:
        psnr: its PSNR in dB; −infinity while there is none.
        epoch: the epoch after which it stood, from 1; 0 while there is none.
        model: its model state; None while there is none.
    """

    def __init__(self) -> None:
        self.psnr = -math.inf
        self.epoch = 0
        self.model: dict[str, Tensor] | None = None

    def update(self, psnr: float, epoch: int, model: nn.Module) -> None:
        """Keep the state of `model` if `psnr` is greater than the best; NaN never is."""
        if psnr > self.psnr:
            self.psnr = psnr
            self.epoch = epoch
            self.model = {
                name: item.detach().to("cpu", copy=True)
                for name, item in model.state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"psnr": self.psnr, "epoch": self.epoch, "model": self.model}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.psnr = float(state["psnr"])
        self.epoch = int(state["epoch"])
        self.model = state["model"]


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory so far: reserved by PyTorch on a GPU, else RAM of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(kibibytes) if sys.platform == "darwin" else int(kibibytes) * 1024
