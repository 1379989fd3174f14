"""Fit a ridge regression of scikit-learn and save what it predicts."""

import argparse

import numpy as np
from sklearn.linear_model import Ridge

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1.0)
parser.add_argument("--out", required=True)
args = parser.parse_args()
rng = np.random.default_rng(0)
x = rng.normal(size=(60, 3))
y = x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.normal(size=60)
model = Ridge(alpha=args.alpha).fit(x[:40], y[:40])
np.save(f"{args.out}/predictions.npy", model.predict(x[40:]))
np.save(f"{args.out}/targets.npy", y[40:])
print(f"r2={model.score(x[40:], y[40:]):.6f}")
