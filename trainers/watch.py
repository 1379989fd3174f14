"""Gradient norms and the soundness of parameters, at the cost of a few kernels a step.

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
it. `python -m benchmarks.watching` measures what that costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class GradientWatch:
    """Watches the gradients of some parameters from step to step.

    Args:
        parameters: what is trained; those without a gradient are passed over.
        device: where they are.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], device: torch.device) -> None:
        self._parameters: list[Tensor] = list(parameters)
        # sum of norms, steps with a norm
        self._values = torch.zeros(2, dtype=torch.float64, device=device)

    def after_backward(self, *, skip_infinite: bool = False) -> Tensor:
        """Take in the gradients as they are and return their L2 norm, a scalar tensor.

        Call it before clipping, and after unscaling where the loss is scaled.

        Args:
            skip_infinite: leave norms that are not finite out of the mean: a step that loss
                scaling skips says nothing about the training.
        """
        gradients = [item.grad for item in self._parameters if item.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        counted = torch.isfinite(norm) if skip_infinite else torch.ones_like(norm)
        kept = torch.where(counted.bool(), norm, 0.0)
        self._values += torch.stack([kept.double(), counted.double()])
        return norm

    def mean_norm(self) -> float:
        """Return the mean norm since `clear`; NaN of nothing, or where one was not finite."""
        total, steps = self._values.tolist()
        return total / steps if steps else math.nan

    def is_finite(self) -> bool:
        """Tell whether all norms since `clear` were finite."""
        return bool(torch.isfinite(self._values[0]))

    def parameters_are_finite(self) -> bool:
        """Tell whether every parameter is finite: look before a state is saved."""
        with torch.no_grad():
            norms = torch._foreach_norm(self._parameters)
            return bool(torch.isfinite(torch.stack([norm.double() for norm in norms])).all())

    def clear(self) -> None:
        """Start anew, as at the beginning of an epoch."""
        self._values.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"values": self._values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._values.copy_(state["values"])
