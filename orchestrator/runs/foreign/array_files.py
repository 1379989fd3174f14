"""Where the arrays of a run stand: by our names, by the usual ones, or as somebody says.

Ours are ``predictions.npy`` and ``targets.npy``, ``val_`` and ``train_`` before them for other
splits. Of other tools a pair is also known by names such as ``y_pred.npy`` and ``y_true.npy``, as
two arrays in one ``.npz`` file, and in one folder below. What a ``sweep-runs.yaml`` says is
stronger than all of it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.runs.layout import RunDir

SPLITS = ("test", "val", "train")
ROLES = ("predictions", "targets")
NAMES = {
    "predictions": ("predictions", "preds", "pred", "y_pred", "y_hat", "prediction"),
    "targets": ("targets", "true", "y_true", "target", "y_test", "ground_truth", "gt"),
}
"""What tools call the two, without split and ending; ours first."""

_PREFIXES = {"test": ("", "test_"), "val": ("val_", "valid_"), "train": ("train_",)}
_MOST_ZIPS = 20


@dataclass(frozen=True)
class Source:
    """One array: an ``.npy`` file, or one of an ``.npz`` file.

    Attributes:
        path: the file.
        key: name of the array in an ``.npz`` file; None for an ``.npy`` file.
    """

    path: Path
    key: str | None = None

    @property
    def name(self) -> str:
        """The file's name, with the array's behind it."""
        return self.path.name if self.key is None else f"{self.path.name}:{self.key}"


Places = Mapping[tuple[str, str], Source]
"""Split and role to where that array is, for those that there are."""


def own_places(folder: Path) -> dict[tuple[str, str], Source]:
    """Return where our names say that the arrays of a run folder are."""
    run = RunDir(folder)
    files = {
        (split, role): run.predictions_file(split) if role == ROLES[0] else run.targets_file(split)
        for split in SPLITS
        for role in ROLES
    }
    return {key: Source(path) for key, path in files.items() if path.exists()}


def usual_places(folder: Path, names: Collection[str]) -> dict[tuple[str, str], Source]:
    """Return the arrays of another tool among the files `names` of a folder.

    A role that several files could play is played by the first of `NAMES`. Of an ``.npz`` file
    both roles must be in it; nothing of it is read but its table of contents.
    """
    found: dict[tuple[str, str], Source] = {}
    for split, prefixes in _PREFIXES.items():
        for role in ROLES:
            calls = [f"{prefix}{name}.npy" for name in NAMES[role] for prefix in prefixes]
            called = next((name for name in calls if name in names), None)
            if called is not None:
                found[split, role] = Source(folder / called)
    if not any(role in ROLES for _, role in found):
        archives = sorted(name for name in names if name.endswith(".npz"))
        for archive in archives[:_MOST_ZIPS]:
            for key, source in _in_archive(folder / archive).items():
                found.setdefault(key, source)
    return found


def _in_archive(path: Path) -> dict[tuple[str, str], Source]:
    keys = {name.removesuffix(".npy") for name in archive_names(path)}
    found: dict[tuple[str, str], Source] = {}
    for split, prefixes in _PREFIXES.items():
        pair = {}
        for role in ROLES:
            calls = [f"{prefix}{name}" for name in NAMES[role] for prefix in prefixes]
            called = next((name for name in calls if name in keys), None)
            if called is not None:
                pair[split, role] = Source(path, called)
        found |= pair if len(pair) == len(ROLES) else {}
    return found


def archive_names(path: Path) -> list[str]:
    """Return the names in an ``.npz`` file; none if it is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []
