"""Which samples of a run are related: one label for each, in an array or a column of a table.

``speakers.npy`` is an array, ``arrays.npz:speaker`` one of an archive, and ``results.csv:speaker``
(or ``.tsv``, ``.parquet``) a column, whose labels may be text.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from orchestrator.errors import nearest
from orchestrator.files import regular
from orchestrator.metrics import ArrayProblem
from orchestrator.runs.foreign.run_files import last_match
from orchestrator.runs.read.arrays import load_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

_USUAL = "groups.npy"
_DELIMITERS = ";\t|,"


def group_file(data: Mapping[str, Any], split: str = "test") -> tuple[str, str]:
    """Return the file with the groups of a split, relative to the run, and its column or "".

    Args:
        data: what is known of the arrays; ``groups`` names the file of the test split. That of
            another split has a name of its own (``val_groups``), or ``val_`` before the same name.
    """
    own = data.get("groups" if split == "test" else f"{split}_groups")
    named = own if isinstance(own, str) else str(data.get("groups") or _USUAL)
    file, _, column = named.partition(":")
    if own is None and split != "test":
        file = str(PurePath(file).with_name(f"{split}_{PurePath(file).name}"))
    return file, column


def load_groups(
    folder: Path, data: Mapping[str, Any], split: str, n_samples: int
) -> NDArray[Any] | None:
    """Return the number of the group of each sample [N], from 0; None if none are stated.

    Raises:
        ArrayProblem: what `data` names is missing, or is not one label for each sample.
    """
    import numpy as np

    file, column = group_file(data, split)
    is_pattern = any(sign in file for sign in "*?[") and not file.startswith("/")
    path = last_match(folder, file) if is_pattern else folder / file
    if path is None or not os.path.exists(path):
        if isinstance(data.get("groups"), str):
            raise ArrayProblem(f"{file}, which states which samples are related, is missing")
        return None
    if not column or path.suffix == ".npz":
        labels = load_array(path, column or None)
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise ArrayProblem(f"{path.name} has samples without a group")
    else:
        labels = np.asarray(_column(path, column, is_ours=not regular.leads_out(path, folder)))
    if labels.shape != (n_samples,):
        raise ArrayProblem(f"{path.name} has the shape {labels.shape} for {n_samples:,} samples")
    return np.asarray(np.unique(labels, return_inverse=True)[1])


def _column(path: Path, name: str, *, is_ours: bool) -> list[str]:
    """Return the labels in a column as text, so that numbers and text are treated alike.

    What a file that is not `is_ours` holds is not quoted: a stranger may have named it.
    """
    try:
        content = regular.read_bytes(path)
        labels = (_of_parquet if path.suffix == ".parquet" else _of_text)(content, name)
    except ArrayProblem as error:
        what = error if is_ours else f"has no column {name}"
        raise ArrayProblem(f"{path.name} {what}") from None
    except (OSError, ValueError, csv.Error) as error:
        why = getattr(error, "strerror", None) or (error if is_ours else "it is no table")
        raise ArrayProblem(f"{path.name} cannot be read: {why}") from None
    empty = next((place for place, label in enumerate(labels, 1) if label == ""), None)
    if empty is not None:
        raise ArrayProblem(f"{path.name} has no {name} in row {empty:,}")
    return labels


def _of_text(content: bytes, name: str) -> list[str]:
    lines = io.StringIO(content.decode("utf-8-sig"), newline="")
    first = lines.readline()
    lines.seek(0)
    rows = csv.reader(lines, delimiter=max(_DELIMITERS, key=first.count))
    place = _place(next(rows, []), name)
    return [row[place].strip() if place < len(row) else "" for row in rows if row]


def _of_parquet(content: bytes, name: str) -> list[str]:
    from pyarrow import BufferReader
    from pyarrow.parquet import ParquetFile

    table = ParquetFile(BufferReader(content))
    _place(table.schema_arrow.names, name)
    values = table.read(columns=[name]).column(0).to_pylist()
    return ["" if value is None or str(value) == "nan" else str(value) for value in values]


def _place(names: list[str], name: str) -> int:
    names = [each.strip() for each in names]
    if name not in names:
        found = ", ".join(names[:8]) or "none"
        raise ArrayProblem(f"has no column {name} (found: {found}).{nearest(name, names)}")
    return names.index(name)
