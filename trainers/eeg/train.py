"""Training of a probe on frozen EEG features: from a config to predicted probabilities.

With several folds, one probe per fold is trained in parallel: an epoch is an epoch of each, and
metrics are reported over all folds, so one trial is one cross-validation. A fold's best epoch is
the one with the greatest AUROC on its validation subjects; it makes the predictions at the end.

A run that is stopped and resumed ends with the same result as an uninterrupted one. The checkpoint
contains every probe with its position in the epoch, optimizer, schedule, sums and best state, and
the random generator. Features come from the cache or are recomputed identically. On a CPU the same
seed and thread count give the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import Run
from trainers.cache import Interrupted
from trainers.common.checkpoints import Checkpoints, random_state, restore_random_state
from trainers.eeg import config as settings, metrics
from trainers.eeg.baseline import judge_baseline
from trainers.eeg.config import Config
from trainers.eeg.data import Fold, load, make_folds, save_folds
from trainers.eeg.features import Prepared, prepare
from trainers.eeg.probing import Probing
from trainers.eeg.windows import Windows


def train(config: Config, run: Run) -> None:
    """Train one probe per fold and save predictions, or a checkpoint if stopped.

    Args:
        config: all parameters.
        run: receives reports and results.

    Raises:
        ValueError: data or encoder are unreadable or do not fit the config.
    """
    torch.set_num_threads(run.threads)
    run.describe(total_steps=1 if config.model == "bandpower" else config.epochs)
    try:
        windows = load(config, run.progress, lambda: run.should_stop).checked("data")
        folds = make_folds(
            windows,
            folds=config.folds,
            seed=config.data_seed,
            data_fraction=min(config.data_fraction, run.data_fraction),
        )
        prepared = prepare(config, run, windows, folds)
    except Interrupted:
        return  # only the unfinished preparation is lost and starts again
    run.describe(**_facts(config, windows, folds, prepared))
    if config.model == "bandpower":
        judge_baseline(config, run, windows, folds, prepared.folds)
        return
    training = Training(config, run, windows, folds, prepared.folds)
    state = run.restore()
    if state is not None:
        training.load_state_dict(state)
    run.describe(**training.facts())
    if training.fit():
        training.judge()


class Training:
    """All probes and their progress.

    Args:
        config: all parameters.
        run: receives reports and results.
        windows: all windows.
        folds: rows of each part.
        features: [N, D] of all windows, for each fold.
    """

    def __init__(
        self,
        config: Config,
        run: Run,
        windows: Windows,
        folds: list[Fold],
        features: list[NDArray[np.float32]],
    ) -> None:
        self.config = config
        self.run = run
        self.windows = windows
        self.folds = folds
        torch.manual_seed(config.seed)
        device = torch.device(run.device)
        self.probes = [
            Probing(config, part, windows.labels, fold, number, device)
            for number, (part, fold) in enumerate(zip(features, folds, strict=True))
        ]
        self.epoch = 0
        self.checkpoints = Checkpoints(run)

    def facts(self) -> dict[str, Any]:
        """Return the facts for `Run.describe`, read back from the live objects."""
        first = self.probes[0]
        group = first.optimizer.param_groups[0]
        return {
            # The intended cycle, for any `step_per`: reported rates are compared with it.
            "lr_schedule": {
                "onecycle": {
                    "max_lr": self.config.max_lr,
                    "total": first.schedule.total_steps,
                    "pct_start": self.config.pct_start,
                    "div_factor": self.config.div_factor,
                    "final_div_factor": self.config.final_div_factor,
                },
                "per": "batch",
                "batches_per_epoch": first.batches,
                "steps": "epoch",
                **({"start": first.since} if first.since else {}),
            },
            "parameters": sum(item.numel() for item in first.model.parameters()),
            "effective": {
                "optimizer": type(first.optimizer).__name__.lower(),
                "max_lr": float(group["max_lr"]),
                "first_lr": float(group["initial_lr"]),
                "last_lr": float(group["min_lr"]),
                "schedule_steps": first.schedule.total_steps,
                "step_per": self.config.step_per,
                "weight_decay": float(group["weight_decay"]),
                "gradient_clip_val": self.config.gradient_clip_val,
                "class_weights": [round(value, 6) for value in first.weights.tolist()],
                "batches_per_epoch": first.batches,
                "threads": torch.get_num_threads(),
            },
        }

    def fit(self) -> bool:
        """Train until the last epoch; return False if stopped before."""
        while self.epoch < self.config.epochs:
            for probe in self.probes:
                while probe.batch < probe.batches:
                    if self.run.should_stop:
                        self._save()
                        return False
                    probe.step(self.epoch)
            self._end_epoch()
            if self.epoch == self.config.epochs or self.checkpoints.is_due():
                self._save()
        return True

    def judge(self) -> None:
        """Predict with the best state of each fold and save the probabilities of all folds."""
        for probe in self.probes:
            probe.use_best()
        self.run.describe(best_epoch=round(float(np.mean([p.best.step for p in self.probes]))))
        for part in ("val", "test"):
            probabilities = [probe.predict(part)[0] for probe in self.probes]
            save_folds(self.run, part, probabilities, self.windows, self.folds)

    def _end_epoch(self) -> None:
        self.epoch += 1
        learned = [probe.end_epoch() for probe in self.probes]
        validated = [probe.predict("val") for probe in self.probes]
        for probe, fold, (probabilities, _, _) in zip(
            self.probes, self.folds, validated, strict=True
        ):
            own = metrics.evaluate(probabilities, self.windows.labels[fold.val])
            probe.best.update(own["auroc"], self.epoch, probe.model)
        found = metrics.evaluate(
            np.concatenate([item[0] for item in validated]),
            np.concatenate([self.windows.labels[fold.val] for fold in self.folds]),
        )
        self.run.report(
            self.epoch,
            train_loss=_mean([(loss, weight) for loss, weight, _ in learned]),
            val_loss=_mean([(loss, weight) for _, loss, weight in validated]),
            val_auroc=found["auroc"],
            val_balanced_accuracy=found["balanced_accuracy"],
            lr=self.probes[0].lr,
            grad_norm=math.fsum(norm for _, _, norm in learned) / len(learned),
        )

    def _save(self) -> None:
        if not all(probe.gradients.parameters_are_finite() for probe in self.probes):
            return  # a diverged state cannot be resumed
        self.checkpoints.save(self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `load_state_dict`."""
        return {
            "epoch": self.epoch,
            "probes": [probe.state_dict() for probe in self.probes],
            "scheduler": [list(probe.schedule_place) for probe in self.probes],
            **random_state(torch.device(self.run.device)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, which may have another config.

        Raises:
            ValueError: it has other folds.
        """
        if len(state["probes"]) != len(self.probes):
            raise ValueError(
                f"folds: must be {len(state['probes'])}, as in the run that this one continues"
                f" (found {len(self.probes)})."
            )
        self.epoch = int(state["epoch"])
        # A trial that continues another one may request a new schedule.
        places = state.get("scheduler", [None] * len(self.probes))
        for probe, kept, place in zip(self.probes, state["probes"], places, strict=True):
            # Checkpoints of earlier releases contain the steps alone.
            known = (0, place) if isinstance(place, int) else place and tuple(place)
            probe.load_state_dict(kept, self.epoch, known)
        restore_random_state(state, torch.device(self.run.device))


def _mean(pairs: list[tuple[float, float]]) -> float:
    return sum(value for value, _ in pairs) / sum(weight for _, weight in pairs)


def _facts(
    config: Config, windows: Windows, folds: list[Fold], prepared: Prepared
) -> dict[str, Any]:
    count, channels, samples = windows.signals.shape
    of_part = {
        part: [len(np.unique(windows.subjects[getattr(fold, part)])) for fold in folds]
        for part in ("train", "val", "test")
    }
    return {
        "encoder": prepared.encoder,
        "windows": {
            "count": count,
            "folds": config.folds,
            "channels": channels,
            "samples": samples,
            "rate_hz": windows.rate_hz,
            "subjects": of_part,
            "train_windows": [len(fold.train) for fold in folds],
        },
        "data": {"kind": settings.DATA_KIND},
    }
