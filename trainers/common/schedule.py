"""Learning-rate schedules, each advanced at the moment that its formula assumes.

Linear, cosine, one-cycle and warm-up count batches; plateau counts validations. One object receives
both calls, so a training loop cannot step a per-batch schedule once per epoch: that mistake leaves
a one-cycle rate near its peak for the whole training, and no loss curve shows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from trainers.base import Goal

WARMUP_START = 0.1
"""Fraction of the learning rate at which warm-up begins."""


@dataclass(frozen=True)
class SchedulePlan:
    """The numbers of a schedule. Rates other than `lr` are fractions of `lr`, the peak.

    Attributes:
        kind: the shape after warm-up: ``"constant"``, ``"linear"``, ``"cosine"``, ``"onecycle"`` or
            ``"plateau"``.
        lr: the peak.
        total: optimizer steps of the whole training.
        batches_per_epoch: optimizer steps per epoch.
        reported: unit of the reported steps, ``"epoch"`` or ``"batch"``.
        warmup: optimizer steps of linear warm-up; one-cycle has its own rise.
        floor: lowest fraction of the peak.
        pct_start: fraction of the steps in which a one-cycle rate rises.
        div: peak over start of one-cycle.
        final_div: start over end of one-cycle.
        factor: what plateau multiplies the rate by.
        patience: validations without improvement before plateau does.
        goal: whether the validated value is minimized or maximized.
        better_by: least improvement that plateau counts; a fraction of the best value if
            minimized, in units of the value if maximized.
    """

    kind: str
    lr: float
    total: int
    batches_per_epoch: float
    reported: Literal["epoch", "batch"] = "epoch"
    warmup: int = 0
    floor: float = 0.0
    pct_start: float = 0.3
    div: float = 25.0
    final_div: float = 1e4
    factor: float = 0.1
    patience: int = 10
    goal: Goal = "minimize"
    better_by: float = 1e-4


class Schedule:
    """The learning rate of an optimizer, from the first batch to the last.

    The first rate is set on construction. Call `after_batch` after each optimizer step and
    `after_validation` after each validation.

    Args:
        optimizer: its parameter groups are set.
        plan: the numbers of the schedule.
    """

    def __init__(self, optimizer: Optimizer, plan: SchedulePlan) -> None:
        self._optimizer = optimizer
        self._plan = plan
        self._total = max(1, plan.total)
        self._since = 0
        self._batches = 0
        self._share = 1.0
        self._best = math.inf if plan.goal == "minimize" else -math.inf
        self._waited = 0
        self._apply()

    @property
    def lr(self) -> float:
        """The rate that the optimizer uses next, read from the optimizer."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Advance by one optimizer step."""
        self._batches += 1
        self._apply()

    def after_validation(self, value: float) -> None:
        """Process one validated value; NaN is no improvement."""
        plan = self._plan
        if plan.kind != "plateau" or self._batches <= plan.warmup:
            return
        if plan.goal == "minimize":
            is_better = value < self._best * (1.0 - plan.better_by)
        else:
            is_better = value > self._best + plan.better_by
        if is_better:
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited > plan.patience:
            self._share, self._waited = max(plan.floor, self._share * plan.factor), 0
            self._apply()

    def fraction(self, batch: int) -> float:
        """Return the fraction of the peak rate at `batch`, counted from 0."""
        plan, total = self._plan, self._total
        if plan.kind == "onecycle":
            return one_cycle(batch, total, plan)
        if batch < plan.warmup:
            return WARMUP_START + (1.0 - WARMUP_START) * batch / plan.warmup
        done = min(1.0, (batch - plan.warmup) / max(1, total - plan.warmup))
        match plan.kind:
            case "linear":
                return 1.0 - (1.0 - plan.floor) * done
            case "cosine":
                return _cosine(1.0, plan.floor, done)
            case "plateau":
                return self._share
            case _:
                return 1.0

    def restart(self, done: int) -> None:
        """Start the schedule after `done` optimizer steps, over the rest of the training."""
        self._total = max(1, self._total + self._since - done)
        self._since = done
        self._batches = 0
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to continue from here."""
        return {
            "batches": self._batches,
            "since": self._since,
            "share": self._share,
            "best": self._best,
            "waited": self._waited,
        }

    def load_state_dict(self, state: dict[str, Any], *, scale: float = 1.0) -> None:
        """Continue from `state`; rates and lengths come from the plan.

        Args:
            state: from `state_dict`.
            scale: batches per epoch now, divided by those of then.
        """
        self.restart(round(scale * int(state["since"])))
        self._batches = round(scale * int(state["batches"]))
        self._share, self._best = float(state["share"]), float(state["best"])
        self._waited = int(state["waited"])
        self._apply()

    def declared(self) -> dict[str, Any] | None:
        """Return the schedule as the sweep file declares one; None if all of it is warm-up."""
        plan = self._plan
        if plan.kind != "onecycle" and plan.warmup >= self._total:
            return None
        values: dict[str, Any] = {"lr": plan.lr}
        if plan.kind == "onecycle":
            values = {
                "max_lr": plan.lr,
                "pct_start": plan.pct_start,
                "div_factor": plan.div,
                "final_div_factor": plan.final_div,
            }
        elif plan.kind != "constant":
            values["final"] = plan.lr * plan.floor
        if plan.kind == "plateau":
            values["factor"] = plan.factor
        if plan.kind in ("linear", "cosine", "onecycle"):
            values["total"] = self._total
        if plan.kind != "onecycle" and plan.warmup:
            values |= {"warmup": plan.warmup, "warmup_start": WARMUP_START}
        return {
            plan.kind: values,
            "per": "batch",
            "batches_per_epoch": plan.batches_per_epoch,
            "steps": plan.reported,
            **({"start": self._since} if self._since else {}),
        }

    def _apply(self) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.lr * self.fraction(self._batches)


def one_cycle(batch: int, total: int, plan: SchedulePlan) -> float:
    """Return the fraction of the peak rate at `batch` of a one-cycle schedule.

    Cosine from 1/div up to 1, then cosine down to 1/(div·final_div): the formula of
    `torch.optim.lr_scheduler.OneCycleLR`, but the optimizer's momentum is left alone.

    Args:
        batch: optimizer steps done, from 0.
        total: optimizer steps of the whole training.
        plan: gives `pct_start`, `div` and `final_div`.
    """
    start, end = 1.0 / plan.div, 1.0 / (plan.div * plan.final_div)
    # PyTorch places the peak and the end one step early, because steps are counted from 0.
    peak, last = plan.pct_start * total - 1.0, total - 1.0
    if batch <= peak:
        return _cosine(start, 1.0, batch / peak if peak > 0 else 1.0)
    done = (batch - peak) / (last - peak) if last > peak else 1.0
    return _cosine(1.0, end, min(1.0, done))


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * done))


def torch_one_cycle(
    optimizer: Optimizer,
    max_lr: float,
    total_steps: int,
    *,
    pct_start: float,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> OneCycleLR:
    """Return PyTorch's one-cycle schedule (rate and momentum), even if its rise is empty.

    The rise ends at step ``pct_start · total_steps - 1``, and PyTorch divides by that: a cycle of
    ten steps with ``pct_start`` 0.1 fails. The rise is then made minimally shorter, so that the
    peak is at the first step.

    Args:
        optimizer: its rate and momentum are set.
        max_lr: the peak.
        total_steps: optimizer steps of the whole training, at least 1.
        pct_start: fraction of the steps in which the rate rises.
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
