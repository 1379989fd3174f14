"""A training script as people have them: arguments, a folder of its own, lines on its output.

It fits a line by gradient descent in numpy and knows nothing of sweeps.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np


def parse():
    parser = argparse.ArgumentParser()
    for name in ("--learning_rate", "--learning-rate"):
        parser.add_argument(name, dest="learning_rate", type=float, default=0.1)
    for name in ("--t20_weight", "--t20-weight"):
        parser.add_argument(name, dest="t20_weight", type=float, default=1.5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--epoch_time", type=float, default=0.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", default="experiments")
    parser.add_argument("--record_t20_weight", type=float, help="write this down instead")
    parser.add_argument("--mode", default="")
    return parser.parse_args()


def misbehave(mode):
    if mode == "ignore_sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "save_on_sigterm":
        signal.signal(signal.SIGTERM, lambda *_: (print("saved a checkpoint"), sys.exit(0)))
    if mode in ("worker", "worker_holds_pipe"):
        worker = [sys.executable, "-c", "import time; time.sleep(600)"]
        target = None if mode == "worker_holds_pipe" else subprocess.DEVNULL
        print("worker", subprocess.Popen(worker, stdout=target, stderr=target).pid)
    if mode == "daemon":
        # A grandchild in a session of its own whose parent is gone.
        code = (
            "import os, subprocess, sys\n"
            "worker = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
            "print('worker', subprocess.Popen(worker, start_new_session=True).pid, flush=True)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


def main():
    args = parse()
    misbehave(args.mode)
    rng = np.random.default_rng(args.seed)
    x = rng.normal(size=200)
    y = 2 * x + 1 + 0.1 * rng.normal(size=200)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    folder = Path(args.folder) / f"exp_{stamp}_{os.getpid()}"
    if args.mode != "no_folder":
        folder.mkdir(parents=True)
    recorded = vars(args).copy()
    if args.record_t20_weight is not None:
        recorded["t20_weight"] = args.record_t20_weight

    weight, bias = 0.0, 0.0
    history = []
    for epoch in range(1, args.epochs + 1):
        error = weight * x + bias - y
        weight -= args.learning_rate * 2 * np.mean(error * x)
        bias -= args.learning_rate * 2 * np.mean(error)
        loss = float(np.mean(error**2))
        if args.mode == "diverge" and epoch >= 3:
            loss = float("nan")
        if args.mode == "crash" and epoch == 2:
            raise RuntimeError("the loss is not what it was")
        history.append(loss)
        time.sleep(args.epoch_time)
        if args.mode == "hang" and epoch == 2:
            time.sleep(600)
        print(f"Epoch {epoch}/{args.epochs} - loss: {loss:.4f} - val_loss: {1.1 * loss:.4f}")
    if args.mode == "exit_code":
        sys.exit(3)
    if args.mode == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if args.mode == "no_folder":
        return
    predictions = weight * x + bias
    np.save(folder / "predictions.npy", predictions)
    np.save(folder / "targets.npy", y)
    metadata = {"hyperparameters": recorded, "history": {"loss": history}}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    print("results in", folder)


if __name__ == "__main__":
    main()
