"""Where the files of a run are: by our names, by the usual ones, or as ``sweep-runs.yaml`` states.

Such a file holds for its folder and for all below, unless there is a nearer one. Its patterns are
relative to a run folder; ``arrays.npz:truth`` names one array of an ``.npz`` file.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, nearest
from orchestrator.files import regular
from orchestrator.files.series_names import SPLITS
from orchestrator.runs.layout import array_name

ROLES = ("predictions", "targets")
MANIFEST = "sweep-runs.yaml"

_OTHER = {"predictions": "targets", "targets": "predictions"}
_PREFIXES = {"test": ("", "test_"), "val": ("val_", "valid_"), "train": ("train_",)}
# What tools call the two, without split and ending; ours first.
_USUAL_NAMES = {
    "predictions": ("predictions", "preds", "pred", "y_pred", "y_hat", "prediction"),
    "targets": ("targets", "true", "y_true", "target", "y_test", "ground_truth", "gt"),
}
_MOST_BYTES = 4 << 20  # of a ``sweep-runs.yaml``
_MOST_ZIPS = 20

_ARRAY_KEYS = {
    **{role: ("", role) for role in ROLES},
    **{f"{split}_{role}": (split, role) for split in ("val", "train") for role in ROLES},
}
GROUP_KEYS = ("groups", "val_groups", "train_groups")
_TEXT_KEYS = (*_ARRAY_KEYS, *GROUP_KEYS, "runs", "split", "metrics", "config", "logged")
_KEYS = (*_TEXT_KEYS, "rate")


@dataclass(frozen=True)
class Source:
    """One array: an ``.npy`` file, or the array `key` of an ``.npz`` file."""

    path: Path
    key: str | None = None


Places = Mapping[tuple[str, str], Source]
"""Split and role to the place of that array, for the arrays that exist."""


def own_places(folder: Path) -> Places:
    """Return the arrays of a run folder that have our names."""
    paths = {(split, role): folder / array_name(role, split) for split in SPLITS for role in ROLES}
    return {place: Source(path) for place, path in paths.items() if path.exists()}


def usual_places(folder: Path, names: Collection[str]) -> Places:
    """Return the arrays of another tool among the files `names` of a folder."""
    found = {key: Source(folder / name) for key, name in _usual(names, ".npy").items()}
    if found:
        return found
    # An archive counts if it holds both arrays of a split; only its table of contents is read.
    archives = sorted(name for name in names if name.endswith(".npz"))[:_MOST_ZIPS]
    if archives:
        import zipfile
    for archive in archives:
        try:
            with zipfile.ZipFile(folder / archive) as opened:
                inside = _usual({name.removesuffix(".npy") for name in opened.namelist()})
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
            continue
        for (split, role), key in inside.items():
            if (split, _OTHER[role]) in inside:
                found.setdefault((split, role), Source(folder / archive, key))
    return found


def _usual(names: Collection[str], ending: str = "") -> dict[tuple[str, str], str]:
    """Return the name of each array among `names`; of several the most usual one."""
    found = {}
    for split, prefixes in _PREFIXES.items():
        for role, usual in _USUAL_NAMES.items():
            full = [f"{prefix}{name}{ending}" for name in usual for prefix in prefixes]
            first = next((name for name in full if name in names), None)
            if first is not None:
                found[split, role] = first
    return found


def last_match(folder: Path, pattern: str) -> Path | None:
    """Return the last file by name in `folder` that `pattern` matches, None if there is none."""
    with suppress(OSError):  # a name may be longer than any file's
        return max((path for path in folder.glob(pattern) if path.is_file()), default=None)
    return None


@dataclass(frozen=True)
class Manifest:
    """The content of a ``sweep-runs.yaml``."""

    path: Path
    runs: str = ""  # pattern of the run folders, relative to the file's folder; "" for any
    # Split and role to a pattern, followed by ``:key`` for an ``.npz`` file.
    arrays: Mapping[tuple[str, str], str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)  # split, with _groups, to a pattern
    metrics: str | None = None  # what the arrays are, as "edc"
    rate_hz: float | None = None  # samples per second of the arrays
    config: str = ""  # pattern of the file with the parameters; "" for the usual ones
    logged: str = ""  # pattern of the file with the last metrics; "" for the usual ones

    @cached_property
    def run_folders(self) -> frozenset[Path]:
        """The folders that `runs` matches; none if it is not stated."""
        with suppress(OSError):
            found = self.path.parent.glob(self.runs) if self.runs else ()
            return frozenset(path for path in found if path.is_dir())
        return frozenset()

    def sources(self, folder: Path) -> Places:
        """Return the arrays of a run folder that the patterns match."""
        found = {}
        for key, pattern in self.arrays.items():
            files, _, inner = pattern.partition(":")
            path = last_match(folder, files)
            if path is not None:
                found[key] = Source(path, inner or None)
        return found


def read_manifest(path: Path) -> Manifest:
    """Return the content of a ``sweep-runs.yaml``; raise UsageError if it is not valid."""
    from orchestrator.sweepfile.yaml import LenientError, read_yaml

    try:
        raw = read_yaml(regular.read_bytes(path, path.parent, _MOST_BYTES).decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, LenientError) as error:
        raise UsageError(f"{path}: cannot be read ({error}). Write a YAML mapping.") from None
    if raw is None:
        return Manifest(path)
    if not isinstance(raw, Mapping):
        raise UsageError(f"{path}: expected a mapping such as {{metrics: edc, rate: 48000}}.")
    if isinstance(raw.get("arrays"), Mapping):
        # The arrays may be grouped: "arrays: {predictions: ..., targets: ...}".
        raw = {key: value for key, value in raw.items() if key != "arrays"} | raw["arrays"]
    for key in raw:
        if key not in _KEYS:
            hint = nearest(str(key), _KEYS)
            raise UsageError(f"{path}: {key}: unknown key.{hint} Keys: {', '.join(_KEYS)}.")
    texts = {
        key: _text(f"{path}: {key}", key, raw[key])
        for key in _TEXT_KEYS
        if raw.get(key) is not None
    }
    split = texts.get("split", "test")
    if split not in SPLITS:
        raise UsageError(f"{path}: split: expected one of {', '.join(SPLITS)} (found {split!r}).")
    arrays = {
        (own or split, role): texts[key] for key, (own, role) in _ARRAY_KEYS.items() if key in texts
    }
    for own, role in arrays:
        if (own, _OTHER[role]) not in arrays:
            raise UsageError(
                f"{path}: {role}: the {own} {_OTHER[role]} are missing. Name both arrays."
            )
    groups = {key: texts[key] for key in GROUP_KEYS if key in texts}
    if split != "test" and "groups" in groups:
        groups.setdefault(f"{split}_groups", groups["groups"])
    rate = raw.get("rate")
    if rate is not None:
        is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not is_number or not math.isfinite(rate) or rate <= 0:
            raise UsageError(
                f"{path}: rate: expected a number above 0, in samples per second (found {rate!r})."
            )
    return Manifest(
        path,
        runs=texts.get("runs", ""),
        arrays=arrays,
        groups=groups,
        metrics=texts.get("metrics"),
        rate_hz=None if rate is None else float(rate),
        config=texts.get("config", ""),
        logged=texts.get("logged", ""),
    )


def _text(where: str, key: str, value: Any) -> str:
    """Return the value of a key, checked for what `Path.glob` raises for or finds elsewhere."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: expected text (found {value!r}).")
    if key in ("split", "metrics"):
        return value
    if value.startswith("/") or ".." in Path(value).parts:
        raise UsageError(
            f"{where}: leads out of the run folder (found {value!r}). Write a path relative to it."
        )
    parts = Path(value.partition(":")[0]).parts
    if not parts or "\0" in value:
        raise UsageError(f"{where}: names no file or folder (found {value!r}).")
    if any("**" in part and part != "**" for part in parts):
        raise UsageError(
            f"{where}: ** is allowed only between slashes (found {value!r}). Write * or **/*."
        )
    return value
