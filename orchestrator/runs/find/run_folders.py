"""Find run folders in any folder tree, those of our own sweeps and those of other tools."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError
from orchestrator.files import atomic
from orchestrator.runs.find.folder_tree import Folder, walk
from orchestrator.runs.foreign import metadata
from orchestrator.runs.foreign.array_files import ROLES, Places, own_places, usual_places
from orchestrator.runs.foreign.manifest import FILE, Manifest, read_manifest
from orchestrator.runs.foreign.tools import Tool, recognise
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState

_DIGITS = re.compile(r"(\d+)")
_TRACES = re.compile(
    r"\.(ckpt|pt|pth|h5|keras|safetensors|log|out)$|tfevents|^(results|history|training)\.csv$"
)
_ARRAY_FILES = frozenset((*metadata.NEEDED, *metadata.VALIDATION))


@dataclass(frozen=True)
class SweepInfo:
    """What a ranking needs to know of the sweep that a run belongs to.

    Attributes:
        name: the sweep's name.
        path: its folder, absolute.
        metric: the metric that ranks it; "" if none is known.
        goal: ``"minimize"`` or ``"maximize"``, for `metric`.
        targets: metric name to bound, as ``{"t20_mae": "<= 0.02"}``.
        tiers: tier to such targets, the least demanding first.
        expect: milestone to bound, as ``{"train_mse@5": "< 0.2"}``.
        stages: names of its stages, in their order.
        has_baseline: True if its first trial is the baseline of an ablation.
        references: name to ``{"metrics": {...}, "path": ...}``.
        seed_parameter: the parameter by which the replicates of a config differ.
        is_program: True if the user's own script made the arrays.
        lives: True while a driver runs it.
    """

    name: str
    path: Path
    metric: str = ""
    goal: str = "minimize"
    targets: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    expect: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    has_baseline: bool = False
    references: Mapping[str, Any] = field(default_factory=dict)
    seed_parameter: str = "seed"
    is_program: bool = False
    lives: bool = False

    @classmethod
    def load(cls, sweep: SweepDir) -> SweepInfo | None:
        """Return what the folder of a sweep holds; None if it is none."""
        record = SweepRecord.load(sweep)
        spec: dict[str, Any] = atomic.read_json(sweep.spec_file) or {}
        if record is None and not spec:
            return None
        stages = spec.get("stages")
        named = _map(spec.get("metric"))
        return cls(
            name=record.sweep if record is not None else str(spec.get("name") or sweep.name),
            path=sweep.path,
            metric=(record.metric if record is not None else "") or str(named.get("name") or ""),
            goal=record.goal if record is not None else str(named.get("goal") or "minimize"),
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


@dataclass(frozen=True)
class RunFolder:
    """One run folder that was found.

    Attributes:
        path: the folder, below the path that was given.
        files: names of its files.
        sweep: the sweep of ours that it belongs to, or None.
        record: the trial's record, or None for a folder of another tool.
        places: where its arrays are.
        tool: the tool that made it, if it is known.
        manifest: the ``sweep-runs.yaml`` that describes it, or None.
        error: why the folder could not be read, or None.
    """

    path: Path
    files: frozenset[str] = frozenset()
    sweep: SweepInfo | None = None
    record: TrialRecord | None = None
    places: Places = field(default_factory=dict)
    tool: Tool | None = None
    manifest: Manifest | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """The trial's name, or the folder's."""
        if self.record is not None:
            return self.record.name
        return self.path.name or self.path.resolve().name

    @property
    def state(self) -> TrialState | None:
        """The trial's state as it is now; None for a folder of another tool."""
        return None if self.record is None else self.record.state_now(self._may_run)[0]

    @property
    def reason(self) -> str | None:
        """Why the trial is in its state."""
        return None if self.record is None else self.record.state_now(self._may_run)[1]

    @property
    def _may_run(self) -> bool:
        return self.sweep is None or self.sweep.lives

    @property
    def missing(self) -> list[str]:
        """The arrays without which it cannot be ranked."""
        # A run whose arrays are of one other split only is ranked by that.
        splits = {split for split, _ in self.places}
        split = "test" if "test" in splits or not splits or self.is_ours else min(splits)
        names = {} if self.manifest is None else self.manifest.arrays
        return [
            names.get((split, role), f"{'' if split == 'test' else f'{split}_'}{role}.npy")
            for role in ROLES
            if (split, role) not in self.places
        ]

    @property
    def is_ours(self) -> bool:
        """True for a trial of a sweep."""
        return self.record is not None or self.sweep is not None


