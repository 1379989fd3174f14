"""A training script that says what it holds of a card that is played (`tests.fake_nvml`)."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--holds-mib", type=int, default=6000)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seconds", type=float, default=0.5)
parser.add_argument("--lr", type=float, default=0.1)
args = parser.parse_args()

uses = Path(os.environ["USES"]) / str(os.getpid())
uses.write_text(f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {args.holds_mib}\n")
for epoch in range(1, args.epochs + 1):
    time.sleep(args.seconds)
    print(f"Epoch {epoch}/{args.epochs} - loss: {args.lr / epoch}", flush=True)
