"""A metric of any choice of samples, so that many choices can be computed at once.

What a metric needs of each sample is computed once. A choice of samples is then a vector of
weights, one for each sample: how often it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """A metric that is a function of sums over samples, as means, R² and error rates are.

    Attributes:
        statistics: [N, K], what each sample adds to each sum.
        combine: sums [..., K] → values [...]; NaN if undefined.
    """

    statistics: Floats
    combine: Callable[[Any], Any]


@dataclass(frozen=True)
class Weighted:
    """A metric of weighted samples that is no function of sums, as AUROC is.

    Attributes:
        n_samples: how many samples there are.
        function: weights [B, N] → values [B]; NaN if undefined.
    """

    n_samples: int
    function: Callable[[Any], Any]


@dataclass(frozen=True)
class Called:
    """A metric that is only known as a function of arrays, as one of the user's.

    Attributes:
        n_samples: how many samples there are.
        function: numbers of the samples that are kept [M] → value.
    """

    n_samples: int
    function: Callable[[Any], float]


Resampled = Sums | Weighted | Called


def mean_of(values: Any) -> Sums:
    """Return the mean of one value per sample, without those that are NaN.

    Args:
        values: [N].
    """
    import numpy as np

    known = np.asarray(values, dtype=np.float64)
    defined = np.isfinite(known)
    return Sums(np.stack([np.where(defined, known, 0.0), defined], axis=1), Ratio())


@dataclass(frozen=True)
class Ratio:
    """One sum over another: sums [..., K] → values [...]; NaN if the other is 0.

    Attributes:
        top: the place of the sum.
        bottom: the place of the other.
    """

    top: int = 0
    bottom: int = 1

    def __call__(self, sums: Any) -> Any:
        """Return the values."""
        import numpy as np

        top, bottom = sums[..., self.top], sums[..., self.bottom]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(bottom > 0, top / bottom, np.nan)


def error_sums(predictions: Any, targets: Any) -> Floats:
    """Return for each sample Σ|p − t|, Σ(p − t)², Σt', Σt'² and the count of elements: [N, 5].

    t' is the target minus the mean of the first sample's, so that an offset costs no digits.

    Args:
        predictions: [N, ...], read in blocks of samples.
        targets: of the same shape.
    """
    import numpy as np

    count = len(targets)
    per_sample = max(1, targets.size // max(1, count))
    step = max(1, (1 << 18) // per_sample)
    offset = float(np.mean(targets[0], dtype=np.float64)) if count else 0.0
    found = np.empty((count, 5))
    for start in range(0, count, step):
        rows = slice(start, start + step)
        wanted = np.asarray(targets[rows], dtype=np.float64).reshape(-1, per_sample)
        error = np.asarray(predictions[rows], dtype=np.float64).reshape(-1, per_sample) - wanted
        wanted = wanted - offset
        found[rows, 0] = np.abs(error).sum(axis=1)
        found[rows, 2] = wanted.sum(axis=1)
        with np.errstate(over="ignore"):  # an infinite sum has no interval
            found[rows, 1] = np.square(error).sum(axis=1)
            found[rows, 3] = np.square(wanted).sum(axis=1)
        found[rows, 4] = per_sample
    return found
