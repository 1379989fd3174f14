"""Made-up losses that rise on purpose, and losses that rise as smoothly because they are lost.

`synthetic_curves` draws them. Nobody declares a phase here: a weight of the loss or the difficulty
of the data grows, and at most another logged series shows what it is good for. The rule was changed
with the kinds in `LOOKED_AT` in view; `KEPT_BACK` were drawn once, after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawing import Drawn, Random, falling, noisy


def _ramp(rng: Random, length: int) -> NDArray[np.float64]:
    """A weight from 0 to 1 that grows in a straight line over a part of the run."""
    start = rng.uniform(0.15, 0.4) * length
    return np.clip((np.arange(length) - start) / (rng.uniform(0.1, 0.4) * length), 0, 1)


def kl_annealing(rng: Random) -> Drawn:
    """The weight of the KL term grows; the term itself then shrinks a little."""
    length = int(rng.choice([60, 100, 200, 400]))
    first = rng.uniform(1, 500)
    fell = falling(rng, length, first, rng.uniform(0.15, 0.4))
    weight = _ramp(rng, length)
    term = rng.uniform(0.1, 0.45) * (first - fell.min()) * weight
    term *= 1 - rng.uniform(0.1, 0.5) * np.clip(np.cumsum(weight >= 1) / length, 0, 1)
    return {"values": noisy(rng, fell + term)}, None


def curriculum_steps(rng: Random) -> Drawn:
    """Each stage has harder data: it starts higher, falls steeply, and ends higher than before."""
    stages, length = int(rng.integers(2, 5)), int(rng.choice([30, 50, 90]))
    parts = [
        falling(rng, length, 1 + rng.uniform(-0.3, 0.1) * (n > 0), 0.12 + 0.1 * n)
        for n in range(stages)
    ]
    return {"values": noisy(rng, rng.uniform(0.5, 5) * np.concatenate(parts), 0.01)}, None


def slow_drift(rng: Random) -> Drawn:
    """It turns and rises faster and faster, past its first value."""
    length = int(rng.choice([100, 200, 300]))
    at = int(rng.uniform(0.2, 0.4) * length)
    values = falling(rng, length, rng.uniform(1, 10), rng.uniform(0.1, 0.4))
    after = np.linspace(0, 1, length - at)
    values[at:] += rng.uniform(1.3, 3) * values[0] * after ** rng.uniform(1.2, 2.5)
    return {"values": noisy(rng, values, 0.01)}, at


def cyclic_annealing(rng: Random) -> Drawn:
    """The weight of a term grows in each of several cycles, and is 0 at the start of the next."""
    cycles, length = int(rng.integers(3, 7)), int(rng.choice([20, 40, 60]))
    total = cycles * length
    fell = falling(rng, total, rng.uniform(1, 300), rng.uniform(0.15, 0.4))
    weight = np.tile(np.minimum(1, 2 * np.arange(length) / length), cycles)
    term = rng.uniform(0.1, 0.4) * (fell[0] - fell.min()) * weight
    return {"values": noisy(rng, fell + term, 0.01)}, None


def growing_difficulty(rng: Random) -> Drawn:
    """Longer sequences or stronger augmentation, by and by; accuracy improves meanwhile."""
    length = int(rng.choice([100, 200, 400]))
    fell = falling(rng, length, rng.uniform(1, 5), rng.uniform(0.1, 0.3))
    middle, width = rng.uniform(0.35, 0.6) * length, rng.uniform(0.05, 0.12) * length
    lift = rng.uniform(0.2, 0.9) / (1 + np.exp(-(np.arange(length) - middle) / width))
    values = noisy(rng, fell + lift * (fell[0] - fell.min()), 0.01)
    accuracy = 0.95 - 0.85 * falling(rng, length, 1.0, 0.0)
    return {"values": values, "val_accuracy": noisy(rng, accuracy, 0.004)}, None


def second_term(rng: Random) -> Drawn:
    """An adversarial term is switched on at once; the reconstruction keeps falling."""
    length = int(rng.choice([100, 200, 400]))
    at = int(rng.uniform(0.3, 0.6) * length)
    fell = falling(rng, length, rng.uniform(0.5, 3), 0.05)
    term = rng.uniform(0.25, 0.8) * fell[0] * (np.arange(length) >= at)
    values = noisy(rng, fell + term, 0.01)
    return {"values": values, "train_rec_loss": noisy(rng, fell, 0.01)}, None


def pruning(rng: Random) -> Drawn:
    """Ever more weights are removed, by a cubic schedule; each time it recovers in part."""
    length = int(rng.choice([100, 200, 300]))
    start, end = int(0.3 * length), int(rng.uniform(0.6, 0.9) * length)
    fell = falling(rng, length, rng.uniform(1, 8), rng.uniform(0.1, 0.3))
    done = np.clip((np.arange(length) - start) / (end - start), 0, 1)
    sparsity = 1 - (1 - np.floor(done * 8) / 8) ** 3
    lift = rng.uniform(0.1, 0.35) * (fell[0] - fell.min()) * sparsity
    jumps = np.diff(lift, prepend=0.0)
    decay = 0.5 ** np.arange(length)
    values = fell + 0.8 * lift + 0.6 * np.convolve(jumps, decay)[:length]
    return {"values": noisy(rng, values, 0.01)}, None


def smooth_collapse(rng: Random) -> Drawn:
    """Within some reports it goes back to about its first value, smoothly, and stays there."""
    length = int(rng.choice([100, 200, 400]))
    at = int(rng.uniform(0.3, 0.6) * length)
    values = falling(rng, length, rng.uniform(1, 10), rng.uniform(0.1, 0.4))
    width = rng.uniform(2, 8)
    lift = 1 / (1 + np.exp(-(np.arange(length) - at) / width + 3))
    values += (rng.uniform(0.75, 1.3) * values[0] - values) * lift
    return {"values": noisy(rng, values, 0.01)}, at


def exponential_drift(rng: Random) -> Drawn:
    """It grows by some percent with each report, until it is many times its first value."""
    length = int(rng.choice([100, 200, 400]))
    at = int(rng.uniform(0.2, 0.4) * length)
    values = falling(rng, length, rng.uniform(1, 10), rng.uniform(0.2, 0.5))
    values[at:] *= np.minimum(30.0, np.exp(rng.uniform(0.05, 0.2) * np.arange(length - at)))
    return {"values": noisy(rng, values, 0.01)}, at


LOOKED_AT = {"diverged": (slow_drift,), "healthy": (kl_annealing, curriculum_steps)}
KEPT_BACK = {
    "diverged": (smooth_collapse, exponential_drift),
    "healthy": (cyclic_annealing, growing_difficulty, second_term, pruning),
}