def find_runs(paths: Iterable[Path]) -> list[RunFolder]:
    """Return the run folders at and below `paths`, each once, in natural order of their paths.

    A run folder is a trial of ours, a folder that another tool made, one that holds any of
    predictions, targets, metadata or metrics, one that a ``sweep-runs.yaml`` names, or an empty
    leaf next to such folders. Arrays in the one folder below a run are that run's. Hidden folders
    are passed over.

    Raises:
        NotFoundError: one of `paths` does not exist or is no folder.
        UsageError: a ``sweep-runs.yaml`` is not valid.
    """
    tree: dict[Path, Folder] = {}
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "no such folder"
            raise NotFoundError(f"{path}: {what}. Name a folder with runs.")
        walk(path, tree, seen)
    finder = _Finder(tree)
    found = finder.runs()
    for folder in tree.values():
        if any(path in found for path in folder.folders):
            for path in folder.folders:
                if path not in found and path in tree and tree[path].is_empty:
                    found[path] = RunFolder(path)
    return [found[path] for path in sorted(found, key=_natural)]


class _Finder:
    """Separates the runs of a tree from its other folders."""

    def __init__(self, tree: Mapping[Path, Folder]) -> None:
        self._tree = tree
        self._sweeps: dict[Path, SweepInfo | None] = {}
        self._manifests: dict[Path, Manifest | None] = {}
        self._named: dict[Path, frozenset[Path]] = {}
        self._parts: set[Path] = set()

    def runs(self) -> dict[Path, RunFolder]:
        """Return the runs by their paths."""
        found = {}
        for path, folder in self._tree.items():  # parents come before what is in them
            if path in self._parts:
                self._parts.update(folder.folders)
                continue
            run = self._as_run(path, folder)
            if run is not None:
                found[path] = run
        return found

    def _as_run(self, path: Path, folder: Folder) -> RunFolder | None:
        if folder.error is not None:
            return RunFolder(path, error=folder.error)
        # Not resolve, which would leave the tree of a link.
        place = Path(os.path.abspath(path))
        record = TrialRecord.load(RunDir(path)) if "state.json" in folder.files else None
        sweep = None
        if RunDir(place).number is not None and place.parent.name == "trials":
            sweep = self._sweep(place.parent.parent)
        if record is not None or sweep is not None:
            self._parts.update(folder.folders)
            return RunFolder(path, folder.files, sweep, record, places=own_places(path))
        return self._foreign(path, folder)

    def _sweep(self, path: Path) -> SweepInfo | None:
        if path not in self._sweeps:
            self._sweeps[path] = SweepInfo.load(SweepDir(path))
        return self._sweeps[path]

    def _foreign(self, path: Path, folder: Folder) -> RunFolder | None:
        manifest = self._manifest(path)
        named = self._named.get(manifest.path) if manifest is not None else None
        is_named = named is not None and path in named
        if named and not is_named:
            return None
        tool = recognise(folder.names)
        places: Places = usual_places(path, folder.files)
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
            or (tool is not None and (tool.is_own or _left_something(folder)))
        )
        if not is_run:
            return None
        self._parts.update(inner)
        return RunFolder(path, folder.files, places=places, tool=tool, manifest=manifest)

    def _below(self, folder: Folder) -> tuple[Places, Path | None]:
        """Return the arrays in the one folder below that has any and is no run itself."""
        found = []
        for below in folder.folders:
            inside = self._tree.get(below)
            if inside is None or recognise(inside.names) is not None:
                continue
            if any(metadata.is_run_file(name) for name in inside.files - _ARRAY_FILES):
                continue
            places = usual_places(below, inside.files)
            if places:
                found.append((places, below))
        return found[0] if len(found) == 1 else ({}, None)

    def _manifest(self, path: Path) -> Manifest | None:
        """Return the nearest ``sweep-runs.yaml`` in the folder or above it, within the tree."""
        if path in self._manifests:
            return self._manifests[path]
        folder = self._tree.get(path)
        if folder is not None and FILE in folder.files:
            manifest: Manifest | None = read_manifest(path / FILE)
            assert manifest is not None
            self._named[manifest.path] = frozenset(manifest.run_folders())
        else:
            manifest = self._manifest(path.parent) if path.parent in self._tree else None
        self._manifests[path] = manifest
        return manifest


def _left_something(folder: Folder) -> bool:
    """Return whether a folder with a config also holds what only a run leaves."""
    return any(_TRACES.search(name) for name in folder.files)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in _map(value).items()}


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sorting key under which run2 comes before run10."""
    key = []
    for part in path.parts:
        for piece in _DIGITS.split(part):
            key.append((0, int(piece), piece) if piece.isdecimal() else (1, 0, piece))
        key.append((-1, 0, ""))
    return key
