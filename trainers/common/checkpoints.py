"""The pace of checkpoints, and the random state that they contain."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from trainers.base import Run

TIME_SHARE = 0.05
"""Maximum fraction of the time spent on checkpoints: small models save often, large ones rarely."""


class Checkpoints:
    """Save checkpoints of a run at a pace that keeps their cost low.

    Args:
        run: receives the checkpoints.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._saved_at = time.monotonic()
        self._took_s = 0.0

    def is_due(self) -> bool:
        """Return whether enough time has passed since the last checkpoint."""
        return (time.monotonic() - self._saved_at) * TIME_SHARE >= self._took_s

    def save(self, state: Mapping[str, Any]) -> None:
        """Save `state` and measure how long it takes."""
        began = time.monotonic()
        self._run.checkpoint(state)
        self._saved_at = time.monotonic()
        self._took_s = self._saved_at - began


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of PyTorch's random generators on the CPU and on `device`."""
    is_cuda = device.type == "cuda"
    return {
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(device) if is_cuda else None,
    }


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore the random generators from the result of `random_state`."""
    torch.set_rng_state(state["rng"])
    if state["cuda_rng"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"], device)
