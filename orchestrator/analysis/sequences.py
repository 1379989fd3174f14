"""Sequences of unequal length: one array of values end to end, and one of lengths.

``predictions.npy`` holds the values of all sequences after each other, ``predictions_lengths.npy``
[N] how many belong to each, in order; targets are kept in the same way. A sequence may be empty,
and a prediction may be longer or shorter than its target.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.analysis.arrays import Array, ArrayProblem, load_array


def load_sequences(path: Path, lengths_path: Path) -> list[Array]:
    """Return the sequences whose values stand in `path` and whose lengths in `lengths_path`.

    Raises:
        ArrayProblem: a file cannot be read (see `load_array`), the lengths are no whole numbers
            from 0, or they do not add up to the number of values.
    """
    values, lengths = load_array(path), load_array(lengths_path)
    if values.ndim != 1:
        raise ArrayProblem(
            f"{path.name} must be flat, as {lengths_path.name} divides it, but has "
            f"{values.ndim} dimensions"
        )
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise ArrayProblem(
            f"{lengths_path.name} must hold whole numbers [N], but holds {lengths.dtype} of "
            f"{lengths.ndim} dimensions"
        )
    if lengths.size and int(lengths.min()) < 0:
        raise ArrayProblem(f"{lengths_path.name} must hold lengths from 0, but has {lengths.min()}")
    # Python's integers: a sum of damaged lengths may go round an int64.
    total = sum(lengths.tolist())
    if total != values.size:
        raise ArrayProblem(
            f"{lengths_path.name} must add up to the {values.size:,} values of {path.name}, "
            f"but adds up to {total:,}"
        )
    ends = np.cumsum(lengths.astype(np.int64))
    return [values[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def check_sequences(predictions: list[Array], targets: list[Array]) -> None:
    """Check that predicted sequences can be held against targets.

    Raises:
        ArrayProblem: their numbers differ, there are none, or values are not finite.
    """
    if len(predictions) != len(targets):
        raise ArrayProblem(
            f"there must be one prediction for each target, but there are {len(predictions):,} "
            f"sequences of predictions and {len(targets):,} of targets"
        )
    if not targets:
        raise ArrayProblem("arrays must not be empty, but hold no sequence")
    bad = {
        name: sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in parts)
        for name, parts in (("predictions", predictions), ("targets", targets))
    }
    found = [f"{count:,} values of {name}" for name, count in bad.items() if count]
    if found:
        raise ArrayProblem(f"values must be finite, but {' and '.join(found)} are not")
