"""What the made-up learning curves are drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Series = NDArray[np.float64]
Drawn = tuple[dict[str, Any], int | None]
"""Fields of the curve (``values`` and others of the same length), and the onset."""


def falling(rng: Random, length: int, first: float = 1.0, share: float | None = None) -> Series:
    """Return a power law from `first` down to a share of it, without noise."""
    share = rng.uniform(0.02, 0.4) if share is None else share
    steps = np.arange(length) / rng.uniform(2, max(3, length / 8))
    return first * (share + (1 - share) * (1 + steps) ** -rng.uniform(0.7, 1.6))


def noisy(rng: Random, values: Series, sigma: float | None = None) -> Series:
    """Return the values with multiplicative noise."""
    sigma = rng.choice([0.003, 0.01, 0.03]) if sigma is None else sigma
    return values * np.exp(sigma * rng.standard_normal(len(values)))
