"""``sweep-runs.yaml``: what the run folders beside it mean, where their names do not say it.

::

    runs: "2025-*/seed*"              # which folders are runs; by default those that look like it
    predictions: out/model_out.npy    # relative to a run folder; * and ? are allowed
    targets: arrays.npz:truth         # one array of an .npz file
    split: val                        # what those two are of: test (the default), val or train
    metrics: edc                      # what the arrays are, as `sweep compare --metrics`
    rate: 48000                       # samples per second
    config: settings.yaml             # where the parameters stand
    logged: summary.json              # where the last metrics stand

It holds for the folder that it stands in and for all below, unless a nearer one says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, nearest
from orchestrator.runs.foreign.array_files import ROLES, SPLITS, Source
from orchestrator.sweepfile.yaml import LenientError, read_yaml

FILE = "sweep-runs.yaml"
_ARRAYS = {
    "predictions": ("", "predictions"),
    "targets": ("", "targets"),
    "val_predictions": ("val", "predictions"),
    "val_targets": ("val", "targets"),
    "train_predictions": ("train", "predictions"),
    "train_targets": ("train", "targets"),
}
_TEXTS = (*_ARRAYS, "runs", "split", "metrics", "config", "logged")
KEYS = (*_TEXTS, "rate")


@dataclass(frozen=True)
class Manifest:
    """What somebody says of run folders.

    Attributes:
        path: the file that says it.
        runs: pattern of the folders that are runs, relative to the file's folder; "" for any.
        arrays: split and role to a pattern, with ``:key`` behind it for an ``.npz`` file.
        metrics: what the arrays are, as ``edc``; None if it is not said.
        rate_hz: samples per second of the arrays; None if it is not said.
        config: pattern of the file with the parameters; "" for the usual ones.
        logged: pattern of the file with the last metrics; "" for the usual ones.
    """

    path: Path
    runs: str = ""
    arrays: Mapping[tuple[str, str], str] = field(default_factory=dict)
    metrics: str | None = None
    rate_hz: float | None = None
    config: str = ""
    logged: str = ""

    def run_folders(self) -> list[Path]:
        """Return the folders that `runs` names, in order; none if it is not said."""
        if not self.runs:
            return []
        return sorted(path for path in self.path.parent.glob(self.runs) if path.is_dir())

    def sources(self, folder: Path) -> dict[tuple[str, str], Source]:
        """Return the arrays that the patterns find in a run folder, those that there are.

        Of several files that a pattern finds, the last by name is taken.
        """
        found = {}
        for key, pattern in self.arrays.items():
            files, _, inner = pattern.partition(":")
            path = self.file(folder, files)
            if path is not None:
                found[key] = Source(path, inner or None)
        return found

    @staticmethod
    def file(folder: Path, pattern: str) -> Path | None:
        """Return the last file in `folder` that `pattern` finds, None if there is none."""
        found = sorted(path for path in folder.glob(pattern) if path.is_file()) if pattern else []
        return found[-1] if found else None


def read_manifest(path: Path) -> Manifest:
    """Return what a ``sweep-runs.yaml`` says.

    Raises:
        UsageError: it cannot be read, or a key or value of it is none.
    """
    try:
        raw = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, LenientError) as error:
        raise UsageError(f"{path}: must be a file of YAML, but {error}.") from None
    if raw is None:
        return Manifest(path)
    if not isinstance(raw, Mapping):
        raise UsageError(f"{path}: must hold a mapping such as {{metrics: edc, rate: 48000}}.")
    for key in raw:
        if key not in KEYS:
            raise UsageError(
                f"{path}: {key}: must be one of {', '.join(KEYS)}.{nearest(str(key), KEYS)}"
            )
    texts = {key: _text(path, key, raw[key]) for key in _TEXTS if raw.get(key) is not None}
    split = texts.get("split", "test")
    if split not in SPLITS:
        raise UsageError(f"{path}: split: must be one of {', '.join(SPLITS)}, but got {split!r}.")
    arrays = {
        (of or split, role): texts[key] for key, (of, role) in _ARRAYS.items() if key in texts
    }
    for of, role in arrays:
        other = ROLES[1 - ROLES.index(role)]
        if (of, other) not in arrays:
            raise UsageError(
                f"{path}: {role}: must come with {other}, but stands alone for the {of} arrays."
            )
    return Manifest(
        path,
        runs=texts.get("runs", ""),
        arrays=arrays,
        metrics=texts.get("metrics"),
        rate_hz=_rate(path, raw.get("rate")),
        config=texts.get("config", ""),
        logged=texts.get("logged", ""),
    )


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{path}: {key}: must be text, but got {value!r}.")
    if key not in ("split", "metrics") and (value.startswith("/") or ".." in Path(value).parts):
        raise UsageError(
            f"{path}: {key}: must stay inside the run folder, but got {value!r}. Write it "
            "relative to that."
        )
    if key not in ("split", "metrics"):
        _check_pattern(path, key, value)
    return value


def _check_pattern(path: Path, key: str, value: str) -> None:
    """Refuse what no file can be called and what `Path.glob` raises for.

    Raises:
        UsageError: `value` is no such pattern.
    """
    parts = Path(value.partition(":")[0]).parts
    if not parts or "\0" in value:
        raise UsageError(f"{path}: {key}: must name files or folders, but got {value!r}.")
    if any("**" in part and part != "**" for part in parts):
        raise UsageError(
            f"{path}: {key}: must have ** between slashes, but got {value!r}. Write one *, or **/*."
        )


def _rate(path: Path, value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise UsageError(f"{path}: rate: must be above 0 samples per second, but got {value!r}.")
    return float(value)
