"""Logs as Lightning does: a folder for each version, and a table that gains columns."""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-3, help="learning rate")
parser.add_argument("--max_epochs", type=int, default=3)
args = parser.parse_args()

logs = Path("lightning_logs")
folder = logs / f"version_{len(list(logs.glob('version_*')))}"
folder.mkdir(parents=True)
rows: list[dict[str, float]] = []


def log(**values: float) -> None:
    rows.append(values)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "metrics.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)


for epoch in range(args.max_epochs):
    value = abs(args.lr - 0.01) + 1 / (epoch + 1)
    log(epoch=epoch, step=10 * epoch + 9, train_loss=value)
    log(epoch=epoch, step=10 * epoch + 9, val_mae=value / 2)
    time.sleep(0.02)

(folder / "arrays").mkdir()
np.save(folder / "arrays" / "pred.npy", np.linspace(0, 1, 20) + args.lr)
np.save(folder / "arrays" / "true.npy", np.linspace(0, 1, 20))
