"""Read the arrays that a run left behind, without unpickling anything.

Sequences of unequal length are two arrays: ``predictions.npy`` holds the values of all sequences
end to end, ``predictions_lengths.npy`` [N] how many belong to each; targets likewise.
"""

from __future__ import annotations

import errno
import io
import math
import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files import regular
from orchestrator.metrics import ArrayProblem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

_NPY = b"\x93NUMPY"
# How other files begin, to what they are.
_OTHER_FILES = {
    b"PK\x03\x04": "is an .npz archive, not an .npy file",
    b"\x80": "is a pickle and would have to be unpickled, which can run any code. "
    "Save it with numpy.save",
    b"": "is not an .npy file",
}
# Below this size a file is read at once. A mapped file that its writer cuts short while it is
# being read kills the reader (SIGBUS); read at once, it is only a file that is too short.
_MAP_FROM_BYTES = 64 << 20


def load_array(path: Path, key: str | None = None) -> Array:
    """Return the array in an ``.npy`` file, or the one called `key` in an ``.npz`` file.

    It holds bool, integers or floats; that of a large ``.npy`` file is mapped and read-only.

    Raises:
        ArrayProblem: the file is missing, damaged, or holds anything but real numbers.
    """
    try:
        array = _load_file(path) if key is None else _load_from_archive(path, key)
    except ArrayProblem:
        raise
    except FileNotFoundError:
        raise ArrayProblem(f"{path.name} is missing") from None
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EINVAL):  # to open a pipe would wait for its writer
            raise ArrayProblem(f"{path.name} is no file. Save an .npy file") from None
        raise ArrayProblem(f"{path.name} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged header raises nearly anything, SyntaxError included
        raise ArrayProblem(f"{path.name} {_reading_problem(error)}") from None
    if array.dtype.kind not in "biuf":
        name = path.name if key is None else f"{path.name}:{key}"
        raise ArrayProblem(f"{name} holds {array.dtype}, not real numbers")
    return array


def _load_file(path: Path) -> Array:
    import numpy as np

    with regular.open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(size if size < _MAP_FROM_BYTES else len(_NPY))
    if not content:
        raise ArrayProblem(f"{path.name} is empty")
    if not content.startswith(_NPY):
        what = next(what for other, what in _OTHER_FILES.items() if content.startswith(other))
        raise ArrayProblem(f"{path.name} {what}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers that Python 2 wrote
        if size >= _MAP_FROM_BYTES:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        if content[len(_NPY)] != 1:
            return np.load(io.BytesIO(content), allow_pickle=False)  # type: ignore[no-any-return]
        start = 10 + int.from_bytes(content[8:10], "little")
        shape, is_fortran, dtype = _header(content[:start])
    if dtype.hasobject:
        raise ValueError("Python objects")
    if min(shape, default=0) < 0:
        raise ValueError("negative length")
    count = math.prod(shape)
    if count * dtype.itemsize > len(content) - start:
        raise EOFError
    flat = np.frombuffer(content, dtype, count, start) if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")


@lru_cache(maxsize=64)
def _header(beginning: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of an array; the runs of a folder mostly share one header."""
    from numpy.lib import format as npy

    stream = io.BytesIO(beginning)
    npy.read_magic(stream)
    return npy.read_array_header_1_0(stream)


def _load_from_archive(path: Path, key: str) -> Array:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # headers that Python 2 wrote
        if key not in archive.files:
            names = ", ".join(archive.files[:8])
            raise ArrayProblem(f"{path.name} holds no {key} (found: {names})")
        array: Array = archive[key]
    return array


def _reading_problem(error: Exception) -> str:
    """Describe what numpy's `error` means; the file's name comes before it."""
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
    """Return the sequences whose values are in `path` and whose lengths are in `lengths_path`.

    Raises:
        ArrayProblem: a file cannot be read, or the lengths do not divide the values.
    """
    import numpy as np

    values, lengths = load_array(path), load_array(lengths_path)
    if values.ndim != 1:
        raise ArrayProblem(
            f"{path.name} has {values.ndim} dimensions, but {lengths_path.name} divides it, so it "
            "must be flat"
        )
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise ArrayProblem(
            f"{lengths_path.name} is no array [N] of whole numbers, but of {lengths.dtype} with "
            f"{lengths.ndim} dimensions"
        )
    if lengths.size and int(lengths.min()) < 0:
        raise ArrayProblem(f"{lengths_path.name} has a negative length ({lengths.min()})")
    total = sum(lengths.tolist())  # Python's integers: damaged lengths may overflow an int64
    if total != values.size:
        raise ArrayProblem(
            f"{lengths_path.name} adds up to {total:,}, but {path.name} holds {values.size:,} "
            "values"
        )
    ends = np.cumsum(lengths.astype(np.int64))
    return [values[end - length : end] for end, length in zip(ends, lengths, strict=True)]
