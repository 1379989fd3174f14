"""Decay curves from files in two layouts.

An archive with a table
    ``curves.npz`` with ``edc`` (or ``curves``, or a single two-dimensional array) [N, T] and the
    rate as ``dt_s`` or ``rate_hz``; the features are in a CSV with the same rows in the same
    order. An archive with ``features`` [N, 16] needs no CSV.

A folder of curves with a table
    ``RIR_<number>_case<case>_edc.npy``, one curve per file, with a feature CSV: the layout of the
    original EDC programs. Rows and files are matched by the column ``filename``, else by ``ID``
    and ``case``, else, if there are equally many, by order (files by number and case) as in the
    original. Longer curves are cut, shorter ones padded with zeros.

The CSV has a header with the 16 features of `roomset.FEATURES` (case, blanks and underscores are
ignored) and ``ID``, the room. If no CSV is named, the only one in the folder with those columns
and the right number of rows is used.
"""

from __future__ import annotations

import csv
import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.edc.roomset import FEATURES, RoomSet, room_codes

_FILE: Final = re.compile(r"RIR_0*(\d+)(?:_case0*(\d+))?(?:_edc)?", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A feature CSV.

    Attributes:
        path: the file.
        columns: texts of every column, by its normalized name (lower-case letters and digits).
        features: [N, 16] float32.
    """

    path: Path
    columns: dict[str, list[str]]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)


def read_curves(
    data_path: Path, features_path: Path | None, *, rate_hz: float, duration_s: float
) -> RoomSet:
    """Return the rooms in an archive or a folder of curves; see the module docstring.

    Args:
        data_path: an ``.npz`` file or a folder of ``RIR_*_edc.npy``.
        features_path: the CSV; None searches next to `data_path` and, for a folder, inside it.
        rate_hz: samples per second, if the files do not give it.
        duration_s: length of the curves in a folder, in seconds.

    Raises:
        ValueError: files are missing, unreadable or inconsistent; nothing is unpickled.
    """
    if data_path.is_dir():
        return _from_folder(data_path, features_path, rate_hz, round(rate_hz * duration_s))
    if not data_path.is_file():
        raise ValueError(f"data_path: {data_path} is neither an .npz file nor a folder.")
    if data_path.suffix.lower() != ".npz":
        raise ValueError(
            f"data_path: must be an .npz file or a folder of RIR_*_edc.npy (found {data_path})."
        )
    return _from_archive(data_path, features_path, rate_hz)


def read_table(path: Path) -> Table:
    """Return the features in the CSV `path`.

    Raises:
        ValueError: it is unreadable, lacks features (the message names similar columns), or a
            value is not a number (the message names the line).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV of room features ({error}).") from None
    header = [_plain(name) for name in lines[0]] if lines else []
    missing = [name for name in FEATURES if _plain(name) not in header]
    if missing:
        wanted = ", ".join(_with_nearest(name, lines[0] if lines else []) for name in missing)
        raise ValueError(f"{path}: the 16 room features must be columns (missing: {wanted}).")
    columns: dict[str, list[str]] = {name: [] for name in header}
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise ValueError(
                f"{path}: row {number} must have {len(header)} values (found {len(line)})."
            )
        for name, text in zip(header, line, strict=True):
            columns[name].append(text.strip())
    features = np.empty((len(lines) - 1, len(FEATURES)), dtype=np.float32)
    for place, feature in enumerate(FEATURES):
        for row, text in enumerate(columns[_plain(feature)]):
            try:
                features[row, place] = float(text)
            except ValueError:
                raise ValueError(
                    f"{path}: row {row + 2}: {feature} must be a number (found {text!r})."
                ) from None
    return Table(path, columns, features)


def _from_archive(path: Path, features_path: Path | None, rate_hz: float) -> RoomSet:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise almost anything
        reason = (
            "is none, or holds objects that would have to be unpickled"
            if "pickle" in str(error)
            else error
        )
        raise ValueError(f"{path}: not an .npz of arrays ({reason}).") from None
    curves = _curves_among(arrays, path)
    rate_hz = _rate(arrays, path, rate_hz)
    if features_path is None and "features" in arrays:
        features = np.asarray(arrays["features"], dtype=np.float32)
        names: Any = arrays["rooms"].tolist() if "rooms" in arrays else None
        source = str(path)
    else:
        table = _table(features_path, [path.parent], len(curves))
        features, names, source = table.features, table.columns.get("id"), f"{path}, {table.path}"
        if len(table) != len(curves):
            raise ValueError(
                f"{table.path}: needs one row per curve (found {len(table):,} rows, and "
                f"{len(curves):,} curves in {path.name})."
            )
    rooms = room_codes(names, features)
    return RoomSet(features, curves, rooms, rate_hz).checked(source)


def _rate(arrays: dict[str, NDArray[Any]], path: Path, otherwise_hz: float) -> float:
    name = next((name for name in ("dt_s", "rate_hz") if name in arrays), None)
    if name is None:
        return otherwise_hz
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "iuf" or not 0 < value.item() < np.inf:
        raise ValueError(f"{path}: {name} must be one number above 0 (found {value}).")
    return float(1.0 / value.item() if name == "dt_s" else value.item())


def _curves_among(arrays: dict[str, NDArray[Any]], path: Path) -> NDArray[np.float32]:
    tables = [name for name, array in arrays.items() if array.ndim == 2 and name != "features"]
    named = [name for name in ("edc", "curves") if name in arrays] or tables
    if not named or (len(named) > 1 and not set(named) & {"edc", "curves"}):
        held = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise ValueError(
            f"{path}: must contain the curves as 'edc' or 'curves' [curves, samples] (found "
            f"{held})."
        )
    curves = arrays[named[0]]
    if curves.dtype.kind not in "iuf":
        raise ValueError(f"{path}: curves must be real numbers (found {curves.dtype}).")
    return np.asarray(curves, dtype=np.float32)


def _from_folder(folder: Path, features_path: Path | None, rate_hz: float, points: int) -> RoomSet:
    named = {path: _numbers(path) for path in folder.glob("*.npy")}
    files = {path: numbers for path, numbers in named.items() if numbers is not None}
    if not files:
        raise ValueError(f"{folder}: no curves named RIR_<number>_case<case>_edc.npy.")
    ordered = sorted(files, key=lambda path: (files[path], path.name))
    table = _table(features_path, [folder, folder.parent], len(ordered))
    numbers = [files[path] for path in ordered]
    rows = _rows_of(ordered, numbers, table)
    curves = np.zeros((len(ordered), points), dtype=np.float32)
    for place, path in enumerate(ordered):
        curve = _curve(path)[:points]
        curves[place, : len(curve)] = curve
    features = table.features[rows]
    rooms = room_codes([room for room, _ in numbers], features)
    return RoomSet(features, curves, rooms, rate_hz).checked(str(folder))


def _curve(path: Path) -> NDArray[Any]:
    try:
        curve: NDArray[Any] = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged file can raise almost anything
        reason = "would have to be unpickled" if "pickle" in str(error).lower() else error
        raise ValueError(f"{path}: not one decay curve ({reason}).") from None
    if (
        curve.dtype.kind not in "iuf"
        or curve.size == 0
        or curve.size != max(curve.shape, default=0)
    ):
        raise ValueError(
            f"{path}: must be one decay curve [samples] (found {curve.dtype} {curve.shape})."
        )
    return curve.reshape(-1)


def _rows_of(files: list[Path], numbers: list[tuple[int, int]], table: Table) -> NDArray[np.intp]:
    """Return the table row of each file."""
    keys = _keys(table, unique_rooms=len({room for room, _ in numbers}) == len(numbers))
    row_of = {key: row for row, key in enumerate(keys)}
    if len(row_of) == len(keys) > 0:
        unmatched = [path for path, key in zip(files, numbers, strict=True) if key not in row_of]
        if not unmatched:
            return np.array([row_of[key] for key in numbers])
        raise ValueError(
            f"{table.path}: needs a row for each of the {len(files):,} curves ("
            f"{len(unmatched):,} have none by filename or by ID and case, first "
            f"{unmatched[0].name})."
        )
    # Nothing names the curves, so rows and files must be in the same order.
    if len(files) == len(table):
        return np.arange(len(files))
    raise ValueError(
        f"{table.path}: needs a row for each of the {len(files):,} curves (found "
        f"{len(table):,}), or columns filename, or ID and case, that identify them."
    )


def _keys(table: Table, *, unique_rooms: bool) -> list[Any]:
    """Return (number, case) of each row's curve; an empty list if no column names them."""
    if "filename" in table.columns:
        return [_numbers(Path(name)) for name in table.columns["filename"]]
    rooms, cases = table.columns.get("id"), table.columns.get("case")
    if rooms is not None and cases is None and unique_rooms:
        cases = ["0"] * len(rooms)
    if rooms is None or cases is None:
        return []
    return [(_whole(room), _whole(case)) for room, case in zip(rooms, cases, strict=True)]


def _table(named: Path | None, folders: list[Path], rows: int) -> Table:
    """Return the named table, or the only matching one in `folders`."""
    if named is not None:
        return read_table(named)
    found, refused = [], []
    for path in (path for folder in folders for path in sorted(folder.glob("*.csv"))):
        try:
            table = read_table(path)
        except ValueError as error:
            refused.append(str(error))
            continue
        if len(table) == rows:
            found.append(table)
        else:
            refused.append(f"{path}: has {len(table):,} rows.")
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(table.path) for table in found)
        raise ValueError(f"features_path: several CSVs fit ({names}). Name one of them.")
    seen = "".join(f"\n  {reason}" for reason in refused) or " There is no CSV at all."
    raise ValueError(
        f"features_path: no CSV with {rows:,} rows of room features in {folders[0]}. Name one."
        f"{seen}"
    )


def _numbers(path: Path) -> tuple[int, int] | None:
    """Return room and case from a name such as ``RIR_017_case3_edc.npy``."""
    match = _FILE.fullmatch(path.stem)
    return (int(match[1]), int(match[2] or 0)) if match else None


def _whole(text: str) -> int | str:
    """Return ``7`` for ``"7"``, ``"007"`` and ``"7.0"``; other texts unchanged."""
    match = re.fullmatch(r"0*(\d+)(?:\.0*)?", text)
    return int(match[1]) if match else text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _with_nearest(name: str, columns: list[str]) -> str:
    close = difflib.get_close_matches(_plain(name), [_plain(column) for column in columns], n=1)
    there = next((column for column in columns if close and _plain(column) == close[0]), None)
    return f"{name} (nearest column: {there})" if there else name
