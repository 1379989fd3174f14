"""Find run folders in any folder tree, those of our own sweeps and those of other tools."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError
from orchestrator.files import atomic
from orchestrator.runs.foreign import metadata, run_files
from orchestrator.runs.foreign.run_files import ROLES, Manifest, Places
from orchestrator.runs.foreign.tools import Tool, recognize
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState

_DIGITS = re.compile(r"(\d+)")
# What only a run leaves behind, and a folder with a mere config does not have.
_TRACES = re.compile(
    r"\.(ckpt|pt|pth|h5|keras|safetensors|log|out)$|tfevents|^(results|history|training)\.csv$"
)
_ARRAY_FILES = frozenset((*metadata.NEEDED, *metadata.VALIDATION))
_HIDDEN_MARKS = (".hydra",)  # hidden folders that identify a tool; all others are skipped


@dataclass(frozen=True)
class SweepInfo:
    """What a ranking needs to know of the sweep that a run belongs to."""

    name: str
    path: Path  # absolute
    metric: str = ""  # the metric that ranks it, if known
    goal: str = "minimize"  # or "maximize"
    targets: Mapping[str, str] = field(default_factory=dict)  # {"t20_mae": "<= 0.02"}
    tiers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # least demanding first
    expect: Mapping[str, str] = field(default_factory=dict)  # {"train_mse@5": "< 0.2"}
    stages: tuple[str, ...] = ()  # in their order
    has_baseline: bool = False  # its first trial is the baseline of an ablation
    references: Mapping[str, Any] = field(default_factory=dict)  # name to metrics and path
    seed_parameter: str = "seed"  # by which the replicates of a config differ
    is_program: bool = False  # the user's own script made the arrays
    lives: bool = False  # a driver runs it

    @classmethod
    def load(cls, sweep: SweepDir) -> SweepInfo | None:
        """Return what the folder of a sweep holds; None if it is not a sweep's."""
        record = SweepRecord.load(sweep)
        spec: dict[str, Any] = atomic.read_json(sweep.spec_file) or {}
        if record is None and not spec:
            return None
        metric = _map(spec.get("metric"))
        if record is None:
            record = SweepRecord(
                str(spec.get("name") or sweep.name), goal=str(metric.get("goal") or "minimize")
            )
        stages = spec.get("stages")
        return cls(
            name=record.sweep,
            path=sweep.path,
            metric=record.metric or str(metric.get("name") or ""),
            goal=record.goal,
            targets=_texts(spec.get("targets")),
            tiers={str(tier): _texts(bounds) for tier, bounds in _map(spec.get("tiers")).items()},
            expect=_texts(spec.get("expect")),
            stages=tuple(
                str(stage.get("name"))
                for stage in (stages if isinstance(stages, list) else ())
                if isinstance(stage, dict)
            ),
            has_baseline=bool(spec.get("ablate")),
            references=_map(spec.get("references")),
            seed_parameter=str(spec.get("seed_parameter") or "seed"),
            is_program=spec.get("program") is not None,
            lives=sweep.driver_lives(),
        )


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in _map(value).items()}


