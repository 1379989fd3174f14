"""Gradient norms and checks for finite parameters, at the cost of a few kernels per step.

::

    watch = GradientWatch(model.parameters(), device)
    for batch in loader:
        loss.backward()
        norm = watch.after_backward()          # a tensor; nothing waits for the device
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), 1.0, norm)
        optimizer.step()
    run.report(epoch, train_loss=..., grad_norm=watch.mean_norm())
    watch.clear()

Norms are summed on the device; only `mean_norm`, `is_finite` and `parameters_are_finite` wait for
it. `python -m benchmarks.watching` measures the cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class GradientWatch:
    """Track the gradients of parameters from step to step.

    Args:
        parameters: trained parameters; those without a gradient are skipped.
        device: device of the parameters.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], device: torch.device) -> None:
        self._parameters: list[Tensor] = list(parameters)
        self._sum = torch.zeros((), dtype=torch.float64, device=device)
        self._counted = torch.zeros((), dtype=torch.int64, device=device)  # some may be skipped
        self._steps = 0

    def after_backward(self, *, skip_infinite: bool = False) -> Tensor:
        """Record the current gradients and return their L2 norm, a scalar tensor.

        Call it before clipping, and after unscaling if the loss is scaled.

        Args:
            skip_infinite: leave norms that are not finite out of the mean, as for steps that loss
                scaling skips.
        """
        gradients = [item.grad for item in self._parameters if item.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not skip_infinite:
            self._sum += norm
            self._steps += 1
            return norm
        counted = torch.isfinite(norm)
        kept = torch.where(counted, norm, 0.0)
        self._sum += kept
        self._counted += counted
        return norm

    def mean_norm(self) -> float:
        """Return the mean norm since `clear`; NaN if there is none or one was not finite."""
        steps = self._steps + int(self._counted)
        return float(self._sum) / steps if steps else math.nan

    def is_finite(self) -> bool:
        """Return whether all norms since `clear` were finite."""
        return bool(torch.isfinite(self._sum))

    def parameters_are_finite(self) -> bool:
        """Return whether every parameter is finite; check this before saving a state."""
        with torch.no_grad():
            norms = torch._foreach_norm(self._parameters)
            return bool(torch.isfinite(torch.stack([norm.double() for norm in norms])).all())

    def clear(self) -> None:
        """Reset the sums, as at the beginning of an epoch."""
        self._sum.zero_()
        self._counted.zero_()
        self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {"sum": self._sum, "counted": self._counted, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self._sum.copy_(state["sum"])
        self._counted.copy_(state["counted"])
        self._steps = int(state["steps"])
