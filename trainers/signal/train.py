"""Training of the sine extractor: from a config to predictions of all three splits.

The network traverses the signal in order. Its state is carried through the whole signal, but
gradients are truncated to a step (`sequence_length` samples, by default one), so longer memory must
be kept in the state. With several slots, the parts of a sequence are traversed in parallel: a part
begins each epoch in the state in which the previous part ended in the previous epoch, so only the
first part begins with an empty state.

The best state is the one with the lowest ``val_mse``; it makes the predictions at the end. A run
that is stopped and resumed ends with the same result as an uninterrupted one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau

from trainers.base import Run
from trainers.common.checkpoints import Checkpoints, random_state, restore_random_state
from trainers.common.progress import Best
from trainers.signal import config as settings, metrics
from trainers.signal.config import Config
from trainers.signal.data import SINES, SPLITS, Mixture, lay_out, make_mixture
from trainers.signal.model import SineExtractor, count_parameters

LOOK_EVERY = 250
"""Training steps between checks of `should_stop` and of the loss."""


def train(config: Config, run: Run) -> None:
    """Train one network and save its predictions, or a checkpoint if stopped.

    Args:
        config: all parameters.
        run: receives reports and results.

    Raises:
        ValueError: there are more slots than training samples.
    """
    torch.set_num_threads(run.threads)
    signals = {
        split: make_mixture(
            split=split,
            seed=config.data_seed,
            rate_hz=config.rate_hz,
            duration_s=config.duration_s,
            phase_noise=config.phase_noise,
            amplitude_noise=config.amplitude_noise,
        )
        for split in SPLITS
    }
    signals["train"] = signals["train"].start(min(config.data_fraction, run.data_fraction))
    training = Training(config, run, signals)
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
        signals: the signal of each of `SPLITS`.
    """

    def __init__(self, config: Config, run: Run, signals: dict[str, Mixture]) -> None:
        self.config = config
        self.run = run
        self.signals = signals
        self.device = torch.device(run.device)
        torch.manual_seed(config.seed)
        self.model = SineExtractor(config.hidden_size, config.layers, config.dropout)
        self.model.to(self.device)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(
            self.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.schedule = ReduceLROnPlateau(
            self.optimizer,
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            min_lr=config.lr * config.lr_floor,
        )

        # The whole signal is small, so it is split into steps once, on the device.
        self.steps: list[list[tuple[Tensor, Tensor]]] = []
        self.first: list[Tensor] = []
        for segment in lay_out(signals["train"], config.batch_size):
            whole = (
                torch.from_numpy(values).to(self.device)
                for values in (segment.inputs, segment.targets)
            )
            cut = (torch.split(values, config.sequence_length) for values in whole)
            self.steps.append(list(zip(*cut, strict=True)))
            self.first.append(torch.from_numpy(segment.first).to(self.device)[None, :, None])
        self.heard = {
            split: torch.from_numpy(signal.inputs()).to(self.device)
            for split, signal in signals.items()
        }

        self.epoch = 0
        self.segment = 0
        self.step = 0
        self.finished = False
        self.state = self.model.fresh_state(config.batch_size)
        self.sums = torch.zeros(3, device=self.device)  # loss, gradient norm, steps
        self.best = Best()
        self.waits_from = 0
        self.checkpoints = Checkpoints(run)

    def facts(self) -> dict[str, Any]:
        """Return the facts for `Run.describe`, read back from the live objects."""
        group = self.optimizer.param_groups[0]
        return {
            "total_steps": self.config.epochs,
            "parameters": count_parameters(self.model),
            "effective": {
                "optimizer": type(self.optimizer).__name__.lower(),
                "lr": float(group["lr"]),
                "weight_decay": float(group["weight_decay"]),
                "gradient_clip_val": self.config.gradient_clip_val,
                "dropout": self.model.lstm.dropout,
                "batches_per_epoch": sum(map(len, self.steps)),
                "train_samples": self.signals["train"].targets.size,
                "val_samples": self.signals["val"].targets.size,
                "test_samples": self.signals["test"].targets.size,
                "threads": torch.get_num_threads(),
            },
            "data": {"kind": settings.DATA_KIND},
            "lr_schedule": self._declared_schedule(),
        }

    def _declared_schedule(self) -> dict[str, Any]:
        rate = self.config.lr
        if self.config.lr_schedule == "constant":
            return {"constant": {"lr": rate}, "per": "epoch"}
        final = rate * self.config.lr_floor
        factor = self.config.plateau_factor
        return {"plateau": {"lr": rate, "factor": factor, "final": final}, "per": "epoch"}

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
        """Save the best state's predictions of all splits; training too, to detect overfitting."""
        if self.best.model is not None:
            self.model.load_state_dict(self.best.model)
        self.run.describe(best_epoch=self.best.step)
        for split in SPLITS:
            targets = self.signals[split].targets
            self.run.save_predictions(self._predict(split), targets, split=split)

    def _train_epoch(self) -> bool:
        """Train on the rest of an epoch; return False if the run was stopped within it."""
        self.model.train()
        while self.segment < len(self.steps):
            steps = self.steps[self.segment]
            while self.step < len(steps):
                if self.step % LOOK_EVERY == 0:
                    if not torch.isfinite(self.sums[0]):
                        return True  # report at once; a diverged state is not saved
                    if self.run.should_stop:
                        return False
                if self.step == 0:
                    self._begin_segment()
                self._step(*steps[self.step])
                self.step += 1
            self.segment += 1
            self.step = 0
        return True

    def _begin_segment(self) -> None:
        # Slots of one sequence are adjacent: each continues where its left neighbor ended.
        first = self.first[self.segment]
        hidden, cell = (item.roll(1, dims=1).masked_fill(first, 0.0) for item in self.state)
        self.state = hidden, cell

    def _step(self, inputs: Tensor, targets: Tensor) -> None:
        predicted, (hidden, cell) = self.model(inputs, self.state)
        self.state = hidden.detach(), cell.detach()
        loss = functional.mse_loss(predicted, targets)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        gradients = [item.grad for item in self.model.parameters() if item.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.gradient_clip_val is not None:
            torch.nn.utils.clip_grads_with_norm_(
                self.model.parameters(), self.config.gradient_clip_val, norm
            )
        self.optimizer.step()
        self.sums += torch.stack([loss.detach(), norm, torch.ones_like(norm)])

    def _end_epoch(self) -> None:
        found = self._errors("val")
        train_mse = self._errors("train")["mse"]
        rate = float(self.optimizer.param_groups[0]["lr"])
        if self.config.lr_schedule == "plateau":
            self.schedule.step(found["mse"])
        self.epoch += 1
        self.segment = self.step = 0
        self.best.update(found["mse"], self.epoch, self.model)
        self.finished = self._is_over()
        loss, norm, steps = self.sums.tolist()
        self.sums.zero_()
        self.run.report(
            self.epoch,
            train_loss=loss / steps if steps else math.nan,
            train_mse=train_mse,
            **{f"val_{name}": value for name, value in found.items()},
            lr=rate,
            grad_norm=norm / steps if steps else math.nan,
        )

    def _is_over(self) -> bool:
        patience = self.config.patience
        waited = self.epoch - max(self.best.step, self.waits_from)
        return self.epoch >= self.config.epochs or (patience is not None and waited >= patience)

    def _errors(self, split: str) -> dict[str, float]:
        predicted, targets = self._predict(split), self.signals[split].targets
        found = metrics.evaluate(predicted, targets)
        spread = float(targets.var(dtype=np.float64))
        found["rmse"] = math.sqrt(found["mse"])
        found["r2"] = 1.0 - found["mse"] / spread if spread else math.nan
        return found

    @torch.no_grad()
    def _predict(self, split: str) -> NDArray[np.float32]:
        """Return predictions [4, T] of a split, each sequence from its beginning."""
        self.model.eval()
        predicted, _ = self.model(self.heard[split], self.model.fresh_state(SINES))
        found: NDArray[np.float32] = predicted.T.contiguous().cpu().numpy()
        return found

    def _save(self) -> None:
        self.checkpoints.save(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the last and the best state for `load_state_dict`."""
        return {
            "epoch": self.epoch,
            "segment": self.segment,
            "step": self.step,
            "steps": list(map(len, self.steps)),
            "lr": self.config.lr,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.state_dict(),
            "state": list(self.state),
            "sums": self.sums,
            "best": self.best.state_dict(),
            "waits_from": self.waits_from,
            **random_state(self.device),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, which may be from another trial with another config.

        The learning rate always comes from the config. If it differs from the state's, or if a
        new schedule is requested (the state has none), schedule and patience start again.
        """
        self.epoch = int(state["epoch"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        hidden, cell = (item.to(self.device) for item in state["state"])
        # An epoch with other steps starts again, and other slots start with an empty state.
        if state["steps"] == list(map(len, self.steps)) and hidden.shape == self.state[0].shape:
            self.segment = int(state["segment"])
            self.step = int(state["step"])
            self.sums.copy_(state["sums"])
        if hidden.shape == self.state[0].shape:
            self.state = hidden, cell
        self.best.load_state_dict(state["best"])
        self.waits_from = int(state["waits_from"])
        if "scheduler" in state and float(state["lr"]) == self.config.lr:
            self.schedule.load_state_dict(state["scheduler"])
        else:
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr
            self.waits_from = self.epoch
        self.finished = self._is_over()
        restore_random_state(state, self.device)
