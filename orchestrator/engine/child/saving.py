"""Writing predictions and targets, arrays or sequences; and whether a checkpoint is readable."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.runs import RunDir

Array = NDArray[Any]

SPLITS = ("test", "val", "train")


def save_pair(run: RunDir, predictions: Any, targets: Any, split: str) -> None:
    """Save predictions and targets of a split; each file appears whole or not at all.

    A list (or tuple) of one-dimensional arrays is taken for sequences: their values are saved end
    to end, and their lengths beside them. Everything else is an array.

    Args:
        run: where to.
        predictions: array or tensor [N, ...], or a list of N arrays or tensors of one dimension.
        targets: of the same shape, or a list of as many.
        split: ``"test"``, ``"val"`` or ``"train"``.

    Raises:
        TrialError: there is no such split, the two do not fit together, or hold something other
            than numbers.
    """
    where = f"save_predictions(split={split!r})"
    if split not in SPLITS:
        raise TrialError(f"{where}: split must be one of {', '.join(SPLITS)}.")
    kinds = [_are_sequences(values) for values in (predictions, targets)]
    if kinds[0] != kinds[1]:
        words = ["a list of sequences" if kind else "an array" for kind in kinds]
        raise TrialError(
            f"{where}: predictions and targets must both be arrays, or both lists of "
            f"one-dimensional arrays, but got {words[0]} and {words[1]}."
        )
    predicted_file, target_file = run.predictions_file(split), run.targets_file(split)
    lengths_files = run.predictions_lengths_file(split), run.targets_lengths_file(split)
    if kinds[0]:
        if len(predictions) != len(targets):
            raise TrialError(
                f"{where}: must get one prediction for each target, but got {len(predictions)} "
                f"sequences and {len(targets)}."
            )
        pairs = [
            _end_to_end(predictions, predicted_file),
            _end_to_end(targets, target_file),
        ]
        for lengths_file, (_, lengths) in zip(lengths_files, pairs, strict=True):
            _write(lengths_file, lengths)
        for path, (values, _) in zip((predicted_file, target_file), pairs, strict=True):
            _write(path, values)
        return
    arrays = _array(predictions), _array(targets)
    if arrays[0].shape != arrays[1].shape:
        raise TrialError(
            f"{where}: predictions and targets must have one shape, but got {arrays[0].shape} "
            f"and {arrays[1].shape}. Samples of unequal length go as lists of one-dimensional "
            f"arrays."
        )
    for path, array in zip((predicted_file, target_file), arrays, strict=True):
        _check_numbers(path, array)
        _write(path, array)
    for lengths_file in lengths_files:  # of an earlier attempt: they would divide these arrays
        lengths_file.unlink(missing_ok=True)


def check_checkpoint(path: Path) -> None:
    """Remove the checkpoint `path` where nobody could go on from it; tensors are not read.

    Raises:
        TrialError: it holds objects that would have to be unpickled.
    """
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        path.unlink(missing_ok=True)
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds {found[1]}" if found else str(error).partition("\n")[0]
        raise TrialError(
            "checkpoint: must hold tensors, numbers, strings and nested maps of them alone, but "
            f"{what}. Turn numpy values into numbers or tensors, and objects into maps."
        ) from None


def _are_sequences(values: Any) -> bool:
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(hasattr(item, "ndim") and item.ndim == 1 for item in values)


def _end_to_end(sequences: Sequence[Any], path: Path) -> tuple[Array, Array]:
    """Return the values of all `sequences` [ΣL] and their lengths [N]."""
    parts = [_array(item) for item in sequences]
    for part in parts:
        _check_numbers(path, part)
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    return np.concatenate(parts), lengths


def _check_numbers(path: Path, array: Array) -> None:
    if array.dtype.kind not in "biuf":
        raise TrialError(f"{path.name}: must hold numbers, but got dtype {array.dtype}.")


def _write(path: Path, array: Array) -> None:
    with atomic.replacing(path) as stream:
        np.save(stream, array, allow_pickle=False)


def _array(values: Any) -> Array:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)