@dataclass(frozen=True)
class RunFolder:
    """One run folder that was found."""

    path: Path  # below the path that was given
    files: frozenset[str] = frozenset()
    sweep: SweepInfo | None = None  # the sweep of ours that it belongs to
    record: TrialRecord | None = None  # None for a folder of another tool
    places: Places = field(default_factory=dict)
    tool: Tool | None = None  # that made it, if known
    manifest: Manifest | None = None  # the ``sweep-runs.yaml`` that describes it
    error: str | None = None  # why it cannot be read

    @property
    def name(self) -> str:
        """The trial's name, or the folder's."""
        if self.record is not None:
            return self.record.name
        return self.path.name or self.path.resolve().name

    @property
    def state(self) -> TrialState | None:
        """The trial's state as it is now; None for a folder of another tool."""
        return self._state_and_reason[0]

    @property
    def reason(self) -> str | None:
        """Why the trial is in its state."""
        return self._state_and_reason[1]

    @property
    def _state_and_reason(self) -> tuple[TrialState | None, str | None]:
        if self.record is None:
            return None, None
        return self.record.state_now(driver_lives=self.sweep is None or self.sweep.lives)

    @property
    def is_ours(self) -> bool:
        """True for a trial of a sweep."""
        return self.record is not None or self.sweep is not None

    @property
    def missing(self) -> list[str]:
        """Names of the arrays without which it cannot be ranked."""
        # A run whose arrays are of one other split only is ranked by that.
        splits = {split for split, _ in self.places}
        split = "test" if "test" in splits or not splits or self.is_ours else min(splits)
        names = {} if self.manifest is None else self.manifest.arrays
        return [
            names.get((split, role), f"{'' if split == 'test' else f'{split}_'}{role}.npy")
            for role in ROLES
            if (split, role) not in self.places
        ]


