"""Folders next to runs that are runs too, but cannot be ranked, and names that tell runs apart."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from orchestrator.files import checkpoints
from orchestrator.runs.foreign import metadata

_LOG = re.compile(r"\.(log|out|err|csv|jsonl)$|^log\.txt$|tfevents", re.I)
_CONFIG = re.compile(r"^(metadata|config|args|params|hparams|opt)\.(json|ya?ml)$", re.I)
# fmt: off
_NEVER_RUNS = frozenset({
    "logs", "log", "slurm", "checkpoints", "ckpts", "weights", "models", "pretrained", "data",
    "dataset", "datasets", "code", "src", "conf", "config", "configs", "cache", "plots",
})
# fmt: on


class Entries(Protocol):
    """What is known of one folder."""

    files: frozenset[str]
    folders: list[Path]


def why_incomplete(path: Path, tree: Mapping[Path, Entries]) -> str | None:
    """Return why the folder next to runs has nothing to rank; None if it is no run at all."""
    if path.name.lower() in _NEVER_RUNS:
        return None
    found = list(_files(path, tree))
    if not found:
        return "the folder is empty"
    for pattern, what in (
        (checkpoints.FILE, "only a checkpoint"),
        (_LOG, "its log has no metrics"),
    ):
        for file in found:
            if pattern.search(file.name):
                return f"{what} ({file.relative_to(path)})"
    for file in found:
        if _CONFIG.search(file.name):
            why = metadata.read_object(file)[1] if file.suffix == ".json" else None
            return f"{file.name} cannot be read: {why}" if why else f"only {file.name}"
    return None


def _files(path: Path, tree: Mapping[Path, Entries]) -> Iterator[Path]:
    folder = tree.get(path)
    if folder is not None:
        yield from (path / name for name in sorted(folder.files))
        for below in folder.folders:
            yield from _files(below, tree)


def unique_names(paths: list[Path]) -> dict[Path, str]:
    """Return for each path the shortest end of it that no other path has.

    An end that many share tells nothing and is left out if each is the only one in its folder: of
    ``a/version_0`` and ``b/version_0`` the names are a and b.
    """
    whole = _without_shared_ends({path: Path(os.path.abspath(path)).parts for path in paths})
    names = {path: parts[-1] for path, parts in whole.items() if parts}
    for length in range(2, max(map(len, whole.values()), default=0) + 1):
        counts = Counter(names.values())
        longer = {path for path, name in names.items() if counts[name] > 1}
        if not longer:
            break
        names |= {path: str(Path(*whole[path][-length:])) for path in longer}
    return names


def _without_shared_ends(whole: dict[Path, tuple[str, ...]]) -> dict[Path, tuple[str, ...]]:
    below = Counter(parts[:n] for parts in whole.values() for n in range(1, len(parts) + 1))
    is_new = True
    while is_new:
        is_new = False
        same: dict[str, list[Path]] = {}
        for path, parts in whole.items():
            same.setdefault(parts[-1] if parts else "", []).append(path)
        for paths in same.values():
            is_lone = all(len(whole[p]) > 1 and below[whole[p][:-1]] == 1 for p in paths)
            if len(paths) > 1 and is_lone:
                whole = {**whole, **{path: whole[path][:-1] for path in paths}}
                is_new = True
    return whole
