"""What the examples train: a polynomial that learns a noisy sine by gradient descent.

Any script would do; this one needs nothing but Python and is done in a moment. It prints a line
each epoch, from which the sweep reads its metrics, and saves what it predicts where the sweep tells
it to, so that metrics are recomputed.
"""

import argparse
import math
import os
import random
import struct
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--schedule", choices=["constant", "cosine"], default="constant")
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--weight-decay", type=float, default=0.0)
parser.add_argument("--clip", type=float, help="greatest norm of a gradient")
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--degree", type=int, default=5)
parser.add_argument("--even-terms", action="store_true", help="even powers too")
parser.add_argument("--data-fraction", type=float, default=1.0)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

world = random.Random(0)  # the data are the same in all trials
places = [world.uniform(-1, 1) for _ in range(128)]
points = [(x, math.sin(3 * x) + world.gauss(0, 0.05)) for x in places]
train, val, test = points[:64], points[64:96], points[96:]
train = train[: max(args.batch_size, round(args.data_fraction * len(train)))]

powers = [p for p in range(args.degree + 1) if args.even_terms or p % 2]
chance = random.Random(args.seed)
weights = [chance.gauss(0, 0.3) for _ in powers]
first = [0.0] * len(powers)
second = [0.0] * len(powers)


def error(x: float, y: float) -> float:
    """Return what the polynomial gives at `x` beyond `y`."""
    return sum(w * x**p for w, p in zip(weights, powers, strict=True)) - y


step = 0
for epoch in range(1, args.epochs + 1):
    rate = args.lr
    if args.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * (epoch - 1) / args.epochs)) / 2
    chance.shuffle(train)
    total = 0.0
    for start in range(0, len(train), args.batch_size):
        batch = train[start : start + args.batch_size]
        gaps = [error(x, y) for x, y in batch]
        total += sum(gap * gap for gap in gaps)
        slopes = [
            2 * sum(gap * x**p for gap, (x, _) in zip(gaps, batch, strict=True)) / len(batch)
            for p in powers
        ]
        norm = math.sqrt(sum(slope * slope for slope in slopes))
        if args.clip is not None and norm > args.clip:
            slopes = [slope * args.clip / norm for slope in slopes]
        step += 1
        for i in range(len(powers)):
            slope = slopes[i] + args.weight_decay * weights[i]
            if args.optimizer == "adam":
                first[i] += 0.1 * (slope - first[i])
                second[i] += 0.01 * (slope * slope - second[i])
                scale = math.sqrt(second[i] / (1 - 0.99**step)) + 1e-8
                weights[i] -= rate * first[i] / (1 - 0.9**step) / scale
            else:
                first[i] = args.momentum * first[i] + slope
                weights[i] -= rate * first[i]
    loss = total / len(train)
    mae = sum(abs(error(x, y)) for x, y in val) / len(val)
    told = f"train_loss={loss:.6g} val_mae={mae:.6g} lr={rate:.6g}"
    print(f"epoch {epoch}/{args.epochs} {told}", flush=True)
print(f"terms={len(powers)}")


def save(path: Path, values: list[float]) -> None:
    """Write numbers as NumPy would."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({len(values)},)}}"
    header = header.ljust((len(header) + 10) // 64 * 64 + 53) + "\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    path.write_bytes(head + struct.pack(f"<{len(values)}d", *values))


if "SWEEP_RUN_DIR" in os.environ:
    folder = Path(os.environ["SWEEP_RUN_DIR"])
    for name, split in {"": test, "val_": val, "train_": train}.items():
        save(folder / f"{name}targets.npy", [y for _, y in split])
        save(folder / f"{name}predictions.npy", [error(x, y) + y for x, y in split])