def find_runs(paths: Iterable[Path]) -> list[RunFolder]:
    """Return the run folders at and below `paths`, each once, in natural order of their paths.

    A run folder is a trial of ours, a folder that another tool made, one that holds any of
    predictions, targets, metadata or metrics, one that a ``sweep-runs.yaml`` names, or an empty
    leaf next to such folders. Arrays in the one folder below a run are that run's.

    Raises:
        NotFoundError: one of `paths` does not exist or is not a folder.
        UsageError: a ``sweep-runs.yaml`` is not valid.
    """
    tree: dict[Path, _Folder] = {}
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "no such folder"
            raise NotFoundError(f"{path}: {what}. Name a folder with runs.")
        _walk(path, tree, seen)
    found = _Finder(tree).runs()
    for folder in tree.values():
        if any(path in found for path in folder.folders):
            for path in folder.folders:
                if path not in found and path in tree and tree[path].is_empty:
                    found[path] = RunFolder(path)
    return [found[path] for path in sorted(found, key=_natural)]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sorting key under which run2 comes before run10."""
    key = []
    for part in path.parts:
        for piece in _DIGITS.split(part):
            key.append((0, int(piece), piece) if piece.isdecimal() else (1, 0, piece))
        key.append((-1, 0, ""))
    return key


@dataclass
class _Folder:
    """One folder: the names of its files, the folders below, and its hidden marks."""

    files: frozenset[str] = frozenset()
    folders: list[Path] = field(default_factory=list)
    marks: frozenset[str] = frozenset()
    error: str | None = None

    @property
    def names(self) -> frozenset[str]:
        return self.files | {path.name for path in self.folders} | self.marks

    @property
    def is_empty(self) -> bool:
        return not self.names and self.error is None


def _walk(root: Path, tree: dict[Path, _Folder], seen: set[tuple[int, int]]) -> None:
    """Add `root` and every folder below it to `tree`, parents before what is in them.

    Links are followed after everything else, so that a folder is found under its own name; one
    that leads back up is not followed. `seen` holds device and inode of the folders in `tree`.
    """
    waiting = deque([root])
    links: deque[Path] = deque()
    while waiting or links:
        path = waiting.popleft() if waiting else links.popleft()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list(os.scandir(path))
        except OSError as error:
            tree[path] = _Folder(error=f"cannot be read: {error.strerror}")
            continue
        files, folders, marks = [], [], []
        for entry in entries:
            name = entry.name
            # A link to itself, or into a place that may not be looked at, cannot be read.
            with suppress(OSError):
                if name in _HIDDEN_MARKS and entry.is_dir():
                    marks.append(name)
                elif name.startswith(".") or name == "__pycache__":
                    continue
                elif entry.is_file():  # neither a link to nowhere nor a pipe, which may block
                    files.append(name)
                elif entry.is_dir() and not (entry.is_symlink() and _leads_up(path / name)):
                    folders.append(path / name)
                    (links if entry.is_symlink() else waiting).append(path / name)
        tree[path] = _Folder(frozenset(files), folders, frozenset(marks))


def _leads_up(link: Path) -> bool:
    try:
        return link.parent.resolve().is_relative_to(link.resolve(strict=True))
    except (OSError, RuntimeError):
        return True


class _Finder:
    """Separates the runs of a tree from its other folders."""

    def __init__(self, tree: Mapping[Path, _Folder]) -> None:
        self._tree = tree
        self._sweeps: dict[Path, SweepInfo | None] = {}
        self._manifests: dict[Path, Manifest | None] = {}
        self._named: dict[Path, frozenset[Path]] = {}  # the run folders of each manifest
        self._parts: set[Path] = set()  # folders that belong to a run above them

    def runs(self) -> dict[Path, RunFolder]:
        """Return the runs by their paths."""
        found = {}
        for path, folder in self._tree.items():  # parents come before what is in them
            if path in self._parts:
                self._parts.update(folder.folders)
                continue
            run = self._own_trial(path, folder) or self._foreign(path, folder)
            if run is not None:
                found[path] = run
        return found

    def _own_trial(self, path: Path, folder: _Folder) -> RunFolder | None:
        if folder.error is not None:
            return RunFolder(path, error=folder.error)
        # Not resolve, which would leave the tree of a link.
        place = Path(os.path.abspath(path))
        record = TrialRecord.load(RunDir(path)) if "state.json" in folder.files else None
        sweep = None
        if RunDir(place).number is not None and place.parent.name == "trials":
            home = place.parent.parent
            if home not in self._sweeps:
                self._sweeps[home] = SweepInfo.load(SweepDir(home))
            sweep = self._sweeps[home]
        if record is None and sweep is None:
            return None
        self._parts.update(folder.folders)
        return RunFolder(path, folder.files, sweep, record, places=run_files.own_places(path))

    def _foreign(self, path: Path, folder: _Folder) -> RunFolder | None:
        manifest = self._manifest(path)
        named = self._named.get(manifest.path) if manifest is not None else None
        is_named = named is not None and path in named
        if named and not is_named:
            return None
        tool = recognize(folder.names)
        places = run_files.usual_places(path, folder.files)
        inner = [below for below in folder.folders if tool is not None and below.name in tool.inner]
        if tool is not None and not places:
            places, holder = self._below(folder)
            inner += [holder] if holder is not None else []
        if manifest is not None and manifest.arrays:
            places = {**places, **manifest.sources(path)}
        is_run = (
            is_named
            or any(metadata.is_run_file(name) for name in folder.files)
            or len({role for _, role in places}) == len(ROLES)
            or (tool is not None and tool.is_own)
            or (tool is not None and any(_TRACES.search(name) for name in folder.files))
        )
        if not is_run:
            return None
        self._parts.update(inner)
        return RunFolder(path, folder.files, places=places, tool=tool, manifest=manifest)

    def _below(self, folder: _Folder) -> tuple[Places, Path | None]:
        """Return the arrays in the one folder below that has any and is no run itself."""
        found = []
        for below in folder.folders:
            inside = self._tree.get(below)
            if inside is None or recognize(inside.names) is not None:
                continue
            if any(metadata.is_run_file(name) for name in inside.files - _ARRAY_FILES):
                continue
            places = run_files.usual_places(below, inside.files)
            if places:
                found.append((places, below))
        return found[0] if len(found) == 1 else ({}, None)

    def _manifest(self, path: Path) -> Manifest | None:
        """Return the nearest ``sweep-runs.yaml`` in the folder or above it, within the tree."""
        if path in self._manifests:
            return self._manifests[path]
        folder = self._tree.get(path)
        if folder is not None and run_files.MANIFEST in folder.files:
            manifest = run_files.read_manifest(path / run_files.MANIFEST)
            self._named[manifest.path] = manifest.run_folders()
            self._manifests[path] = manifest
        else:
            above = path.parent
            is_inside = above in self._tree and above != path  # "." is its own parent
            self._manifests[path] = self._manifest(above) if is_inside else None
        return self._manifests[path]
