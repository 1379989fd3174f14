"""SAR images from files.

A folder, or one file, of
    ``.npy``   an image [H, W], or several [N, H, W], of any real type;
    ``.npz``   any number of such arrays: channels of one place, such as polarizations.

Places
    Images of one *place* are never in two splits. If the folder has subfolders, each one is a
    place; otherwise each file is, without trailing patch numbers: ``athens_003_012.npy`` and
    ``athens_004_001.npy`` belong to the place ``athens``. All arrays of an ``.npz`` belong to
    one place.

A large ``.npy`` is read only when needed. Nothing is unpickled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_COUNTERS: Final = re.compile(r"(?:[_-](?:patch|tile|row|col|[rcxyp])?\d+)+$", re.IGNORECASE)
_LOOKED_AT: Final = 16  # images whose values are checked before the training


@dataclass(frozen=True)
class Image:
    """One image, in memory or in a file.

    Attributes:
        source: the array [H, W], or its ``.npy`` file.
        shape: height and width.
        unit: ``"linear"``, ``"db"`` or ``"unit"``; see `scaling.Limits.scaled`.
        place: the place it shows; images of one place are similar.
        layer: its index if the file has several images, else None.
    """

    source: NDArray[Any] | Path
    shape: tuple[int, int]
    unit: str
    place: str
    layer: int | None = None

    def window(self, row: int, column: int, size: int) -> NDArray[Any]:
        """Return the values [size, size] starting at `row` and `column`."""
        whole = self.source
        if isinstance(whole, Path):  # opened each time: thousands of files cannot stay open
            whole = np.load(whole, mmap_mode="r", allow_pickle=False)
        if self.layer is not None:
            whole = whole[self.layer]
        return np.asarray(whole[row : row + size, column : column + size])


def read_images(path: Path, data_scale: str) -> list[Image]:
    """Return the images in a folder or a file, sorted by name.

    Args:
        path: the folder or file.
        data_scale: ``"linear"``, ``"db"``, ``"unit"``, or ``"auto"``: dB for files and arrays
            whose name ends in ``_db``, else linear intensity.

    Raises:
        ValueError: there are none, or one is unreadable or not an image.
    """
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.suffix in (".npy", ".npz"))
    elif path.is_file() and path.suffix in (".npy", ".npz"):
        files = [path]
    else:
        raise ValueError(
            f"data_path: must be a folder of .npy or .npz images or one such file (found {path})."
        )
    if not files:
        raise ValueError(f"data_path: no .npy or .npz images in {path}.")
    top = path if path.is_dir() else path.parent
    images: list[Image] = []
    for file in files:
        place = _place(file, top)
        images += (_from_npy if file.suffix == ".npy" else _from_npz)(file, place, data_scale)
    if not images:
        raise ValueError(f"data_path: no images [height, width] in {path}.")
    _look(images, path)
    return images


def _from_npy(path: Path, place: str, data_scale: str) -> list[Image]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"{path}: not an array ({_reason(error)}).") from None
    if array.dtype.kind not in "iuf" or array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(
            f"{path}: must be an image [height, width] or several [N, height, width] of real "
            f"numbers (found {array.dtype} {array.shape})."
        )
    return _images(path, array.shape, _unit(path.stem, data_scale), place)


def _from_npz(path: Path, place: str, data_scale: str) -> list[Image]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise almost anything
        raise ValueError(f"{path}: not an archive of arrays ({_reason(error)}).") from None
    found: list[Image] = []
    for name, array in arrays.items():
        # Other arrays are metadata, such as a resolution.
        if array.ndim in (2, 3) and array.dtype.kind in "iuf" and array.size:
            found += _images(array, array.shape, _unit(name, data_scale), place)
    return found


def _images(
    source: NDArray[Any] | Path, shape: tuple[int, ...], unit: str, place: str
) -> list[Image]:
    height, width = shape[-2:]
    if len(shape) == 2:
        return [Image(source, (height, width), unit, place)]
    return [Image(source, (height, width), unit, place, layer) for layer in range(shape[0])]


def _unit(name: str, data_scale: str) -> str:
    if data_scale != "auto":
        return data_scale
    return "db" if name.lower().endswith("_db") else "linear"


def _place(file: Path, top: Path) -> str:
    inside = file.relative_to(top).parts
    if len(inside) > 1:
        return inside[0]
    return _COUNTERS.sub("", file.stem) or file.stem


def _look(images: list[Image], path: Path) -> None:
    """Reject values that cannot be intensities: levels in dB would silently become 0."""
    for image in images[:: max(1, len(images) // _LOOKED_AT)]:
        if image.unit != "linear":
            continue
        values = image.window(0, 0, 512)
        share = float(np.mean(values < 0))
        if share > 0.05:
            raise ValueError(
                f"{path}: linear intensities must be at least 0 ({share:.0%} of the values of "
                f"{image.place} are not). If they are in dB, set data_scale: db."
            )


def _reason(error: Exception) -> str:
    said = str(error).lower()
    pickled = "pickle" in said or "python objects" in said
    return "it is none, or holds objects that would have to be unpickled" if pickled else str(error)
