"""One cycle of the learning rate: up to a peak, then far down."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


def one_cycle(
    optimizer: Optimizer,
    max_lr: float,
    total_steps: int,
    *,
    pct_start: float,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> OneCycleLR:
    """Return PyTorch's schedule, also where its rise has no length.

    The rise ends at step ``pct_start · total_steps - 1``, and PyTorch divides by it: a cycle of
    ten steps with ``pct_start`` 0.1 fails. There the rise is made shorter by a trifle, which means
    that the peak stands at the first step.

    Args:
        optimizer: whose rate and momentum are moved.
        max_lr: the peak.
        total_steps: optimiser steps of the whole training, at least 1.
        pct_start: share of the steps in which the rate rises.
        div_factor: peak over first rate.
        final_div_factor: first over last rate.
    """
    if float(pct_start * total_steps) - 1 == 0:
        pct_start *= 1 - 1e-6
    return OneCycleLR(
        optimizer,
        max_lr=max_lr,
        total_steps=total_steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
    )
