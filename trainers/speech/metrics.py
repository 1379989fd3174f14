"""Metrics of predicted phoneme sequences, recomputed from arrays. Needs numpy and rapidfuzz.

The phoneme error rate is the minimum number of substitutions, deletions and insertions between
predicted and target sequences, divided by the number of target phonemes (Levenshtein 1966, computed
by rapidfuzz). With many insertions it can exceed 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from trainers.base import Goal

SEQUENCES: Final = True
"""Predictions and targets are lists of sequences of unequal length."""

GOALS: Final[dict[str, Goal]] = {
    "per": "minimize",
    "substitution_rate": "minimize",
    "deletion_rate": "minimize",
    "insertion_rate": "minimize",
    "exact_rate": "maximize",
}
SOURCES: Final = dict.fromkeys(GOALS, "Levenshtein 1966; rapidfuzz")
RESAMPLED: Final = dict.fromkeys(GOALS, "sums")


def evaluate(
    predictions: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]
) -> dict[str, float]:
    """Return the phoneme error rate over all sequences, its three parts, and the exact rate.

    Args:
        predictions: N sequences of phoneme ids, integers from 1 (0 is CTC's blank); any may be
            empty.
        targets: N sequences with at least one phoneme in total.

    Returns:
        ``per`` = Σ edits / Σ target length, the sum of ``substitution_rate``, ``deletion_rate``
        (missing in the prediction) and ``insertion_rate`` (superfluous in the prediction); if
        several minimal sets of edits exist, one of them is counted. ``exact_rate``: share of
        sequences without edits.

    Raises:
        ValueError: the numbers of sequences differ, there is no target phoneme, or values are not
            integers from 1.
    """
    if len(predictions) != len(targets):
        raise ValueError(
            f"there must be one prediction per target (found {len(predictions)} and {len(targets)})"
        )
    phonemes = sum(len(target) for target in targets)
    if phonemes == 0:
        raise ValueError("no target contains a phoneme")
    counts = dict.fromkeys(("replace", "insert", "delete"), 0)
    exact = 0
    for predicted, target in zip(predictions, targets, strict=True):
        # Edits from prediction to target: an insertion here is a deletion by the network.
        edits = Levenshtein.editops(_ids("predictions", predicted), _ids("targets", target))
        for edit in edits:
            counts[edit.tag] += 1
        exact += not len(edits)
    return {
        "per": sum(counts.values()) / phonemes,
        "substitution_rate": counts["replace"] / phonemes,
        "deletion_rate": counts["insert"] / phonemes,
        "insertion_rate": counts["delete"] / phonemes,
        "exact_rate": exact / len(targets),
    }


def resampled(
    predictions: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]]
) -> dict[str, tuple[NDArray[np.float64], Any]]:
    """Return the edits and phonemes of each sequence, and how their sums make each metric.

    Arguments as for `evaluate`.
    """
    rows = []
    for predicted, target in zip(predictions, targets, strict=True):
        edits = Levenshtein.editops(_ids("predictions", predicted), _ids("targets", target))
        tags = [edit.tag for edit in edits]
        kinds = [tags.count(tag) for tag in ("replace", "insert", "delete")]
        rows.append([len(tags), *kinds, not tags, len(target), 1])
    statistics = np.asarray(rows, dtype=np.float64)

    def share(column: int, of: int) -> tuple[NDArray[np.float64], Any]:
        return statistics, lambda sums: sums[..., column] / sums[..., of]

    return {
        "per": share(0, 5),
        "substitution_rate": share(1, 5),
        "deletion_rate": share(2, 5),
        "insertion_rate": share(3, 5),
        "exact_rate": share(4, 6),
    }


def _ids(name: str, sequence: NDArray[Any]) -> list[int]:
    values = np.asarray(sequence)
    with np.errstate(invalid="ignore"):  # of NaN, which then differs
        whole = values.astype(np.int64)
    if values.ndim != 1 or not np.array_equal(whole, values) or (whole < 1).any():
        raise ValueError(f"{name} must be phoneme ids, whole numbers from 1, in flat sequences")
    ids: list[int] = whole.tolist()
    return ids
