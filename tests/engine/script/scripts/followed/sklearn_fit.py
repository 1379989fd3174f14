"""Fits a model of scikit-learn and saves its predictions; it reports no metrics."""

import argparse

import numpy as np
from sklearn.linear_model import Ridge

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1.0)
parser.add_argument("--out", default="fit.npz")
args = parser.parse_args()

x = np.random.default_rng(0).normal(size=(200, 4))
y = x @ [1.0, 2.0, 3.0, 4.0]
model = Ridge(alpha=args.alpha).fit(x[:100], y[:100])
np.savez(args.out, y_true=y[100:], y_pred=model.predict(x[100:]))
