"""What a metric is, and the pair of arrays that it is computed from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.metrics.samples import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

Goal = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: without a split before it: ``t20_mae``.
        goal: which way it is better.
        definition: one line for people; "" if the trainer's page has it.
        function: computes it from a `Pair`; None for a metric that the trainer's `evaluate`
            computes together with others.
        unit: as ``"dB"``; "" for the unit of the arrays, or for none.
        kinds: kinds of data that have it; None for any arrays of one shape.
        order: place among the columns of a table, lowest first.
    """

    name: str
    goal: Goal
    definition: str = ""
    function: Callable[[Pair], float] | None = None
    unit: str = ""
    kinds: tuple[str, ...] | None = None
    order: int = 100

    def is_of(self, kind: str | None) -> bool:
        """Return whether data of `kind` have this metric."""
        return self.kinds is None or kind in self.kinds


@dataclass
class Sums:
    """Sums over all elements of a pair, in float64.

    Attributes:
        count: number of elements.
        absolute: Σ|p − t|.
        squared: Σ(p − t)².
        mean: of the targets.
        about_mean: Σ(t − mean)².
        lowest: least target.
        highest: greatest target.
    """

    count: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    mean: float = 0.0
    about_mean: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    @property
    def targets_vary(self) -> bool:
        """True if not all targets are equal."""
        return self.highest > self.lowest and self.about_mean > 0


@dataclass(frozen=True)
class Pair:
    """Predictions and targets, which may be too large to hold twice.

    Attributes:
        predictions: real numbers, any shape.
        targets: of the same shape.
    """

    predictions: NDArray[Any]
    targets: NDArray[Any]

    @cached_property
    def sums(self) -> Sums:
        """What most metrics need, from one pass in bounded memory.

        The squares about the mean are merged from those of each block (Chan, Golub and LeVeque
        1979), so a large offset costs no digits. NaN in either array makes the sums NaN.

        Raises:
            ArrayProblem: the shapes differ.
        """
        import numpy as np

        sums = Sums()
        # Finite values beyond 1e154 overflow when squared: an infinite RMSE describes them.
        with np.errstate(over="ignore", invalid="ignore"):
            for predicted, target in blocks(self.predictions, self.targets):
                error = predicted - target
                sums.absolute += float(np.abs(error).sum())
                sums.squared += float(np.square(error).sum())
                block_mean = float(target.mean())
                step = block_mean - sums.mean
                merged = sums.count + target.size
                sums.about_mean += float(np.square(target - block_mean).sum())
                sums.about_mean += step * step * sums.count * target.size / merged
                sums.mean += step * target.size / merged
                sums.count = merged
                sums.lowest = min(sums.lowest, float(target.min()))
                sums.highest = max(sums.highest, float(target.max()))
        return sums
