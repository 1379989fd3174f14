"""The arrays and the checkpoint of a run directory: saved, checked, passed on to another trial."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.files.series_names import SPLITS
from orchestrator.runs import RunDir


def save_pair(run: RunDir, predictions: Any, targets: Any, split: str) -> None:
    """Save predictions and targets of a split; each file appears whole or not at all.

    Args:
        predictions: array or tensor [N, ...]; or sequences, a list of N arrays or tensors of one
            dimension, saved end to end with a second file of their lengths.
        targets: of the same shape, or a list of as many.
        split: ``"test"``, ``"val"`` or ``"train"``.

    Raises:
        TrialError: there is no such split, or the two do not match or are not numeric.
    """
    where = f"save_predictions(split={split!r})"
    if split not in SPLITS:
        raise TrialError(f"{where}: unknown split. Choices: {', '.join(SPLITS)}.")
    are_sequences = _are_sequences(predictions)
    if are_sequences != _are_sequences(targets):
        kinds = ["an array", "a list of sequences"]
        raise TrialError(
            f"{where}: predictions are {kinds[are_sequences]}, targets {kinds[not are_sequences]}. "
            "Give two arrays, or two lists of one-dimensional arrays."
        )
    files = run.predictions_file(split), run.targets_file(split)
    lengths_files = run.predictions_lengths_file(split), run.targets_lengths_file(split)
    if are_sequences:
        if len(predictions) != len(targets):
            raise TrialError(
                f"{where}: {len(predictions)} predicted sequences, {len(targets)} targets. "
                "Give one prediction for each target."
            )
        sequences = [
            [_array(item, path) for item in values]
            for path, values in zip(files, (predictions, targets), strict=True)
        ]
        for path, arrays in zip(lengths_files, sequences, strict=True):
            _write(path, np.array([len(array) for array in arrays], dtype=np.int64))
        for path, arrays in zip(files, sequences, strict=True):
            _write(path, np.concatenate(arrays))
        return
    predicted, true = _array(predictions, files[0]), _array(targets, files[1])
    if predicted.shape != true.shape:
        raise TrialError(
            f"{where}: predictions and targets differ in shape ({predicted.shape} and "
            f"{true.shape}). Give samples of unequal length as lists of one-dimensional arrays."
        )
    for path, array in zip(files, (predicted, true), strict=True):
        _write(path, array)
    for path in lengths_files:  # of an earlier attempt: they would divide these arrays
        path.unlink(missing_ok=True)


def save_groups(run: RunDir, groups: Any, n_samples: int, split: str) -> None:
    """Save which samples are related, as integers [N]; None removes those of an earlier attempt.

    Raises:
        TrialError: there is not one whole number for each sample.
    """
    path = run.groups_file(split)
    if groups is None:
        path.unlink(missing_ok=True)
        return
    numbers = _array(groups, path)
    if numbers.shape != (n_samples,) or numbers.dtype.kind not in "iu":
        raise TrialError(
            f"save_predictions(split={split!r}): groups must be one whole number for each of "
            f"{n_samples} samples (found shape {numbers.shape}, dtype {numbers.dtype})."
        )
    _write(path, numbers)


def _are_sequences(values: Any) -> bool:
    if not isinstance(values, list | tuple):
        return False
    return bool(values) and all(hasattr(item, "ndim") and item.ndim == 1 for item in values)


def _array(values: Any, path: Path) -> NDArray[Any]:
    """Return `values`, which are to be saved as `path`, as a numeric array."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TrialError(f"{path.name}: not numeric (dtype {array.dtype}). Save numbers.")
    return array


def _write(path: Path, array: NDArray[Any]) -> None:
    with atomic.replacing(path) as stream:
        np.save(stream, array, allow_pickle=False)


def check_checkpoint(path: Path) -> None:
    """Remove the checkpoint `path` if no attempt could continue from it; tensors are not read.

    Raises a `TrialError` if it holds objects that would have to be unpickled.
    """
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        path.unlink(missing_ok=True)
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds {found[1]}" if found else str(error).partition("\n")[0]
        raise TrialError(
            f"checkpoint: only tensors, numbers, strings and nested dicts of them can be saved "
            f"({what}). Turn numpy values into numbers or tensors, and objects into dicts."
        ) from None


def copy_file(source: Path, target: Path) -> None:
    """Replace `target` by the present content of `source`, as a hard link if possible."""
    part = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:  # a file system without links
        copy_whole(source, target)
        return
    os.replace(part, target)
    part.unlink(missing_ok=True)  # replacing one link to a file by another leaves both


def copy_whole(source: Path, target: Path) -> None:
    """Replace `target` by a copy of `source` in one step."""
    with source.open("rb") as reading, atomic.replacing(target) as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)


def inherit_checkpoint(source: RunDir, run: RunDir, *, best: bool = False) -> bool:
    """Give `run` the last (or best) checkpoint of `source`; return whether it has one now.

    It is linked if possible: a checkpoint is only ever replaced by another file, so neither trial
    sees what the other saves later.
    """
    if run.checkpoint_file.exists():
        return True
    saved = source.checkpoint_file
    if best and source.best_checkpoint_file.exists():
        saved = source.best_checkpoint_file
    if not saved.exists():
        return False
    run.path.mkdir(parents=True, exist_ok=True)
    copy_file(saved, run.checkpoint_file)
    return True
