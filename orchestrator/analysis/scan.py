"""Find run folders in any folder tree, those of our own sweeps and those of other tools."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError
from orchestrator.files import atomic
from orchestrator.runs import foreign
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState, driver_lives

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class SweepInfo:
    """What a ranking needs to know of the sweep that a run belongs to.

    Attributes:
        name: the sweep's name.
        path: its folder, absolute.
        metric: the metric that ranks it; "" where none is known.
        goal: ``"minimize"`` or ``"maximize"``, for `metric`.
        targets: metric name to bound, as ``{"t20_mae": "<= 0.02"}``.
        tiers: tier to such targets, the least demanding first.
        expect: milestone to bound, as ``{"train_mse@5": "< 0.2"}``.
        stages: names of its stages, in their order.
        has_baseline: True where its first trial is the baseline of an ablation.
        references: name to ``{"metrics": {...}, "path": ...}``.
        is_program: True where a person's own script made the arrays.
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
    is_program: bool = False
    lives: bool = False


@dataclass(frozen=True)
class RunFolder:
    """One run folder that was found.

    Attributes:
        path: the folder, below the path that was asked for.
        files: names of its files.
        sweep: the sweep of ours that it belongs to, or None.
        record: the trial's record, or None for a folder of another tool.
        error: why the folder could not be read, or None.
    """

    path: Path
    files: frozenset[str] = frozenset()
    sweep: SweepInfo | None = None
    record: TrialRecord | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """The trial's name, or the folder's."""
        if self.record is not None:
            return self.record.name
        return self.path.name or self.path.resolve().name

    @property
    def state(self) -> str | None:
        """The trial's state as it is now; None for a folder of another tool."""
        if self.record is None:
            return None
        if self.was_cut_off:
            return TrialState.WAITING.value
        return self.record.state.value

    @property
    def reason(self) -> str | None:
        """Why the trial stands where it stands."""
        if self.record is None:
            return None
        return "interrupted" if self.was_cut_off else self.record.reason

    @property
    def was_cut_off(self) -> bool:
        """True for a trial that a driver which no longer lives left RUNNING."""
        if self.record is None or self.record.state is not TrialState.RUNNING:
            return False
        return self.sweep is not None and not self.sweep.lives

    @property
    def missing(self) -> list[str]:
        """The arrays without which it cannot be ranked."""
        return [name for name in foreign.NEEDED if name not in self.files]


@dataclass
class _Folder:
    files: frozenset[str] = frozenset()
    folders: list[Path] = field(default_factory=list)
    error: str | None = None


def find_runs(paths: Iterable[Path]) -> list[RunFolder]:
    """Return the run folders at and below `paths`, each once, in natural order of their paths.

    A run folder holds any of predictions, targets, metadata or metrics, or is a trial of ours, or
    is an empty leaf beside such folders. Hidden folders are passed over. Links are followed after
    everything else, so that a run is found under its own name; one that leads back up is not.

    Raises:
        NotFoundError: one of `paths` does not exist or is no folder.
    """
    tree: dict[Path, _Folder] = {}
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if not path.is_dir():
            what = "is a file" if path.exists() else "is missing"
            raise NotFoundError(
                f"{path}: must be a folder with runs, but {what}. Name the folder of the runs."
            )
        _walk(path, tree, seen)

    sweeps: dict[Path, SweepInfo | None] = {}
    found = {}
    for path, folder in tree.items():
        run = _as_run(path, folder, sweeps)
        if run is not None:
            found[path] = run
    for folder in tree.values():
        if any(path in found for path in folder.folders):
            for path in folder.folders:
                if path not in found and path in tree and _is_empty(tree[path]):
                    found[path] = RunFolder(path)
    return [found[path] for path in sorted(found, key=_natural)]


def _walk(root: Path, tree: dict[Path, _Folder], seen: set[tuple[int, int]]) -> None:
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
        files = []
        folders = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            kind = _kind(entry)
            below = path / entry.name
            if kind == "file":
                files.append(entry.name)
            elif kind == "folder":
                folders.append(below)
                waiting.append(below)
            elif kind == "link" and not _leads_up(below):
                folders.append(below)
                links.append(below)
        tree[path] = _Folder(frozenset(files), folders)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if entry.is_symlink() and entry.is_dir():
            return "link"
        if entry.is_file():
            return "file"
    except OSError:
        # A link to itself, or one into a place that may not be looked at: nothing can be read.
        pass
    # A link to nowhere has no content, and who opens a pipe may wait for ever.
    return "other"


def _leads_up(link: Path) -> bool:
    try:
        target = link.resolve(strict=True)
        return link.parent.resolve().is_relative_to(target)
    except (OSError, RuntimeError):
        return True


def _is_empty(folder: _Folder) -> bool:
    return not folder.files and not folder.folders and folder.error is None


def _as_run(path: Path, folder: _Folder, sweeps: dict[Path, SweepInfo | None]) -> RunFolder | None:
    if folder.error is not None:
        return RunFolder(path, error=folder.error)
    # Not resolve, which would leave the tree of a link.
    place = Path(os.path.abspath(path))
    sweep_path = place.parent.parent
    numbered = RunDir(place).number is not None and place.parent.name == "trials"
    record = TrialRecord.load(RunDir(path)) if "state.json" in folder.files else None
    sweep = None
    if numbered:
        if sweep_path not in sweeps:
            sweeps[sweep_path] = _sweep_info(SweepDir(sweep_path))
        sweep = sweeps[sweep_path]
    ours = record is not None or sweep is not None
    if not ours and not any(foreign.is_run_file(name) for name in folder.files):
        return None
    return RunFolder(path, folder.files, sweep, record)


def _sweep_info(sweep: SweepDir) -> SweepInfo | None:
    record = SweepRecord.load(sweep)
    spec: dict[str, Any] = atomic.read_json(sweep.spec_file) or {}
    if record is None and not spec:
        return None
    stages = spec.get("stages")
    metric = spec.get("metric")
    named = metric if isinstance(metric, dict) else {}
    return SweepInfo(
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
        is_program=spec.get("program") is not None,
        lives=driver_lives(sweep),
    )


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in _map(value).items()}


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sorting key under which run2 stands before run10."""
    key = []
    for part in path.parts:
        for piece in _DIGITS.split(part):
            key.append((0, int(piece), piece) if piece.isdecimal() else (1, 0, piece))
        key.append((-1, 0, ""))
    return key
