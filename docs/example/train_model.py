"""A training script as people have them: it knows nothing of sweeps.

It fits noisy sine waves with a small network, prints a line each epoch, and keeps what it found in
a folder of its own below ``experiments/``.
"""

import argparse
import json
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--hidden", type=int, default=32)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--layer-norm", action="store_true")
args = parser.parse_args()

folder = Path("experiments") / f"{datetime.now():%Y%m%d-%H%M%S}_{os.getpid()}"
folder.mkdir(parents=True)

torch.manual_seed(args.seed)
device = "cuda" if torch.cuda.is_available() else "cpu"
rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, (900, 1)).astype(np.float32)
y = (np.sin(2 * x) + 0.1 * rng.normal(size=x.shape)).astype(np.float32)
x_train, x_val, x_test = torch.from_numpy(x).to(device).split(300)
y_train, y_val, y_test = torch.from_numpy(y).to(device).split(300)

norm = nn.LayerNorm(args.hidden) if args.layer_norm else nn.Identity()
model = nn.Sequential(nn.Linear(1, args.hidden), norm, nn.Tanh(), nn.Linear(args.hidden, 1))
model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)

for epoch in range(1, args.epochs + 1):
    for rows in torch.randperm(300).split(10):
        loss = nn.functional.mse_loss(model(x_train[rows]), y_train[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        val_mae = (model(x_val) - y_val).abs().mean().item()
    print(f"Epoch {epoch}/{args.epochs} - loss: {loss.item():.4f} - val_mae: {val_mae:.4f}")

with torch.no_grad():
    for prefix, inputs, targets in (("", x_test, y_test), ("val_", x_val, y_val)):
        np.save(folder / f"{prefix}predictions.npy", model(inputs).cpu().numpy())
        np.save(folder / f"{prefix}targets.npy", targets.cpu().numpy())
(folder / "metadata.json").write_text(json.dumps({"config": vars(args)}))
print("saved to", folder)
