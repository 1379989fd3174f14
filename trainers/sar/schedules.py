"""Learning-rate schedules, each moved at the moment that its formula is written for.

Warm-up, cosine and one-cycle count batches; plateau counts validations.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from trainers.sar.config import Config

WARMUP_START = 0.1
"""Share of the learning rate at which warm-up begins."""

ONECYCLE_DIV = 25.0
ONECYCLE_FINAL_DIV = 1000.0
MARKED_BETTER_DB = 0.01
"""Gain in PSNR that plateau counts as one."""


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
        self.batches_per_epoch = batches_per_epoch
        self.warmup = round(config.warmup_epochs * batches_per_epoch)
        self.since = 0
        self.batches = 0
        self.best_psnr = -math.inf
        self.waited = 0
        self.reduced = 1.0
        self._apply()

    @property
    def lr(self) -> float:
        """Return the rate that the optimiser will use next, read from the optimiser."""
        return float(self.optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Move on by one optimiser step."""
        self.batches += 1
        self._apply()

    def after_validation(self, psnr: float) -> None:
        """Take the validation PSNR of an epoch; NaN is no improvement."""
        if self.config.lr_schedule != "plateau" or self.batches <= self.warmup:
            return
        if psnr > self.best_psnr + MARKED_BETTER_DB:
            self.best_psnr = psnr
            self.waited = 0
            return
        self.waited += 1
        if self.waited > self.config.plateau_patience:
            self.reduced = max(self.config.lr_floor, self.reduced * self.config.plateau_factor)
            self.waited = 0
            self._apply()

    def share(self, batch: int) -> float:
        """Return the share of the peak rate that is due at `batch`, from 0."""
        kind = self.config.lr_schedule
        if kind == "onecycle":
            return one_cycle(batch, self.total, rise=self.config.onecycle_pct_start)
        if batch < self.warmup:
            return WARMUP_START + (1.0 - WARMUP_START) * batch / self.warmup
        if kind == "cosine":
            done = (batch - self.warmup) / max(1, self.total - self.warmup)
            return _cosine(1.0, self.config.lr_floor, done)
        return self.reduced if kind == "plateau" else 1.0

    def _apply(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.share(self.batches)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {
            "batches": self.batches,
            "since": self.since,
            "best_psnr": self.best_psnr,
            "waited": self.waited,
            "reduced": self.reduced,
        }

    def load_state_dict(self, state: dict[str, Any], *, share: float = 1.0) -> None:
        """Go on from `state`; its rates and lengths are those of the config.

        Args:
            state: from `state_dict`.
            share: batches of an epoch now, over those of then.
        """
        self.begin_anew(round(share * int(state["since"])))
        self.batches = round(share * int(state["batches"]))
        self.best_psnr = float(state["best_psnr"])
        self.waited = int(state["waited"])
        self.reduced = float(state["reduced"])
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
                "div_factor": ONECYCLE_DIV,
                "final_div_factor": ONECYCLE_FINAL_DIV,
            }
        elif kind == "plateau":
            values |= {"factor": config.plateau_factor, "final": config.lr * config.lr_floor}
        elif kind == "cosine":
            values["final"] = config.lr * config.lr_floor
        if kind in ("onecycle", "cosine"):
            values["total"] = self.total
        # A rise as long as the training has no schedule after it that could be declared.
        if self.warmup >= self.total:
            return None
        if kind != "onecycle" and self.warmup:
            values |= {"warmup": self.warmup, "warmup_start": WARMUP_START}
        return {
            kind: values,
            "per": "batch",
            "batches_per_epoch": self.batches_per_epoch,
            "steps": "epoch",
        }


def one_cycle(batch: int, total: int, *, rise: float) -> float:
    """Return the share of the peak rate at `batch`, as `torch.optim.lr_scheduler.OneCycleLR` does.

    Cosine from 1/25 up to 1 and down to 1/25,000, without its moves of the momentum.

    Args:
        batch: optimiser steps done, from 0.
        total: optimiser steps of the whole training.
        rise: share of the steps in which the rate rises.
    """
    start = 1.0 / ONECYCLE_DIV
    # PyTorch places the peak and the end one step early, as steps are counted from 0.
    peak, last = rise * total - 1.0, total - 1.0
    if batch <= peak:
        return _cosine(start, 1.0, batch / peak if peak > 0 else 1.0)
    return _cosine(1.0, start / ONECYCLE_FINAL_DIV, (batch - peak) / (last - peak))


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
