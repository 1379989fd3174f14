"""Training of the speech network: from a config to predicted validation and test phonemes.

The best state is the one with the lowest ``val_per``; it makes the predictions at the end.

A run that is stopped and resumed ends with the same result as an uninterrupted one. The sentences
of a batch and their augmentation depend only on seeds and the batch number. The checkpoint contains
the last state, the sums since the last report, the schedule, the loss scaling, the random
generators of dropout, and the best state. On a CPU the same seed and thread count give the same
numbers; on a GPU the order of additions is not fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import Run
from trainers.cache import Interrupted
from trainers.common import precision
from trainers.common.checkpoints import Checkpoints, random_state, restore_random_state
from trainers.common.gradients import GradientWatch
from trainers.common.progress import Best, Clock, Sums
from trainers.common.schedule import Schedule, SchedulePlan
from trainers.speech import config as settings, metrics
from trainers.speech.batches import Augmentation, Batch, Order, Prefetch, Sentences
from trainers.speech.config import Config
from trainers.speech.corpus import Splits
from trainers.speech.data import load
from trainers.speech.model import SpeechModel, count_parameters, ctc_loss, greedy_phonemes

TRAIN_SAMPLE = 128
"""Training sentences whose predictions are kept, to detect overfitting."""


def train(config: Config, run: Run) -> None:
    """Train one network and save its predictions, or a checkpoint if stopped.

    Args:
        config: all parameters.
        run: receives reports and results.

    Raises:
        ValueError: the data cannot be read or does not fit the config.
    """
    if config.batches is None and config.epochs is None:
        raise ValueError("batches, epochs: give at least one.")
    torch.set_num_threads(run.threads)
    clock = Clock()
    try:
        with clock.measured("data"):
            splits = load(
                config,
                data_fraction=min(config.data_fraction, run.data_fraction),
                progress=run.progress,
                should_stop=lambda: run.should_stop,
            )
    except Interrupted:
        return
    training = Training(config, run, splits, clock)
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
        splits: the sentences.
        clock: measures the time of each part.
    """

    def __init__(self, config: Config, run: Run, splits: Splits, clock: Clock) -> None:
        self.config = config
        self.run = run
        self.clock = clock
        self.device = torch.device(run.device)
        torch.manual_seed(config.seed)

        least = config.unfold_kernel + config.unfold_stride
        self.train_set, self.val_set, self.test_set = (
            Sentences(part, least_bins=least) for part in (splits.train, splits.val, splits.test)
        )
        corpus = splits.train
        self.model = SpeechModel(
            config,
            channels=corpus.channels,
            classes=corpus.n_phonemes + 1,
            days=corpus.n_days,
        ).to(self.device)
        unheard = np.setdiff1d(np.arange(corpus.n_days), corpus.days)
        self.unheard = torch.from_numpy(unheard).to(self.device)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = kind(
            self.model.parameters(),
            lr=config.lr,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.lr = self.peak_lr = float(self.optimizer.param_groups[0]["lr"])
        self.augmentation = Augmentation(config, self.device)
        self.order = Order(self.train_set, batch_size=config.batch_size, seed=config.seed)
        self.total = total_batches(config, self.order.per_epoch)
        self.schedule = Schedule(
            self.optimizer, schedule_plan(config, self.total, self.order.per_epoch)
        )
        self.precision = precision.choose(config.precision, self.model, run, self.device)
        self.grad_scaler = self.precision.grad_scaler()

        self.batch = 0
        self.finished = False
        self.sums = Sums(self.device)
        self.gradients = GradientWatch(self.model.parameters(), self.device)
        self.best = Best()
        self._began_at = 0
        self.checkpoints = Checkpoints(run)

    def facts(self) -> dict[str, Any]:
        """Return the facts for `Run.describe`, read back from the live objects."""
        group = self.optimizer.param_groups[0]
        corpus = self.train_set.corpus
        frames = self.model.frames(torch.from_numpy(corpus.lengths)).numpy()
        return {
            "total_steps": self.total,
            "lr_schedule": self.schedule.declared(),
            "parameters": count_parameters(self.model),
            "effective": {
                "optimizer": type(self.optimizer).__name__.lower(),
                "lr": self.peak_lr,
                "first_lr": self.schedule.lr,
                "eps": float(group["eps"]),
                "weight_decay": float(group["weight_decay"]),
                "gradient_clip_val": self.config.gradient_clip_val or None,
                "dropout": self.model.dropout.p,
                "input_dropout": self.model.input_dropout.p,
                **self.precision.facts(),
                "batch_size": min(self.config.batch_size, len(self.train_set)),
                "batches": self.total,
                "batches_per_epoch": self.order.per_epoch,
                "train_sentences": len(self.train_set),
                "val_sentences": len(self.val_set),
                "test_sentences": len(self.test_set),
                # Sentences with too few frames for their phonemes, which have no gradient.
                "train_sentences_too_short": int((frames < corpus.least_frames).sum()),
                "channels": corpus.channels,
                "classes": self.model.out.out_features,
                "days": corpus.n_days,
                "threads": torch.get_num_threads(),
            },
            "data": {"kind": settings.DATA_KIND},
        }

    def fit(self) -> bool:
        """Train until the budget or patience ends; return False if stopped before."""
        self._began_at = self.batch
        with Prefetch(self._made, range(self.batch, self.total)) as batches:
            for batch in batches:
                if self.finished or self.run.should_stop:
                    break
                with self.clock.measured("training"):
                    self._step(batch)
                self.batch += 1
                if self.batch % self.config.eval_every == 0 or self.batch == self.total:
                    self._evaluate()
                    if self.finished or self.checkpoints.is_due():
                        self._save()
        if not self.finished:
            self._save()
        return self.finished

    def judge(self) -> None:
        """Save the best state's predictions; of training, a fixed sample."""
        if self.best.model is not None:
            self.model.load_state_dict(self.best.model)
        learned = self.train_set.sample(TRAIN_SAMPLE)
        splits = {"train": learned, "val": self.val_set, "test": self.test_set}
        for split, sentences in splits.items():
            predicted, _ = self._predict(sentences)
            corpus = sentences.corpus
            self.run.save_predictions(predicted, corpus.targets(), split, groups=corpus.groups)
        done = max(1, self.batch - self._began_at)
        per_batch = self.clock.seconds.get("training", 0.0) / done
        self.run.describe(
            best_step=self.best.step,
            epochs_done=round(self.batch / self.order.per_epoch, 2),
            seconds_per_epoch=round(per_batch * self.order.per_epoch, 4),
            timing={
                "seconds_per_batch": round(per_batch, 6),
                **{f"{name}_s": round(value, 3) for name, value in self.clock.seconds.items()},
            },
        )

    def _made(self, number: int) -> Batch:
        batch = self.train_set.batch(self.order.rows(number))
        return batch.pinned() if self.device.type == "cuda" else batch

    def _step(self, batch: Batch) -> None:
        self.model.train()
        batch = batch.to(self.device)
        signal = self.augmentation(batch.signal, batch.bins, self.batch)
        with self.precision.autocast():
            logits = self.model(signal, batch.bins, batch.days)
        frames = self.model.frames(batch.bins)
        loss = ctc_loss(logits, frames, batch.phonemes, batch.counts)
        self.lr = self.schedule.lr
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.grad_scaler.scale(loss))
        self.grad_scaler.unscale_(self.optimizer)
        # A step that loss scaling skips has an infinite norm, which is not a training problem.
        norm = self.gradients.after_backward(skip_infinite=self.grad_scaler.is_enabled())
        if self.config.gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(
                self.model.parameters(), self.config.gradient_clip_val, norm
            )
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
        self.sums.add(loss.detach(), len(batch))
        self.schedule.after_batch()

    def _evaluate(self) -> None:
        """Report metrics and update the best state."""
        # Reading the sums waits for the GPU, so count the wait as training time.
        with self.clock.measured("training"):
            train_loss, grad_norm = self.sums.mean(), self.gradients.mean_norm()
        self.sums = Sums(self.device)
        self.gradients.clear()
        with self.clock.measured("evaluation"):
            predicted, val_loss = self._predict(self.val_set)
            found = metrics.evaluate(predicted, self.val_set.corpus.targets())
        self.schedule.after_validation(found["per"])
        self.best.update(found["per"], self.batch, self.model)
        self.finished = self._is_over()
        self.run.report(
            self.batch,
            train_loss=train_loss,
            val_per=found["per"],
            val_loss=val_loss,
            **{f"val_{name}": found[name] for name in _PARTS},
            lr=self.lr,
            grad_norm=grad_norm,
        )

    def _is_over(self) -> bool:
        patience = self.config.patience
        return self.batch >= self.total or (patience is not None and self.best.waited >= patience)

    def _predict(self, sentences: Sentences) -> tuple[list[NDArray[np.int64]], float]:
        """Return the predicted phonemes of each sentence, and the mean loss."""
        self.model.eval()
        if self.model.day_layer is not None and len(self.unheard):
            self.model.day_layer.reset(self.unheard)
        predicted: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(sentences)
        total = 0.0
        with torch.inference_mode():
            for rows in sentences.by_length(self.config.eval_batch_size):
                batch = sentences.batch(rows).to(self.device)
                with self.precision.autocast():
                    logits = self.model(batch.signal, batch.bins, batch.days)
                frames = self.model.frames(batch.bins)
                loss = ctc_loss(logits, frames, batch.phonemes, batch.counts)
                phonemes, counts = greedy_phonemes(logits, frames)
                parts = np.split(phonemes.cpu().numpy(), counts.cumsum(0)[:-1].cpu().numpy())
                for row, part in zip(rows.tolist(), parts, strict=True):
                    predicted[row] = part
                total += float(loss) * len(batch)
        return predicted, total / len(sentences)

    def _save(self) -> None:
        if self.gradients.parameters_are_finite():  # a diverged state cannot be resumed
            with self.clock.measured("checkpoints"):
                self.checkpoints.save(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the last and the best state for `load_state_dict`."""
        return {
            "batch": self.batch,
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
        self.batch = int(state["batch"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group.update(eps=self.config.eps, weight_decay=self.config.weight_decay)
        if "scheduler" in state:
            self.schedule.load_state_dict(state["scheduler"])
        else:
            self.schedule.restart(self.batch)
        if state["grad_scaler"]:
            self.grad_scaler.load_state_dict(state["grad_scaler"])
        self.sums.load_state_dict(state["sums"])
        self.gradients.load_state_dict(state["gradients"])
        self.best.load_state_dict(state["best"])
        self.finished = self._is_over()
        restore_random_state(state, self.device)


_PARTS = ("substitution_rate", "deletion_rate", "insertion_rate")


def total_batches(config: Config, per_epoch: int) -> int:
    """Return the training steps of a run: the smaller of its budgets in batches and epochs."""
    budgets = [config.batches, None if config.epochs is None else config.epochs * per_epoch]
    return min(budget for budget in budgets if budget is not None)


def schedule_plan(config: Config, total: int, per_epoch: int) -> SchedulePlan:
    """Return the learning-rate schedule of `config` over `total` batches."""
    return SchedulePlan(
        kind=config.lr_schedule,
        lr=config.lr,
        total=total,
        batches_per_epoch=per_epoch,
        reported="batch",
        warmup=config.warmup_batches,
        floor=config.lr_floor,
        factor=config.plateau_factor,
        patience=config.plateau_patience,
    )
