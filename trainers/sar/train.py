"""Training of the SAR autoencoders: from a config to validation and test reconstructions.

The best state is the one with the highest ``val_psnr``, which does not depend on the weights of
the loss. It makes the reconstructions at the end.

A run that is stopped and resumed ends with the same result as an uninterrupted one. The checkpoint
contains the last state with its position in the epoch, and the best state; order and orientation
of the patches depend only on seed, epoch and batch. On a CPU the same seed and thread count give
the same numbers; on a GPU the order of additions is not fixed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.base import Run
from trainers.cache import Interrupted
from trainers.common import precision
from trainers.common.checkpoints import Checkpoints
from trainers.common.gradients import GradientWatch
from trainers.common.progress import Best, Sums, peak_memory_bytes
from trainers.common.schedule import Schedule, SchedulePlan
from trainers.sar import config as settings
from trainers.sar.batches import batches, turned
from trainers.sar.config import Config
from trainers.sar.data import Patches, SarData, load
from trainers.sar.losses import ImageLoss
from trainers.sar.model import count_parameters, make_model

CHECK_EVERY = 32
"""Batches between checks of the loss; each check makes a GPU wait."""

ONECYCLE_FINAL_DIV = 1000.0
BETTER_BY_DB = 0.01
"""Minimum gain in PSNR that the plateau schedule counts as an improvement."""

TRAIN_SAMPLE = 64
"""Training patches whose predictions are kept, to detect overfitting."""


def train(config: Config, run: Run) -> None:
    """Train one autoencoder and save its reconstructions, or a checkpoint if stopped.

    Args:
        config: all parameters.
        run: receives reports and results.

    Raises:
        ValueError: the data cannot be read or does not fit the config.
    """
    torch.set_num_threads(run.threads)
    run.describe(total_steps=config.epochs)
    try:
        data = load(
            config,
            data_fraction=min(config.data_fraction, run.data_fraction),
            progress=run.progress,
            should_stop=lambda: run.should_stop,
        )
    except Interrupted:
        return
    training = Training(config, run, data)
    state = run.restore()
    if state is not None:
        training.load_state_dict(state)
    run.describe(**training.facts())
    if training.fit():
        training.judge()


class Training:
    """The state of a training run.

    Args:
        config: all parameters.
        run: receives reports and results.
        data: the three splits.
    """

    def __init__(self, config: Config, run: Run, data: SarData) -> None:
        self.config = config
        self.run = run
        self.data = data
        self.device = torch.device(run.device)
        torch.manual_seed(config.seed)
        self.model = make_model(config).to(self.device)
        self.loss = ImageLoss(config.mse_weight, config.ssim_weight).to(self.device)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(
            self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.lr = self.peak_lr = float(self.optimizer.param_groups[0]["lr"])
        self.batches = -(-len(data.train) // config.batch_size)
        self.schedule = Schedule(self.optimizer, schedule_plan(config, self.batches))
        self.precision = precision.choose(config.precision, self.model, run, self.device)
        self.grad_scaler = self.precision.grad_scaler()

        self.epoch = 0
        self.batch = 0
        self.finished = False
        self.sums = Sums(self.device)
        self.gradients = GradientWatch(self.model.parameters(), self.device)
        self.best = Best("maximize")
        self.checkpoints = Checkpoints(run)
        self._epoch_began = time.monotonic()

    def facts(self) -> dict[str, Any]:
        """Return the facts for `Run.describe`, read back from the live objects."""
        return {
            "total_steps": self.config.epochs,
            "parameters": count_parameters(self.model),
            "lr_schedule": self.schedule.declared(),
            "effective": {
                "mse_weight": self.loss.mse_weight,
                "ssim_weight": self.loss.ssim_weight,
                "optimizer": type(self.optimizer).__name__.lower(),
                "lr": self.peak_lr,
                "first_lr": self.schedule.lr,
                "weight_decay": float(self.optimizer.param_groups[0]["weight_decay"]),
                "gradient_clip_val": self.config.gradient_clip_val,
                **self.precision.facts(),
                "batch_size": min(self.config.batch_size, len(self.data.train)),
                "batches_per_epoch": self.batches,
                "train_patches": len(self.data.train),
                "val_patches": len(self.data.val),
                "test_patches": len(self.data.test),
                "split_by": self.data.split_by,
                "places": self.data.places,
                "db_min": self.data.train.limits.db_min,
                "db_max": self.data.train.limits.db_max,
                "threads": torch.get_num_threads(),
            },
            "data": {"kind": settings.DATA_KIND},
        }

    def fit(self) -> bool:
        """Train until the last epoch or until patience ends; return False if stopped before."""
        while not self.finished:
            if not self._train_epoch():
                self._save()
                return False
            self._end_epoch()
            if self.finished or self.checkpoints.is_due():
                self._save()
        return True

    def judge(self) -> None:
        """Save the best state's reconstructions in [0, 1]; of training, a fixed sample."""
        if self.best.model is not None:
            self.model.load_state_dict(self.best.model)
        self.run.describe(best_epoch=self.best.step)
        learned = self.data.train.sample(TRAIN_SAMPLE)
        for split, patches in (
            ("train", learned),
            ("val", self.data.val),
            ("test", self.data.test),
        ):
            size = patches.size
            found = np.empty((2, len(patches), size, size), np.float32)
            done = 0
            for predicted, images in self._reconstructed(patches):
                place = slice(done, done + len(images))
                found[0, place] = predicted[:, 0].cpu().numpy()
                found[1, place] = images[:, 0].cpu().numpy()
                done += len(images)
            self.run.save_predictions(found[0], found[1], split, groups=patches.groups)

    def _train_epoch(self) -> bool:
        """Train on the rest of an epoch; return False if the run was stopped within it."""
        self.model.train()
        self._epoch_began = time.monotonic()
        # The order depends only on seed and epoch, so a resumed epoch continues where it stopped.
        order = np.random.default_rng((self.config.seed, self.epoch)).permutation(
            len(self.data.train)
        )
        rows = _parts(order, self.config.batch_size)[self.batch :]
        with closing(batches(self.data.train, rows, self.device)) as found:
            for images in found:
                if self.run.should_stop:
                    return False
                self._step(images)
                self.batch += 1
                if self.batch % CHECK_EVERY == 0 and not self.sums.is_finite():
                    break
        return True

    def _step(self, images: Tensor) -> None:
        if self.config.augment:
            seeds = np.random.SeedSequence([self.config.seed, self.epoch, self.batch])
            random = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
            images = turned(images, random)
        predicted = self._forward(images)
        loss, _, _ = self.loss(predicted, images)
        self.lr = self.schedule.lr
        self.optimizer.zero_grad(set_to_none=True)
        self.grad_scaler.scale(loss).backward()
        self.grad_scaler.unscale_(self.optimizer)
        # A step that loss scaling skips has an infinite norm, which is not a training problem.
        norm = self.gradients.after_backward(skip_infinite=self.grad_scaler.is_enabled())
        if self.config.gradient_clip_val is not None:
            torch.nn.utils.clip_grads_with_norm_(
                self.model.parameters(), self.config.gradient_clip_val, norm
            )
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
        self.sums.add(loss.detach(), len(images))
        self.schedule.after_batch()

    def _end_epoch(self) -> None:
        val_loss, val_psnr, val_ssim = self._validate()
        self.schedule.after_validation(val_psnr)
        self.epoch += 1
        self.best.update(val_psnr, self.epoch, self.model)
        self.finished = self._is_over()
        train_loss, grad_norm = self.sums.mean(), self.gradients.mean_norm()
        self.sums = Sums(self.device)
        self.gradients.clear()
        self.batch = 0
        self.run.describe(
            epoch_s=round(time.monotonic() - self._epoch_began, 3),
            peak_memory_bytes=peak_memory_bytes(self.device),
        )
        self.run.report(
            self.epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            val_psnr=val_psnr,
            val_ssim=val_ssim,
            lr=self.lr,
            grad_norm=grad_norm,
        )

    def _is_over(self) -> bool:
        patience = self.config.patience
        waited = self.epoch - self.best.step
        return self.epoch >= self.config.epochs or (patience is not None and waited >= patience)

    def _validate(self) -> tuple[float, float, float]:
        """Return loss, PSNR (dB) and SSIM over all validation patches."""
        total = torch.zeros(3, dtype=torch.float64, device=self.device)
        for predicted, images in self._reconstructed(self.data.val):
            total += torch.stack(self.loss(predicted, images)).double() * len(images)
        loss, error, similar = (total / len(self.data.val)).tolist()
        return loss, psnr_db(error), similar

    def _reconstructed(self, patches: Patches) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield reconstructions and patches [n, 1, size, size], in evaluation mode."""
        self.model.eval()
        rows = _parts(np.arange(len(patches)), self.config.eval_batch_size)
        with torch.inference_mode(), closing(batches(patches, rows, self.device)) as found:
            for images in found:
                yield self._forward(images), images

    def _forward(self, images: Tensor) -> Tensor:
        with self.precision.autocast():
            predicted: Tensor = self.model(images)
        return predicted

    def _save(self) -> None:
        if self.gradients.parameters_are_finite():  # a diverged state cannot be resumed
            self.checkpoints.save(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the last and the best state for `load_state_dict`."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "batches": self.batches,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.state_dict(),
            "grad_scaler": self.grad_scaler.state_dict(),
            "sums": self.sums.state_dict(),
            "gradients": self.gradients.state_dict(),
            "best": self.best.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`; values that the config sets come from the current config."""
        self.epoch = int(state["epoch"])
        # An epoch that used another batch size starts again.
        share = self.batches / int(state["batches"])
        self.batch = int(state["batch"]) if share == 1.0 else 0
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["weight_decay"] = self.config.weight_decay
        if "scheduler" in state:
            self.schedule.load_state_dict(state["scheduler"], scale=share)
        else:
            self.schedule.restart(self.epoch * self.batches + self.batch)
        if state["grad_scaler"]:
            self.grad_scaler.load_state_dict(state["grad_scaler"])
        if self.batch:
            self.sums.load_state_dict(state["sums"])
            self.gradients.load_state_dict(state["gradients"])
        self.best.load_state_dict(state["best"])
        self.finished = self._is_over()


def psnr_db(error: float) -> float:
    """Return the PSNR of images in [0, 1] for a mean squared error; NaN for NaN."""
    if error == 0:
        return math.inf
    return -10.0 * math.log10(error) if error > 0 else math.nan


def _parts(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def schedule_plan(config: Config, batches_per_epoch: int) -> SchedulePlan:
    """Return the learning-rate schedule of `config`; plateau monitors the PSNR in dB."""
    return SchedulePlan(
        kind=config.lr_schedule,
        lr=config.lr,
        total=config.epochs * batches_per_epoch,
        batches_per_epoch=batches_per_epoch,
        warmup=round(config.warmup_epochs * batches_per_epoch),
        floor=config.lr_floor,
        pct_start=config.onecycle_pct_start,
        final_div=ONECYCLE_FINAL_DIV,
        factor=config.plateau_factor,
        patience=config.plateau_patience,
        goal="maximize",
        better_by=BETTER_BY_DB,
    )
