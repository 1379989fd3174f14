"""Made-up learning curves of kinds that rules get wrong.

They are curves to test a rule with that nobody tuned it on: print more with another ``--seed``::

    python -m benchmarks.synthetic_curves --seed 7 --each 20 > curves.jsonl
    python -m benchmarks.divergence curves.jsonl

Each kind is one function, here or in `raised_losses`: it draws a curve and returns its series and
the onset of its divergence, None if it is healthy. The kind is in the field `repo`, so that figures
can be given by kind.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.drawing import Drawn, Random, falling, noisy
from benchmarks.raised_losses import KEPT_BACK, LOOKED_AT


def _length(rng: Random) -> int:
    return int(rng.choice([30, 60, 100, 200, 400]))


def _onset(rng: Random, length: int) -> int:
    return int(rng.integers(max(8, length // 6), length - max(8, length // 8)))


# Diverged ----------------------------------------------------------------------------------------


def dead_network(rng: Random) -> Drawn:
    """It falls by some percent, jumps to just below its first value, and stays there."""
    length = _length(rng)
    at = _onset(rng, length)
    first = rng.uniform(2, 7)
    values = noisy(rng, falling(rng, length, first, rng.uniform(0.55, 0.9)), 0.004)
    level = first - rng.uniform(0.0, 0.25) * (first - values[:at].min())
    values[at:] = noisy(rng, np.full(length - at, level), 0.002)
    return {"values": values}, at


def relapse(rng: Random) -> Drawn:
    """A language model loses a third to two thirds of its progress and stays there."""
    length = _length(rng)
    at = _onset(rng, length)
    first = rng.uniform(7, 11)
    values = noisy(rng, falling(rng, length, first, rng.uniform(0.25, 0.4)), 0.004)
    best = values[:at].min()
    level = best + rng.uniform(0.33, 0.66) * (first - best)
    values[at:] = noisy(rng, np.full(length - at, level), 0.004)
    return {"values": values}, at


def slow_rise(rng: Random) -> Drawn:
    """From its best on it rises smoothly to half of its progress and more."""
    length = _length(rng)
    at = _onset(rng, length)
    values = falling(rng, length, rng.uniform(1, 1000))
    lift = (
        (values[0] - values[at]) * rng.uniform(0.6, 1.5) * (1 - np.exp(-np.arange(length - at) / 8))
    )
    values[at:] = values[at] + lift
    return {"values": noisy(rng, values, 0.004)}, at + 1


def sudden_nan(rng: Random) -> Drawn:
    """It is not finite from some report on, without any sign before."""
    length = _length(rng)
    at = _onset(rng, length)
    values = noisy(rng, falling(rng, length))
    values[at:] = math.nan
    return {"values": values}, at


def explosion(rng: Random) -> Drawn:
    """It grows by a factor with each report, and its gradients before it."""
    length = _length(rng)
    at = _onset(rng, length)
    values = noisy(rng, falling(rng, length))
    values[at:] = values[at - 1] * rng.uniform(1.5, 5) ** np.arange(1, length - at + 1)
    values[at:] = np.minimum(values[at:], 1e6 * values[0])
    norm = noisy(rng, np.full(length, rng.uniform(0.3, 3)), 0.2)
    norm[at:] *= 30
    return {"values": values, "grad_norm": norm}, at


def late_jump(rng: Random) -> Drawn:
    """It leaps to several times its first value in the very last reports."""
    length = _length(rng)
    at = length - int(rng.integers(3, 7))
    values = noisy(rng, falling(rng, length))
    values[at:] = noisy(rng, np.full(length - at, values[0] * rng.uniform(2.5, 12)), 0.05)
    return {"values": values}, at


def rises_from_the_start(rng: Random) -> Drawn:
    """It was never below its first value."""
    length = max(60, _length(rng))
    values = 1 + rng.uniform(0.4, 3) * (1 - np.exp(-np.arange(length) / rng.uniform(1, 8)))
    return {"values": noisy(rng, rng.uniform(0.1, 5) * values, 0.03)}, 1


def lost_batches(rng: Random) -> Drawn:
    """A per-batch loss with heavy tails goes back to where it began."""
    length = int(rng.choice([400, 1000, 2000]))
    at = _onset(rng, length)
    values = falling(rng, length, rng.uniform(1, 8), rng.uniform(0.1, 0.3))
    values[at:] = values[0] * rng.uniform(0.9, 1.5)
    return {"values": values * np.exp(0.25 * rng.standard_t(3, length))}, at


def stuck_after_a_spike(rng: Random) -> Drawn:
    """It explodes, comes back by a third at once, and then hardly at all."""
    length = max(60, _length(rng))
    at = int(rng.integers(10, length // 2))
    values = noisy(rng, falling(rng, length), 0.01)
    peak, rest = values[0] * rng.uniform(1.5, 4), np.arange(length - at)
    values[at:] = peak * (0.62 + 0.38 * np.exp(-rest / 2)) * (1 - 0.05 * rest / length)
    return {"values": noisy(rng, values, 0.005)}, at


def lost_likelihood(rng: Random) -> Drawn:
    """A negative loss goes back to where it began."""
    length = _length(rng)
    at = _onset(rng, length)
    values = rng.uniform(0, 1) - rng.uniform(1, 6) * (1 - falling(rng, length, 1.0, 0.0))
    values[at:] = values[0] - 0.05 * (values[0] - values[:at].min())
    return {"values": values + 0.02 * rng.standard_normal(length)}, at


def collapsed_accuracy(rng: Random) -> Drawn:
    """A maximized metric falls back to chance."""
    length = _length(rng)
    at = _onset(rng, length)
    values = 0.1 + 0.8 * (1 - falling(rng, length, 1.0, 0.1))
    values[at:] = 0.1
    return {"values": values + 0.01 * rng.standard_normal(length), "mode": "max"}, at


# Healthy -----------------------------------------------------------------------------------------


def smooth(rng: Random) -> Drawn:
    """It falls."""
    return {"values": noisy(rng, falling(rng, _length(rng), 10 ** rng.uniform(-3, 3)))}, None


def batches(rng: Random) -> Drawn:
    """A per-batch loss with heavy tails."""
    length = int(rng.choice([400, 1000, 2000]))
    values = falling(rng, length, rng.uniform(0.5, 8))
    return {"values": values * np.exp(rng.uniform(0.1, 0.4) * rng.standard_t(3, length))}, None


def spikes(rng: Random) -> Drawn:
    """Some spikes of up to its first value and beyond, each gone within six reports."""
    length = max(60, _length(rng))
    values = noisy(rng, falling(rng, length))
    for at in rng.integers(10, length - 8, int(rng.integers(1, 5))):
        reports = np.arange(int(rng.integers(1, 7)))
        values[at : at + len(reports)] += values[0] * rng.uniform(0.3, 3) * 0.4**reports
    return {"values": values}, None


def physics(rng: Random) -> Drawn:
    """A loss near 1e-5 with spikes of a hundred times that recover; it may begin with one."""
    length = max(100, _length(rng))
    values = 0.2 * 10 ** (-5 * (np.arange(length) / length) ** 0.5)
    for at in rng.integers(10, length - 12, int(rng.integers(3, 12))):
        reports = np.arange(8)
        values[at : at + 8] *= 1 + 10 ** rng.uniform(1, 2.3) * 0.35**reports
    if rng.random() < 0.5:
        values[1:8] += rng.uniform(2, 12) * 0.4 ** np.arange(7)
    return {"values": noisy(rng, values, 0.3)}, None


def warm_restarts(rng: Random) -> Drawn:
    """At each restart of its rate the loss rises, and then falls below where it was."""
    cycles, length = int(rng.integers(2, 5)), int(rng.choice([20, 40, 80]))
    phase = np.arange(length) / length
    rate = 0.5 * (1 + np.cos(np.pi * phase))
    parts = [
        falling(rng, length, 1.0, 0.1) * 0.8**cycle * (0.35 if cycle else 1.0)
        + 0.35 * rate * (cycle > 0)
        for cycle in range(cycles)
    ]
    return {
        "values": noisy(rng, np.concatenate(parts), 0.02),
        "lr": np.tile(1e-3 * rate + 1e-6, cycles),
    }, None


def warm_up_transient(rng: Random) -> Drawn:
    """It explodes while the rate climbs in its warm-up, and then falls far below."""
    length = max(60, _length(rng))
    climb = int(rng.integers(4, 12))
    values = falling(rng, length, rng.uniform(1, 20))
    bump = np.exp(-(((np.arange(length) - climb * 0.6) / (climb / 3)) ** 2))
    values += values[0] * rng.uniform(1, 6) * bump
    rate = np.minimum(1.0, np.arange(1, length + 1) / climb) * 1e-3
    return {"values": noisy(rng, values, 0.02), "lr": rate}, None


def curriculum(rng: Random) -> Drawn:
    """Harder data lifts the loss for good, and the run declares its phases."""
    length = 60
    parts = [falling(rng, length, 1 + 0.5 * n, 0.25 + 0.2 * n) for n in range(3)]
    phase = np.repeat(np.arange(3.0), length)
    return {"values": noisy(rng, np.concatenate(parts), 0.01), "phase": phase}, None


def loss_weights(rng: Random) -> Drawn:
    """A second term of the loss grows on purpose, while the validation loss keeps falling."""
    length = max(60, _length(rng))
    fell = falling(rng, length, 1.0, 0.1)
    weight = np.clip((np.arange(length) - length / 4) / (length / 3), 0, 1)
    return {
        "values": noisy(rng, fell + rng.uniform(0.2, 0.6) * weight, 0.01),
        "val_loss": noisy(rng, fell * 1.1, 0.01),
    }, None


def overfits(rng: Random) -> Drawn:
    """Only the validation loss rises, to several times its first value."""
    length = max(60, _length(rng))
    rise = rng.uniform(1, 5) * np.linspace(0, 1, length) ** 2
    fell = falling(rng, length, 1.0, 0.02)
    return {"values": noisy(rng, fell), "val_loss": noisy(rng, fell + rise, 0.02)}, None


def from_zero(rng: Random) -> Drawn:
    """A loss that starts at 0 rises to its level and falls from there (a KL term, a GAN)."""
    length = max(60, _length(rng))
    rise = 1 - np.exp(-np.arange(length) / rng.uniform(0.3, 2))
    return {"values": noisy(rng, rise * falling(rng, length, rng.uniform(0.5, 5)), 0.02)}, None


def negative(rng: Random) -> Drawn:
    """A log likelihood falls through zero, noisily."""
    length = _length(rng)
    values = rng.uniform(0, 1) - rng.uniform(1, 6) * (1 - falling(rng, length, 1.0, 0.0))
    return {"values": values + 0.1 * rng.standard_normal(length)}, None


def rewards(rng: Random) -> Drawn:
    """A maximized reward that swings by most of its range."""
    length = max(100, _length(rng))
    level = 100 * (1 - falling(rng, length, 1.0, 0.2))
    drift = np.zeros(length)
    for step in range(1, length):
        drift[step] = 0.8 * drift[step - 1] + 7 * rng.standard_normal()
    return {"values": level + drift, "mode": "max"}, None


def two_runs(rng: Random) -> Drawn:
    """Two runs of one config in one log, and steps that do not go back."""
    length = _length(rng)
    fell = falling(rng, length)
    return {"values": noisy(rng, np.concatenate([fell, fell]), 0.004)}, None


def bumps(rng: Random) -> Drawn:
    """It rises slowly by a fifth to two fifths of its progress, and falls again."""
    length = max(100, _length(rng))
    values = falling(rng, length, 1.0, 0.15)
    width, at = length / rng.uniform(8, 14), rng.uniform(0.3, 0.6) * length
    lift = rng.uniform(0.1, 0.3) * np.exp(-(((np.arange(length) - at) / width) ** 2))
    return {"values": noisy(rng, values + lift, 0.01)}, None


KINDS: dict[str, tuple[Callable[[Random], Drawn], ...]] = {
    "diverged": (
        *(dead_network, relapse, slow_rise, sudden_nan, explosion, late_jump),
        *(rises_from_the_start, lost_batches, stuck_after_a_spike, lost_likelihood),
        collapsed_accuracy,
        *(*LOOKED_AT["diverged"], *KEPT_BACK["diverged"]),
    ),
    "healthy": (
        *(smooth, batches, spikes, physics, warm_restarts, warm_up_transient, curriculum),
        *(loss_weights, overfits, from_zero, negative, rewards, two_runs, bumps),
        *(*LOOKED_AT["healthy"], *KEPT_BACK["healthy"]),
    ),
}


def synthetic(seed: int, each: int) -> Iterator[dict[str, Any]]:
    """Yield `each` curves of every kind as records of a file of labeled curves."""
    for label, kinds in KINDS.items():
        for kind in kinds:
            for number in range(each):
                rng = np.random.default_rng([seed, number, *kind.__name__.encode()])
                drawn, onset = kind(rng)
                is_nan = onset is not None and not np.isfinite(drawn["values"]).all()
                fields = {
                    key: [float(f"{value:.6g}") for value in series]
                    for key, series in drawn.items()
                    if key != "mode"
                }
                yield {
                    "id": f"{kind.__name__}-{seed}-{number}",
                    "repo": kind.__name__,
                    "mode": drawn.get("mode", "min"),
                    "label": label
                    if onset is None
                    else f"diverged_{'nan' if is_nan else 'explosion'}",
                    "onset": onset,
                    **fields,
                }


def main(arguments: list[str] | None = None) -> int:
    """Print curves as JSON lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=20, help="curves of each kind")
    options = parser.parse_args(arguments)
    for curve in synthetic(options.seed, options.each):
        print(json.dumps(curve))
    return 0


if __name__ == "__main__":
    sys.exit(main())
