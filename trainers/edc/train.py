"""Training of the EDC networks: from a config to validation and test predictions.

The best state is the one with the lowest ``val_mae``, the mean absolute error of linear validation
curves, which does not depend on the loss. It makes the predictions at the end.

A run that is stopped and resumed ends with the same result as an uninterrupted one. The checkpoint
contains the last state, the position in the epoch, the sums so far, the schedule, the loss scaling,
the random generators, and the best state. On a CPU the same seed and thread count give the same
numbers; on a GPU the order of additions is not fixed.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import Run
from trainers.cache import Interrupted
from trainers.common import precision
from trainers.common.checkpoints import Checkpoints, random_state, restore_random_state
from trainers.common.gradients import GradientWatch
from trainers.common.progress import Best, Sums
from trainers.common.schedule import Schedule, SchedulePlan
from trainers.edc import config as settings, metrics
from trainers.edc.config import Config
from trainers.edc.curves import CurveScale, CurveSet, predict
from trainers.edc.data import EdcData, Scaler, load
from trainers.edc.losses import make_loss
from trainers.edc.model import count_parameters, make_model

CHECK_EVERY = 32
"""Batches between checks of the loss; each check makes a GPU wait."""

TRAIN_SAMPLE = 256
"""Training curves whose predictions are kept, to detect overfitting."""


def train(config: Config, run: Run) -> None:
    """Train one network and save its predictions, or a checkpoint if stopped.

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
            seed=config.data_seed,
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

    def __init__(self, config: Config, run: Run, data: EdcData) -> None:
        self.config = config
        self.run = run
        self.rate_hz = float(data.rate_hz)
        self._rooms = {split: data.rooms.get(split) for split in ("val", "test")}
        self.device = torch.device(run.device)
        torch.manual_seed(config.seed)

        points = data.train_curves.shape[1]
        self.scale, (self.train_set, self.val_set, self.test_set) = _scaled(
            config, data, self.device
        )
        self.model = make_model(config, points).to(self.device)
        self.loss = make_loss(config, rate_hz=self.rate_hz, to_linear=self.scale.to_linear)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(
            self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.lr = self.peak_lr = float(self.optimizer.param_groups[0]["lr"])
        self.batches = -(-len(self.train_set) // config.batch_size)
        self.schedule = Schedule(self.optimizer, schedule_plan(config, self.batches))
        self.precision = precision.choose(config.precision, self.model, run, self.device)
        self.grad_scaler = self.precision.grad_scaler()

        self.epoch = 0
        self.batch = 0
        self.finished = False
        self.sums = Sums(self.device)
        self.gradients = GradientWatch(self.model.parameters(), self.device)
        self.best = Best()
        self.checkpoints = Checkpoints(run)
        self._epoch_began = time.monotonic()

    def facts(self) -> dict[str, Any]:
        """Return the facts for `Run.describe`, read back from the live objects."""
        groups = self.optimizer.param_groups[0]
        return {
            "total_steps": self.config.epochs,
            "parameters": count_parameters(self.model),
            "lr_schedule": self.schedule.declared(),
            "effective": {
                "loss": self.loss.name,
                **self.loss.weights,
                "optimizer": type(self.optimizer).__name__.lower(),
                "lr": self.peak_lr,
                "first_lr": self.schedule.lr,
                "weight_decay": float(groups["weight_decay"]),
                "gradient_clip_val": self.config.gradient_clip_val,
                "dropout": self.model.dropout.p,
                **self.precision.facts(),
                "batch_size": min(self.config.batch_size, len(self.train_set)),
                "batches_per_epoch": self.batches,
                "train_curves": len(self.train_set),
                "val_curves": len(self.val_set),
                "test_curves": len(self.test_set),
                "threads": torch.get_num_threads(),
            },
            "data": {"kind": settings.DATA_KIND, "rate_hz": self.rate_hz},
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
        """Save the best state's predictions in linear units; of training, a fixed sample."""
        if self.best.model is not None:
            self.model.load_state_dict(self.best.model)
        self.run.describe(best_epoch=self.best.step)
        learned = self.train_set.sample(TRAIN_SAMPLE)
        for split, curves in (("train", learned), ("val", self.val_set), ("test", self.test_set)):
            predicted, _ = self._predict(curves)
            self.run.save_predictions(
                predicted, curves.targets, split, groups=self._rooms.get(split)
            )

    def _train_epoch(self) -> bool:
        """Train on the rest of an epoch; return False if the run was stopped within it."""
        self.model.train()
        self._epoch_began = time.monotonic()
        # The order depends only on seed and epoch, so a resumed epoch continues where it stopped.
        order = np.random.default_rng((self.config.seed, self.epoch)).permutation(
            len(self.train_set)
        )
        size = self.config.batch_size
        while self.batch < self.batches:
            if self.run.should_stop:
                return False
            rows = torch.from_numpy(order[self.batch * size : (self.batch + 1) * size])
            self._step(rows)
            self.batch += 1
            if self.batch % CHECK_EVERY == 0 and not self.sums.is_finite():
                break
        return True

    def _step(self, rows: torch.Tensor) -> None:
        features, linear = self.train_set.batch(rows)
        with self.precision.autocast():
            scaled = self.model(features)
        # Squares and logarithms need the range of float32 at any precision of the network.
        loss = self.loss(scaled.float(), self.scale.to_scaled(linear), linear)
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
        self.sums.add(loss.detach(), len(rows))
        self.schedule.after_batch()

    def _end_epoch(self) -> None:
        predicted, val_loss = self._predict(self.val_set)
        targets = self.val_set.targets
        found = dict.fromkeys(_COUNTS, 0.0) | metrics.errors(predicted, targets)
        found |= metrics.evaluate(predicted, targets, rate_hz=self.rate_hz)
        reported = {name: found[name.removeprefix("val_")] for name in _VALIDATED}
        val_mae = reported["val_mae"]
        self.schedule.after_validation(val_mae)
        self.epoch += 1
        self.best.update(val_mae, self.epoch, self.model)
        self.finished = self._is_over()
        train_loss, grad_norm = self.sums.mean(), self.gradients.mean_norm()
        self._begin_epoch()
        self.run.describe(epoch_s=round(time.monotonic() - self._epoch_began, 3))
        self.run.report(
            self.epoch,
            train_loss=train_loss,
            val_loss=val_loss,
            **reported,
            lr=self.lr,
            grad_norm=grad_norm,
        )

    def _begin_epoch(self) -> None:
        self.sums = Sums(self.device)
        self.gradients.clear()
        self.batch = 0

    def _is_over(self) -> bool:
        patience = self.config.patience
        waited = self.epoch - self.best.step
        return self.epoch >= self.config.epochs or (patience is not None and waited >= patience)

    def _predict(self, curves: CurveSet) -> tuple[NDArray[np.float32], float]:
        return predict(
            self.model,
            self.loss,
            self.scale,
            curves,
            batch_size=self.config.eval_batch_size,
            autocast=self.precision.autocast,
        )

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
            **random_state(self.device),
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
        restore_random_state(state, self.device)


_COUNTS = ("edt_undefined", "t20_undefined", "c50_undefined")
_VALIDATED = tuple(
    name for name in settings.METRICS if name.startswith("val_") and name != "val_loss"
)


def _scaled(
    config: Config, data: EdcData, device: torch.device
) -> tuple[CurveScale, tuple[CurveSet, CurveSet, CurveSet]]:
    """Return the scale of the curves and the splits; both scalers are fitted on training data."""
    of_features = Scaler.fit(data.train_features, config.scaler_type)
    of_curves = Scaler.fit(data.train_curves, config.scaler_type)
    scale = CurveScale(of_curves.inverse, data.train_curves.shape[1]).to(device)
    pairs = (
        (data.train_features, data.train_curves),
        (data.val_features, data.val_curves),
        (data.test_features, data.test_curves),
    )
    train_set, val_set, test_set = (
        CurveSet(of_features.transform(features), curves, device) for features, curves in pairs
    )
    return scale, (train_set, val_set, test_set)


def schedule_plan(config: Config, batches_per_epoch: int) -> SchedulePlan:
    """Return the learning-rate schedule of `config`."""
    return SchedulePlan(
        kind=config.lr_schedule,
        lr=config.lr,
        total=config.epochs * batches_per_epoch,
        batches_per_epoch=batches_per_epoch,
        warmup=round(config.warmup_epochs * batches_per_epoch),
        floor=config.lr_floor,
        pct_start=config.onecycle_pct_start,
        div=config.onecycle_div,
        final_div=config.onecycle_final_div,
        factor=config.plateau_factor,
        patience=config.plateau_patience,
    )
