"""Learning-rate schedules, each moved at the moment that its formula is written for.

Linear, cosine and warm-up count batches, plateau counts evaluations.
"""

from __future__ import annotations

import math
from typing import Any, Final

from torch.optim import Optimizer

from trainers.speech.config import Config

WARMUP_START: Final = 0.1
"""Share of the learning rate at which warm-up begins."""

MARKED_BETTER: Final = 1e-4
"""Relative improvement that plateau counts as one."""


class Schedule:
    """The learning rate of an optimiser, from the first batch to the last.

    The first rate is set on construction; call `after_batch` after each optimiser step and
    `after_evaluation` after each evaluation.

    Args:
        optimizer: whose parameter groups are set.
        config: names the schedule and its numbers; ``lr`` is the peak.
        total: optimiser steps of the whole training.

    Attributes:
        batches: optimiser steps since it began.
        since: optimiser steps of the training that were done before it began.
    """

    def __init__(self, optimizer: Optimizer, config: Config, *, total: int) -> None:
        self.optimizer = optimizer
        self.config = config
        self.total = total
        self.batches = self.since = 0
        # Plateau's memory: its share of the rate, the best value, and evaluations since then.
        self.plateau = {"share": 1.0, "best": math.inf, "waited": 0.0}
        self._apply()

    @property
    def lr(self) -> float:
        """Return the rate that the optimiser will use next, read from the optimiser."""
        return float(self.optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Move on by one optimiser step."""
        self.batches += 1
        self._apply()

    def after_evaluation(self, value: float) -> None:
        """Take the metric of an evaluation; lower is better, NaN is no improvement."""
        if self.config.lr_schedule != "plateau" or self.batches < self.config.warmup_batches:
            return
        now = self.plateau
        if value < now["best"] * (1.0 - MARKED_BETTER):
            now.update(best=value, waited=0.0)
            return
        now["waited"] += 1
        if now["waited"] > self.config.plateau_patience:
            share = now["share"] * self.config.plateau_factor
            now.update(share=max(self.config.lr_floor, share), waited=0.0)
            self._apply()

    def share(self, batch: int) -> float:
        """Return the share of the peak rate that is due at `batch`, from 0."""
        warmup = self.config.warmup_batches
        if batch < warmup:
            return WARMUP_START + (1.0 - WARMUP_START) * batch / warmup
        done = min(1.0, (batch - warmup) / max(1, self.total - warmup))
        floor = self.config.lr_floor
        match self.config.lr_schedule:
            case "linear":
                return 1.0 - (1.0 - floor) * done
            case "cosine":
                return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done))
            case "plateau":
                return self.plateau["share"]
            case _:
                return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on from here."""
        return {"batches": self.batches, "since": self.since, "plateau": dict(self.plateau)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; its rates and its length are those of the config."""
        self.begin_anew(int(state["since"]))
        self.batches = int(state["batches"])
        self.plateau.update(state["plateau"])
        self._apply()

    def begin_anew(self, done: int) -> None:
        """Begin the schedule after `done` optimiser steps, over what is left of the training."""
        self.total = max(1, self.total + self.since - done)
        self.since = done
        self.batches = 0
        self._apply()

    def declared(self, *, batches_per_epoch: int) -> dict[str, Any] | None:
        """Return the schedule in the words of a sweep file; None where it began in midst of it."""
        if self.since:
            return None
        config, kind = self.config, self.config.lr_schedule
        values: dict[str, Any] = {"lr": config.lr}
        if kind != "constant":
            values["final"] = config.lr * config.lr_floor
        if kind == "plateau":
            values["factor"] = config.plateau_factor
        if kind in ("linear", "cosine"):
            values["total"] = self.total
        if config.warmup_batches:
            values |= {"warmup": config.warmup_batches, "warmup_start": WARMUP_START}
        words = {"per": "batch", "batches_per_epoch": batches_per_epoch, "steps": "batch"}
        return {kind: values, **words}

    def _apply(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.share(self.batches)
