"""What a metric is, and the pair of arrays that it is computed from.

Arrays may be large (1,200 decay curves of 96,000 samples are 460 MB) and in any memory order, so
they are read in blocks and bounded memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SweepError
from orchestrator.files.direction import Goal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]


_RESAMPLED = {
    "sums": "sums over samples",
    "weights": "weights of samples",
    "parts": "what each group adds",
}

_BLOCK = 1 << 14  # elements; three float64 blocks are 384 KiB, which stay in a core's cache


class ArrayProblem(SweepError):  # noqa: N818  (it is a finding about a file, shown in a table)
    """A file or a pair of arrays that cannot be compared; the message is one sentence."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: without a split before it: ``t20_mae``.
        definition: one line for people; "" if the trainer's page has it.
        source: whose definition it is, or what gives the same values; "" for none.
        resampled: how it is computed of other samples, ``"sums"``, ``"weights"``
            or ``"parts"``; "" if it has no interval.
        function: computes it from a `Pair`; None for a metric of a trainer, whose `evaluate`
            computes all of them together.
        of_sums: the same from the sums of `error_sums` [..., 5] of any choice of samples, for
            intervals; None if it is no function of them.
        unit: as ``"dB"``; "" for the unit of the arrays, or for none.
        order: place among the columns of a table, lowest first.
    """

    name: str
    goal: Goal
    definition: str = ""
    function: Callable[[Pair], float] | None = None
    of_sums: Callable[[Any], Any] | None = None
    unit: str = ""
    order: int = 100
    source: str = ""
    resampled: str = ""

    def __post_init__(self) -> None:
        if self.of_sums is not None:
            object.__setattr__(self, "resampled", "sums")

    @property
    def interval_from(self) -> str:
        """What its interval is computed from, as text; "" for none."""
        return _RESAMPLED.get(self.resampled, "")


@dataclass
class Sums:
    """Sums over all elements of a pair, in float64.

    Attributes:
        absolute: Σ|p − t|, with p for predictions and t for targets.
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


@dataclass(frozen=True)
class Pair:
    """Predictions and targets: real numbers, both of the same shape."""

    predictions: Array
    targets: Array

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
                sums.squared += float(np.einsum("i,i->", error, error))
                sums.absolute += float(np.abs(error, out=error).sum())
                block_mean = float(target.sum()) / target.size
                step = block_mean - sums.mean
                merged = sums.count + target.size
                np.subtract(target, block_mean, out=error)
                sums.about_mean += float(np.einsum("i,i->", error, error))
                sums.about_mean += step * step * sums.count * target.size / merged
                sums.mean += step * target.size / merged
                sums.count = merged
                sums.lowest = min(sums.lowest, float(target.min()))
                sums.highest = max(sums.highest, float(target.max()))
        return sums


def check_pair(predictions: Array | list[Array], targets: Array | list[Array]) -> None:
    """Raise ArrayProblem unless both are finite real numbers of one shape, at least one each.

    Two lists of sequences need as many predictions as targets.
    """
    if isinstance(predictions, list) or isinstance(targets, list):
        _check_sequences(list(predictions), list(targets))
        return
    for name, array in (("predictions", predictions), ("targets", targets)):
        if array.dtype.kind not in "biuf":
            raise ArrayProblem(f"{name} are not real numbers ({array.dtype})")
    _check_shapes(predictions, targets)
    if predictions.size == 0:
        raise ArrayProblem(f"the arrays are empty (shape {_shape(targets)})")
    bad = {"predictions": _not_finite(predictions), "targets": _not_finite(targets)}
    _check_counts(bad, f"of {targets.size:,}")


def _check_sequences(predictions: Sequence[Array], targets: Sequence[Array]) -> None:
    if len(predictions) != len(targets):
        raise ArrayProblem(
            f"there are {len(predictions):,} sequences of predictions and {len(targets):,} of "
            "targets"
        )
    if not targets:
        raise ArrayProblem("the arrays are empty (no sequence)")
    pairs = {"predictions": predictions, "targets": targets}
    bad = {name: sum(map(_not_finite, arrays)) for name, arrays in pairs.items()}
    _check_counts(bad, "values of")


def blocks(
    predictions: Array, targets: Array
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield both arrays as flat float64 blocks of the same elements, in bounded memory.

    The order of the elements follows memory, so that a mapped file is read straight through. A
    block is valid until the next one is requested.

    Raises:
        ArrayProblem: the shapes differ.
    """
    import numpy as np

    _check_shapes(predictions, targets)
    if predictions.size == 0:
        return
    pair = predictions, targets
    if all(each.flags.c_contiguous for each in pair) or all(each.flags.fnc for each in pair):
        one, other = (each.ravel(order="K") for each in pair)  # nothing is copied
        for start in range(0, one.size, _BLOCK):
            parts = (each[start : start + _BLOCK] for each in (one, other))
            first, second = (part.astype(np.float64, copy=False) for part in parts)
            yield first, second
        return
    iterator = np.nditer(
        [predictions, targets],
        flags=["external_loop", "buffered"],
        op_flags=[["readonly"], ["readonly"]],
        op_dtypes=[np.float64, np.float64],
        casting="same_kind",
        buffersize=_BLOCK,
    )
    with iterator:
        yield from iterator


def _not_finite(array: Array) -> int:
    import numpy as np

    if array.dtype.kind != "f" or array.size == 0:
        return 0
    bad = 0
    with np.nditer(array, flags=["external_loop", "buffered"], buffersize=_BLOCK) as parts:
        for part in parts:
            finite = np.isfinite(part)
            bad += finite.size - int(np.count_nonzero(finite))
    return bad


def _check_counts(bad: dict[str, int], of: str) -> None:
    found = [f"{count:,} {of} {name}" for name, count in bad.items() if count]
    if found:
        raise ArrayProblem(f"{' and '.join(found)} are not finite")


def _check_shapes(predictions: Array, targets: Array) -> None:
    if predictions.shape != targets.shape:
        raise ArrayProblem(
            f"shapes differ: predictions {_shape(predictions)}, targets {_shape(targets)}"
        )


def _shape(array: Array) -> str:
    return "×".join(f"{length:,}" for length in array.shape) or "a single number"
