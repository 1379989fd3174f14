"""Predictions and targets: whether they can be compared, and a walk over them in blocks.

Arrays may be large (1,200 decay curves of 96,000 samples are 460 MB) and in any memory order, so
whatever walks over them does it in blocks and bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SweepError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

_BLOCK = 1 << 18  # elements; two float64 blocks are 4 MiB


class ArrayProblem(SweepError):  # noqa: N818  (it is a finding about a file, shown in a table)
    """A file or a pair of arrays that cannot be compared; the message is one sentence."""


def check_pair(predictions: Array, targets: Array) -> None:
    """Check that predictions can be compared with targets.

    Raises:
        ArrayProblem: their shapes differ, they are empty, hold something other than real numbers,
            or values that are not finite; all counts are in the message.
    """
    import numpy as np

    for name, array in (("predictions", predictions), ("targets", targets)):
        if array.dtype.kind not in "biuf":
            raise ArrayProblem(f"{name} are not real numbers ({array.dtype})")
    _check_shapes(predictions, targets)
    if predictions.size == 0:
        raise ArrayProblem(f"the arrays are empty (shape {_shape(targets)})")
    bad = {"predictions": 0, "targets": 0}
    for predicted, target in blocks(predictions, targets):
        bad["predictions"] += predicted.size - int(np.count_nonzero(np.isfinite(predicted)))
        bad["targets"] += target.size - int(np.count_nonzero(np.isfinite(target)))
    found = [f"{count:,} of {targets.size:,} {name}" for name, count in bad.items() if count]
    if found:
        raise ArrayProblem(f"{' and '.join(found)} are not finite")


def check_sequences(predictions: Sequence[Array], targets: Sequence[Array]) -> None:
    """Check that predicted sequences can be compared with targets.

    Raises:
        ArrayProblem: their numbers differ, there are none, or values are not finite.
    """
    import numpy as np

    if len(predictions) != len(targets):
        raise ArrayProblem(
            f"there are {len(predictions):,} sequences of predictions and {len(targets):,} of "
            "targets"
        )
    if not targets:
        raise ArrayProblem("the arrays are empty (no sequence)")
    bad = {
        name: sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in parts)
        for name, parts in (("predictions", predictions), ("targets", targets))
    }
    found = [f"{count:,} values of {name}" for name, count in bad.items() if count]
    if found:
        raise ArrayProblem(f"{' and '.join(found)} are not finite")


def blocks(
    predictions: Array, targets: Array
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield both arrays as flat float64 blocks of the same elements, in bounded memory.

    The order of the elements follows memory, so that a mapped file is read straight through. A
    block is valid until the next one is requested.

    Args:
        predictions: real numbers, any shape and memory order.
        targets: of the same shape.

    Raises:
        ArrayProblem: the shapes differ.
    """
    import numpy as np

    _check_shapes(predictions, targets)
    if predictions.size == 0:
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


def _check_shapes(predictions: Array, targets: Array) -> None:
    if predictions.shape != targets.shape:
        raise ArrayProblem(
            f"shapes differ: predictions {_shape(predictions)}, targets {_shape(targets)}"
        )


def _shape(array: Array) -> str:
    return "×".join(f"{length:,}" for length in array.shape) or "a single number"
