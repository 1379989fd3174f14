"""The work of the toy trainer (tests/engine/toys/curve), as a user's own script."""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--shape", default="fall")
parser.add_argument("--fault", default="none")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--pause_s", type=float, default=0.0)
parser.add_argument("--out", type=Path, required=True)
parser.add_argument("--resume", type=Path)
args = parser.parse_args()


def loss_at(epoch):
    if args.shape == "nan" and epoch >= 4:
        return math.nan
    if args.shape == "explode" and epoch >= 4:
        return 10.0 ** (epoch - 3)
    return math.exp(-args.lr * epoch)


start = json.loads(args.resume.read_text())["epoch"] + 1 if args.resume else 1
for epoch in range(start, args.epochs + 1):
    with (args.out / "epochs.txt").open("a") as log:
        log.write(f"{epoch}\n")
    time.sleep(args.pause_s)
    if epoch == 3 and args.fault in ("once", "raise"):
        failed = args.out / "failed_once"
        if args.fault == "raise" or not failed.exists():
            failed.touch()
            raise RuntimeError("the data are gone")
    if epoch == 3 and args.fault == "sys_exit":
        sys.exit(3)
    loss = loss_at(epoch)
    val = math.nan if args.shape == "val_nan" and epoch in (2, 3) else loss
    mae = 1 / (1 + args.lr) + 1 / epoch
    print(f"epoch {epoch}/{args.epochs} train_loss={loss!r} val_loss={val!r} val_mae={mae!r}")
    (args.out / "last.ckpt").write_text(json.dumps({"epoch": epoch}))
rng = np.random.default_rng(0)
for prefix in ("val_", ""):
    targets = rng.normal(size=(40, 3))
    np.save(args.out / f"{prefix}predictions.npy", targets + 1 / (1 + args.lr))
    np.save(args.out / f"{prefix}targets.npy", targets)
