"""Report a scripted curve, slowly or with faults, and save arrays whose errors follow from lr."""

from __future__ import annotations

import ctypes
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.engine.toys.curve.config import Config


def loss_at(config: Config, epoch: int) -> float:
    falling = math.exp(-config.lr * epoch)
    if config.shape == "nan" and epoch >= 4:
        return math.nan
    if config.shape == "explode" and epoch >= 4:
        return 10.0 ** (epoch - 3)
    return falling


def train(config: Config, run: Any) -> None:
    print(f"training with {config}")
    run.describe(total_steps=config.epochs, effective={"lr": config.lr}, parameters=3)
    if config.fault == "workers":
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(run.directory, "worker.pid").write_text(str(worker.pid), encoding="utf-8")
    state = run.restore() or {"epoch": 0}
    start = int(state["epoch"]) + 1
    for epoch in range(start, config.epochs + 1):
        with Path(run.directory, "epochs.txt").open("a", encoding="utf-8") as log:
            log.write(f"{epoch}\n")
        if run.should_stop and config.fault != "deaf":
            return
        if "SWEEP_TEST_HURRY" not in os.environ:
            time.sleep(config.pause_s)
        if epoch == 3:
            _go_wrong(config, run)
        loss = loss_at(config, epoch)
        val = math.nan if config.shape == "val_nan" and epoch in (2, 3) else loss
        run.report(epoch, train_loss=loss, val_loss=val, val_mae=1 / (1 + config.lr) + 1 / epoch)
        run.checkpoint({"epoch": epoch})
    rng = np.random.default_rng(config.seed)
    for split in ("val", "test"):
        targets = rng.normal(size=(40, 3))
        wrong = 1 / (1 + config.lr)
        shape = targets[:-1] if config.fault == "shapes" else targets
        run.save_predictions(shape + wrong, targets, split=split)


def _go_wrong(config: Config, run: Any) -> None:
    failed = Path(run.directory, "failed_once")
    if config.fault == "once" and not failed.exists():
        failed.touch()
        raise RuntimeError("the card was lost")
    if config.fault == "raise":
        raise RuntimeError("the data are gone")
    if config.fault == "exit":
        os._exit(7)
    if config.fault == "sys_exit":
        sys.exit(3)
    if config.fault == "segv":
        ctypes.string_at(0)
    if config.fault in ("hang", "deaf"):
        time.sleep(600)
