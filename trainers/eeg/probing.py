"""Training one probe on the features of one fold, batch by batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from trainers.common.gradients import GradientWatch
from trainers.common.progress import Best
from trainers.common.schedule import torch_one_cycle
from trainers.eeg.config import Config
from trainers.eeg.data import Fold
from trainers.eeg.model import CLASSES, make_probe


class Probing:
    """A probe with its optimizer, schedule and best state.

    Args:
        config: all parameters.
        features: [N, D] of all windows.
        labels: [N].
        fold: rows of each part.
        number: number of the fold, from 0; together with the seed it determines order and initial
            weights.
        device: device to compute on.
    """

    def __init__(
        self,
        config: Config,
        features: NDArray[np.float32],
        labels: NDArray[np.int64],
        fold: Fold,
        number: int,
        device: torch.device,
    ) -> None:
        self.config = config
        self.number = number
        self.device = device
        self.features, self.labels = (
            {
                part: torch.from_numpy(array[getattr(fold, part)]).to(device)
                for part in ("train", "val", "test")
            }
            for array in (features, labels)
        )
        self.batches = -(-len(fold.train) // config.batch_size)
        self.model = make_probe(config, features.shape[1]).to(device)
        self.weights = class_weights(self.labels["train"], even=config.class_weights)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.max_lr,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.since = 0
        self.schedule = self._cycle()
        self.batch = 0
        self._order: Tensor | None = None
        self.lr = math.nan
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # of losses, of weights
        self.gradients = GradientWatch(self.model.parameters(), device)
        self.best = Best("maximize")

    def _cycle(self) -> OneCycleLR:
        """Return the schedule over the batches after `since`."""
        config = self.config
        return torch_one_cycle(
            self.optimizer,
            config.max_lr,
            max(1, config.epochs * self.batches - self.since),
            pct_start=config.pct_start,
            div_factor=config.div_factor,
            final_div_factor=config.final_div_factor,
        )

    def step(self, epoch: int) -> None:
        """Learn from the next batch of `epoch`, counted from 0."""
        size = self.config.batch_size
        # The order depends only on seed, fold and epoch, so a resumed epoch continues correctly.
        if self.batch == 0 or self._order is None:
            seeds = (self.config.seed, self.number, epoch)
            count = len(self.labels["train"])
            self._order = torch.from_numpy(np.random.default_rng(seeds).permutation(count))
        rows = self._order[self.batch * size : (self.batch + 1) * size].to(self.device)
        self.model.train()
        labels = self.labels["train"][rows]
        loss = nn.functional.cross_entropy(
            self.model(self.features["train"][rows]), labels, weight=self.weights
        )
        self.lr = float(self.optimizer.param_groups[0]["lr"])
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = self.gradients.after_backward()
        if self.config.gradient_clip_val is not None:
            nn.utils.clip_grads_with_norm_(
                self.model.parameters(), self.config.gradient_clip_val, norm
            )
        self.optimizer.step()
        if self.config.step_per == "batch":
            self.schedule.step()
        weight = self.weights[labels].sum()
        self.sums += torch.stack([loss.detach() * weight, weight]).double()
        self.batch += 1

    def end_epoch(self) -> tuple[float, float, float]:
        """End an epoch; return the sums of losses and of weights, and the mean gradient norm."""
        if self.config.step_per == "epoch":
            # Deliberate mistake for schedule audits: the cycle was planned in batches.
            self.schedule.step()
        loss, weight = self.sums.tolist()
        norm = self.gradients.mean_norm()
        self.sums.zero_()
        self.gradients.clear()
        self.batch = 0
        return loss, weight, norm

    @torch.no_grad()
    def predict(self, part: str) -> tuple[NDArray[np.float32], float, float]:
        """Return probabilities of class 1 in `part`, and the sums of losses and weights."""
        self.model.eval()
        logits = self.model(self.features[part])
        labels = self.labels[part]
        losses = nn.functional.cross_entropy(logits, labels, weight=self.weights, reduction="sum")
        probabilities = logits.softmax(dim=1)[:, 1].cpu().numpy()
        return probabilities, float(losses), float(self.weights[labels].sum())

    def use_best(self) -> None:
        """Restore the best weights, if there are any."""
        if self.best.model is not None:
            self.model.load_state_dict(self.best.model)

    def state_dict(self) -> dict[str, Any]:
        """Return the learned state for `load_state_dict`, without values that the config sets."""
        return {
            "batch": self.batch,
            "batches": self.batches,
            "lr": self.lr,
            "sums": self.sums,
            "gradients": self.gradients.state_dict(),
            "model": self.model.state_dict(),
            "moments": self.optimizer.state_dict()["state"],
            "best": self.best.state_dict(),
        }

    def load_state_dict(
        self, state: dict[str, Any], epoch: int, place: tuple[int, int] | None
    ) -> None:
        """Continue from `state`.

        Args:
            state: from `state_dict`.
            epoch: number of epochs done.
            place: from `schedule_place`; None starts the schedule over the remaining batches.
        """
        since, schedule_steps = place or (0, 0)
        # Another trial's epoch may have had other batches, so its current epoch starts again.
        share = self.batches / int(state["batches"])
        if share == 1.0:
            self.batch = int(state["batch"])
            self.sums.copy_(state["sums"])
            self.gradients.load_state_dict(state["gradients"])
        elif self.config.step_per == "batch":
            schedule_steps = round(share * (schedule_steps - int(state["batch"])))
            since = round(share * since)
        self._order = None
        self.lr = float(state["lr"])
        self.model.load_state_dict(state["model"])
        # Learning rate and weight decay come from the config, which another trial may have changed.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["moments"], "param_groups": groups})
        self.best.load_state_dict(state["best"])
        self.since = since if place else epoch * self.batches + self.batch
        self.schedule = self._cycle()
        steps = min(schedule_steps, self.schedule.total_steps)
        if steps > 0:
            # Go one step less far and then step, which sets learning rate and momentum.
            self.schedule.load_state_dict({"last_epoch": steps - 1, "_step_count": steps + 1})
            self.schedule.step()

    @property
    def schedule_place(self) -> tuple[int, int]:
        """The batches before the schedule began, and how often it has moved since."""
        return self.since, int(self.schedule.last_epoch)


def class_weights(labels: Tensor, *, even: bool) -> Tensor:
    """Return the weight of each class: N / (2·N of the class) if `even`, else 1.

    Args:
        labels: [N], both classes present.
        even: whether both classes have the same total weight.
    """
    if not even:
        return torch.ones(CLASSES, device=labels.device)
    counts = torch.bincount(labels, minlength=CLASSES).float()
    return len(labels) / (CLASSES * counts)
