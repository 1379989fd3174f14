"""Learning-rate schedules, each moved at the moment that its formula is written for.

Cosine, one-cycle and warm-up count batches, plateau counts validations. One object takes both
calls, so that a training loop cannot step a schedule of batches once per epoch: that mistake
leaves a one-cycle rate near its peak for the whole training, and no loss curve shows it.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from trainers.edc.config import Config

WARMUP_START = 0.1
"""Share of the learning rate at which warm-up begins."""

MARKED_BETTER = 1e-4
"""Relative improvement that plateau counts as one."""


class Schedule:
    """The learning rate of an optimiser, from the first batch to the last.

    The first rate is set on construction; call `after_batch` after each optimiser step and
    `after_validation` once per epoch.

    Args:
        optimizer: whose parameter groups are set.
        config: names the schedule and its numbers; ``lr`` is the peak.
        batches_per_epoch: optimiser steps in one epoch.
    """

    def __init__(self, optimizer: Optimizer, config: Config, *, batches_per_epoch: int) -> None:
        self.optimizer = optimizer
        self.config = config
        self.total = max(1, config.epochs * batches_per_epoch)
        self.warmup = round(config.warmup_epochs * batches_per_epoch)
        self.since = 0
        self.batches = 0
        self.plateau = Plateau(
            factor=config.plateau_factor, patience=config.plateau_patience, floor=config.lr_floor
        )
        self._apply()

    @property
    def lr(self) -> float:
        """Return the rate that the optimiser will use next, read from the optimiser."""
        return float(self.optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Move on by one optimiser step."""
        self.batches += 1
        self._apply()

    def after_validation(self, value: float) -> None:
        """Take the validation metric of an epoch; lower is better, NaN is no improvement."""
        if self.config.lr_schedule == "plateau" and self.batches > self.warmup:
            self.plateau.update(value)
            self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {
            "batches": self.batches,
            "since": self.since,
            "plateau": self.plateau.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], *, share: float = 1.0) -> None:
        """Go on from `state`; its rates and lengths are those of the config.

        Args:
            state: from `state_dict`.
            share: batches of an epoch now, over those of then.
        """
        self.begin_anew(round(share * int(state["since"])))
        self.batches = round(share * int(state["batches"]))
        self.plateau.load_state_dict(state["plateau"])
        self._apply()

    def begin_anew(self, done: int) -> None:
        """Begin the schedule after `done` optimiser steps, over what is left of the training."""
        self.total = max(1, self.total + self.since - done)
        self.since = done
        self.batches = 0
        self._apply()

    def declared(self) -> dict[str, Any] | None:
        """Return the schedule in the words of a sweep file; None where it began in midst of it."""
        if self.since:
            return None
        config, kind = self.config, self.config.lr_schedule
        values: dict[str, Any] = {"lr": config.lr}
        if kind == "onecycle":
            values = {
                "max_lr": config.lr,
                "pct_start": config.onecycle_pct_start,
                "div_factor": config.onecycle_div,
                "final_div_factor": config.onecycle_final_div,
            }
        elif kind == "plateau":
            values |= {"factor": config.plateau_factor, "final": config.lr * config.lr_floor}
        elif kind == "cosine":
            values["final"] = config.lr * config.lr_floor
        if kind in ("onecycle", "cosine"):
            values["total"] = self.total
        if kind != "onecycle" and self.warmup:
            values |= {"warmup": self.warmup, "warmup_start": WARMUP_START}
        per_epoch = self.total / config.epochs
        return {kind: values, "per": "batch", "batches_per_epoch": per_epoch, "steps": "epoch"}

    def share(self, batch: int) -> float:
        """Return the share of the peak rate that is due at `batch`, from 0."""
        kind = self.config.lr_schedule
        if kind == "onecycle":
            return one_cycle(
                batch,
                self.total,
                rise=self.config.onecycle_pct_start,
                div=self.config.onecycle_div,
                final_div=self.config.onecycle_final_div,
            )
        if batch < self.warmup:
            return WARMUP_START + (1.0 - WARMUP_START) * batch / self.warmup
        if kind == "cosine":
            done = (batch - self.warmup) / max(1, self.total - self.warmup)
            floor = self.config.lr_floor
            return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        return self.plateau.share if kind == "plateau" else 1.0

    def _apply(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.share(self.batches)


class Plateau:
    """A share that is multiplied by `factor` after `patience` validations without a better one.

    Args:
        factor: what the share is multiplied by.
        patience: validations that may pass without improvement.
        floor: least share.
    """

    def __init__(self, *, factor: float, patience: int, floor: float) -> None:
        self.factor = factor
        self.patience = patience
        self.floor = floor
        self.share = 1.0
        self.best = math.inf
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {"share": self.share, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.share = float(state["share"])
        self.best = float(state["best"])
        self.waited = int(state["waited"])

    def update(self, value: float) -> None:
        """Take one validation."""
        if value < self.best * (1.0 - MARKED_BETTER):
            self.best = value
            self.waited = 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.share = max(self.floor, self.share * self.factor)
            self.waited = 0


def one_cycle(batch: int, total: int, *, rise: float, div: float, final_div: float) -> float:
    """Return the share of the peak rate at `batch` of a one-cycle schedule, by PyTorch's formula.

    Cosine from 1/div up to 1, then cosine down to 1/(div·final_div); it agrees with
    `torch.optim.lr_scheduler.OneCycleLR` but leaves the optimiser's momentum alone.

    Args:
        batch: optimiser steps done, from 0.
        total: optimiser steps of the whole training.
        rise: share of the steps in which the rate rises.
        div: peak over start.
        final_div: start over end.
    """
    start, end = 1.0 / div, 1.0 / (div * final_div)
    # PyTorch places the peak and the end one step early, as steps are counted from 0.
    peak, last = rise * total - 1.0, total - 1.0
    if batch <= peak:
        return _cosine(start, 1.0, batch / peak if peak > 0 else 1.0)
    done = (batch - peak) / (last - peak) if last > peak else 1.0
    return _cosine(1.0, end, min(1.0, done))


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * done))
