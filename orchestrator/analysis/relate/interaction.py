"""Whether the best value of one parameter depends on another one.

For each pair, a model in which both act on their own is compared with one that has their product.
What the product explains is compared with permutations of what the first model leaves unexplained
(Freedman and Lane 1983), corrected for the number of pairs by Holm's method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.chance import holm
from orchestrator.analysis.measure.row import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_TRIALS = 20
"""Below this number of trials nothing is stated."""

_PERMUTATIONS = 1999
_MOST_PARAMETERS = 6
_MOST_LEVELS = 5  # of a parameter that is no number
_WIDE = 100.0  # from this ratio of its values on a parameter is taken on a logarithmic scale


@dataclass(frozen=True)
class Interaction:
    """Two parameters that do not act on their own.

    Attributes:
        share: of the metric's variance that only both together explain, in [0, 1].
    """

    names: tuple[str, str]
    share: float
    n_trials: int


def interaction(rows: Sequence[Row], metric: str) -> Interaction | None:
    """Return the pair of parameters that interact most; None if none does by more than chance."""
    import numpy as np

    known = [row for row in rows if math.isfinite(row.metrics.get(metric, math.nan))]
    if len(known) < FEWEST_TRIALS:
        return None
    values = np.array([row.metrics[metric] for row in known])
    # What diverged would decide everything.
    middle = np.median(values)
    spread = 5 * 1.4826 * np.median(np.abs(values - middle))
    values = np.clip(values, middle - spread, middle + spread)
    if not np.ptp(values) > 0:
        return None
    names = dict.fromkeys(name for row in known for name in row.config)
    columns = {name: _columns([row.config.get(name) for row in known]) for name in names}
    shown = [name for name in names if columns[name] is not None][:_MOST_PARAMETERS]
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for pair in combinations(shown, 2):
        tested = _tested(values, *(columns[name] for name in pair))
        if tested is not None:
            found[pair] = tested
    certain = holm({pair: p_value for pair, (_, p_value) in found.items()})
    if not certain:
        return None
    best = max(certain, key=lambda pair: found[pair][0])
    return Interaction(best, found[best][0], len(known))


def _columns(values: Sequence[Any]) -> Floats | None:
    """Return a parameter as columns [N, K] with mean 0; None if it does not vary as is needed."""
    import numpy as np

    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        numbers = np.array(values, dtype=np.float64)
        if not np.isfinite(numbers).all() or not np.ptp(numbers) > 0:
            return None
        if numbers.min() > 0 and numbers.max() / numbers.min() >= _WIDE:
            numbers = np.log(numbers)
        return np.asarray((numbers - numbers.mean()) / numbers.std())[:, None]
    texts = [str(each) for each in values]
    levels = sorted(set(texts))
    if not 2 <= len(levels) <= _MOST_LEVELS or min(map(texts.count, levels)) < 3:
        return None
    dummies = np.array([[text == level for level in levels[1:]] for text in texts], dtype=float)
    return np.asarray(dummies - dummies.mean(axis=0))


def _tested(values: Floats, one: Floats | None, two: Floats | None) -> tuple[float, float] | None:
    """Return the share that products explain, and its probability by chance; None if unknown."""
    import numpy as np

    if one is None or two is None:
        return None
    alone = np.hstack([np.ones((len(values), 1)), one, one**2, two, two**2])
    products = np.hstack([one[:, [i]] * two for i in range(one.shape[1])])
    basis = _orthonormal(alone)
    extra = _orthonormal(products - basis @ (basis.T @ products))
    if not extra.shape[1] or len(values) < 3 * (basis.shape[1] + extra.shape[1]):
        return None
    left = values - basis @ (basis.T @ values)
    if not np.square(left).sum() > 1e-12 * np.square(values - values.mean()).sum():
        return None
    random = np.random.default_rng(0)
    shuffled = random.permuted(np.tile(left, (_PERMUTATIONS, 1)), axis=1).T
    shuffled = np.column_stack([left, shuffled])
    shuffled -= basis @ (basis.T @ shuffled)
    explained = np.square(extra.T @ shuffled).sum(axis=0) / np.square(shuffled).sum(axis=0)
    p_value = float((explained >= explained[0] * (1 - 1e-9)).mean())
    share = np.square(extra.T @ left).sum() / np.square(values - values.mean()).sum()
    return float(share), p_value


def _orthonormal(columns: Floats) -> Floats:
    """Return an orthonormal basis of what columns span."""
    import numpy as np

    vectors, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(vectors[:, sizes > 1e-9 * max(1.0, float(sizes.max(initial=0.0)))])
