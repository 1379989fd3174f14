"""Reading the arrays that a run left behind, without unpickling anything.

Sequences of unequal length: one array of values end to end, and one of lengths.

``predictions.npy`` holds the values of all sequences after each other, ``predictions_lengths.npy``
[N] how many belong to each, in order; targets are kept in the same way. A sequence may be empty,
and a prediction may be longer or shorter than its target.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.metrics import ArrayProblem

Array = NDArray[Any]

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
# Below this size a file is read at once. A mapped file that its writer cuts short while it is
# being read kills the reader (SIGBUS); read at once, it is only a file that is too short.
_MAP_FROM_BYTES = 64 << 20


def load_array(path: Path, *, mmap: bool = True, key: str | None = None) -> Array:
    """Return the array in the ``.npy`` file `path`, without ever unpickling anything.

    Args:
        path: the file, or an ``.npz`` file where `key` is given.
        key: name of one array in an ``.npz`` file, which is read whole.
        mmap: map a large file into memory instead of reading it whole; the array is read-only
            then. Small files are always read.

    Returns:
        An array of bool, integers or floats, of any shape, empty ones included.

    Raises:
        ArrayProblem: the file is missing, empty, no ``.npy`` file, cut short, or holds objects
            or anything else that is no real number.
    """
    path = Path(path)
    if key is not None:
        return _load_from_archive(path, key)
    _check_beginning(path)
    mapped = mmap and path.stat().st_size >= _MAP_FROM_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # headers that Python 2 wrote
            # Mapping first tells objects and a file cut short apart without reading anything.
            array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
            if not mapped:
                array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ArrayProblem(f"{path.name} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged header raises nearly anything, SyntaxError included
        raise ArrayProblem(f"{path.name} {_reading_problem(error)}") from None
    if array.dtype.kind not in "biuf":
        raise ArrayProblem(f"{path.name} holds {array.dtype}, not real numbers")
    return array


def _load_from_archive(path: Path, key: str) -> Array:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if key not in archive.files:
                names = ", ".join(archive.files[:8])
                raise ArrayProblem(f"{path.name} must hold {key}, but holds {names}")
            array: Array = archive[key]
    except ArrayProblem:
        raise
    except FileNotFoundError:
        raise ArrayProblem(f"{path.name} is missing") from None
    except OSError as error:
        raise ArrayProblem(f"{path.name} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # as above: a damaged archive raises nearly anything
        raise ArrayProblem(f"{path.name} {_reading_problem(error)}") from None
    if array.dtype.kind not in "biuf":
        raise ArrayProblem(f"{path.name}:{key} holds {array.dtype}, not real numbers")
    return array


def _check_beginning(path: Path) -> None:
    """Raise ArrayProblem unless `path` starts as an ``.npy`` file does."""
    if path.exists() and not path.is_file():
        # Whoever opens a pipe waits for its writer, for ever if there is none.
        raise ArrayProblem(f"{path.name} must be an .npy file, but is no file")
    try:
        with path.open("rb") as stream:
            beginning = stream.read(len(_NPY))
    except FileNotFoundError:
        raise ArrayProblem(f"{path.name} is missing") from None
    except OSError as error:
        raise ArrayProblem(f"{path.name} cannot be read: {error.strerror or error}") from None
    if not beginning:
        raise ArrayProblem(f"{path.name} is empty")
    if beginning.startswith(_ZIP):
        raise ArrayProblem(f"{path.name} must be an .npy file, but is an .npz archive")
    if beginning[:1] == b"\x80":
        raise ArrayProblem(
            f"{path.name} is a pickle and would have to be unpickled, which can run any code. "
            f"Save it with numpy.save"
        )
    if beginning != _NPY:
        raise ArrayProblem(f"{path.name} must be an .npy file, but is something else")


def _reading_problem(error: Exception) -> str:
    """Say in plain words what numpy's `error` means; the file's name stands before it."""
    text = str(error)
    if "object" in text.lower() and ("python" in text.lower() or "pickle" in text.lower()):
        return (
            "holds Python objects and would have to be unpickled, which can run any code. "
            "Save it as an array of numbers"
        )
    cut_short = ("greater than file size", "reading array", "EOF", "cannot reshape", "expected")
    if isinstance(error, EOFError) or any(words in text for words in cut_short):
        return "is cut short: it holds less than its header says"
    return f"has a damaged header ({type(error).__name__})"


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
