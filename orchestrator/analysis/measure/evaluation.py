"""Metrics of one run folder, recomputed from the arrays that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from orchestrator.metrics import (
    ArrayProblem,
    check_pair,
    check_sequences,
    evaluate,
    is_known_kind,
    regression_metrics,
)
from orchestrator.runs import RunDir
from orchestrator.runs.foreign import ROLES, SPLITS, Places, Source, metadata as foreign, own_places
from orchestrator.runs.read import load_array, load_sequences

Samples = NDArray[Any] | list[NDArray[Any]]
"""Arrays [N, ...], or N sequences of unequal length."""

_SPLIT_WORDS = {"val": "validation", "train": "training"}


@dataclass(frozen=True)
class Evaluation:
    """What the arrays of one run folder say.

    Attributes:
        metrics: bare names from the test arrays (``mae``, ``t20_mae``), ``val_`` names from the
            validation arrays and ``train_`` names from the training arrays where there are any.
        kind: what the arrays are, or None where nothing says so.
        problems: what could not be computed though the test arrays are good: validation arrays
            that cannot be used, metrics of a kind that the arrays do not fit.
    """

    metrics: dict[str, float]
    kind: str | None = None
    problems: tuple[str, ...] = field(default=())


def evaluate_run(
    path: Path, *, kind: str | None = None, data: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Return the metrics of the run folder `path`; see `evaluate_folder`."""
    return evaluate_folder(path, kind=kind, data=data).metrics


def evaluate_folder(
    path: Path,
    *,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    places: Places | None = None,
) -> Evaluation:
    """Recompute the metrics of the run folder `path`. Nothing is written into it.

    Args:
        path: a folder with ``predictions.npy`` and ``targets.npy``, of ours or of another tool;
            where there are files of lengths, these divide the two into sequences.
        kind: what the arrays are where the run's own metadata does not say, as
            ``"decay_curve"``; None for regression metrics only.
        data: what else is known about arrays of that `kind`, as ``{"rate_hz": 48000}``; what the
            metadata says is stronger.
        metadata: content of its ``metadata.json`` where the caller has read it.
        places: where its arrays are; by default where our names say.

    Raises:
        ArrayProblem: the test arrays are missing or unreadable, their shapes differ, they hold
            values that are not finite, or are sequences of a kind that has no metrics for them.
    """
    known = foreign.data_of(foreign.read_metadata(path) if metadata is None else metadata)
    known = known or foreign.data_of(foreign.read_script_metadata(path))
    declared = known.get("kind")
    problems = []
    if declared is not None and not is_known_kind(declared) and declared != "regression":
        problems.append(f"its arrays are of the kind '{declared}', which has no metrics here")
    kind = kind if declared is None else declared
    merged = {**(data or {}), **known}

    places = own_places(path) if places is None else places
    splits = [split for split in SPLITS if any((split, role) in places for role in ROLES)]
    metrics: dict[str, float] = {}
    for split in splits or ["test"]:
        prefix = "" if split == "test" else f"{split}_"
        try:
            found = _evaluate_pair(path, split, places, kind, merged, problems)
        except ArrayProblem as error:
            # Without test arrays others may stand alone; beside good ones they are a remark.
            if split == "test" or len(splits) == 1:
                raise
            problems.append(f"{_SPLIT_WORDS[split]} arrays: {error}")
        else:
            metrics.update({f"{prefix}{name}": value for name, value in found.items()})
    return Evaluation(metrics, kind, tuple(dict.fromkeys(problems)))


def load_pair(
    path: Path, split: str = "test", places: Places | None = None
) -> tuple[Samples, Samples]:
    """Return the predictions and targets of one split of the run folder `path`.

    Args:
        path: the run folder.
        split: ``"test"``, ``"val"`` or ``"train"``.
        places: where its arrays are; by default where our names say.

    Returns:
        Two arrays of the same shape [N, ...] with finite values, or two lists of N sequences.

    Raises:
        ArrayProblem: arrays are missing or unreadable, do not fit, or hold values that are not
            finite.
    """
    places = own_places(path) if places is None else places
    run = RunDir(path)
    ours = Source(run.predictions_file(split)), Source(run.targets_file(split))
    first, second = (places.get((split, role), own) for role, own in zip(ROLES, ours, strict=True))
    lengths = run.predictions_lengths_file(split), run.targets_lengths_file(split)
    if any(file.exists() for file in lengths):
        predicted = load_sequences(first.path, lengths[0])
        wanted = load_sequences(second.path, lengths[1])
        check_sequences(predicted, wanted)
        return predicted, wanted
    predictions = load_array(first.path, key=first.key)
    targets = load_array(second.path, key=second.key)
    check_pair(predictions, targets)
    return predictions, targets


def _evaluate_pair(
    path: Path,
    split: str,
    places: Places,
    kind: str | None,
    data: Mapping[str, Any],
    problems: list[str],
) -> dict[str, float]:
    predictions, targets = load_pair(path, split, places)
    try:
        return evaluate(kind, predictions, targets, data)
    except ArrayProblem as error:
        if isinstance(predictions, list) or isinstance(targets, list):
            raise
        # The pair is good, so it is only the kind that does not fit: an array of one dimension
        # called a decay curve. It can still be ranked by its errors.
        problems.append(str(error))
        return regression_metrics(predictions, targets, kind)
