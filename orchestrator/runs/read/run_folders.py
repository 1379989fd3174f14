"""Find run folders in any folder tree, those of our own sweeps and those of other tools."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import checkpoints, regular
from orchestrator.files.series_names import is_split
from orchestrator.runs.curves.formats.mlflow_store import run_name
from orchestrator.runs.curves.formats.tensorboard import is_event_file
from orchestrator.runs.curves.log_reader import priorities
from orchestrator.runs.foreign import metadata, run_files
from orchestrator.runs.foreign.run_files import ROLES, Manifest, Places
from orchestrator.runs.foreign.tools import Tool, recognize
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.read.beside_runs import unique_names, why_incomplete
from orchestrator.runs.read.run_tables import names_runs, runs_in_file
from orchestrator.runs.read.stored_run import StoredRun, SweepInfo
from orchestrator.runs.records import TrialRecord

_DIGITS = re.compile(r"(\d+)")
# What only a run leaves behind, and a folder with a mere config does not have.
_TRACES = re.compile(
    rf"{checkpoints.FILE.pattern}|\.(log|out)$|tfevents|^(results|history|training)\.csv$", re.I
)
_PART = re.compile(r"rank|worker|std(?:out|err)|debug", re.I)  # of the output of one run
_MOST_LOGS = 1_000
_MOST_FOLDERS = 50_000  # besides trials
_MOST_ENTRIES = 1_000_000
_ARRAY_FILES = frozenset((*metadata.NEEDED, *metadata.VALIDATION))
_HIDDEN_MARKS = (".hydra",)  # hidden folders that identify a tool; all others are skipped


def find_runs(paths: Iterable[Path]) -> list[StoredRun]:
    """Return the runs at and below `paths`, each once, in natural order of their paths.

    A run folder is a trial of ours, a folder that another tool made, one that holds any of
    predictions, targets, metadata or metrics or a log that has metrics, one that a
    ``sweep-runs.yaml`` names, or one next to such folders that is empty or has only a checkpoint,
    a log without metrics or a config. Arrays in the one folder below a run are that run's, as are
    checkpoints and logs below it. Of a file, its runs are found as `runs_in_file` does.

    Raises:
        NotFoundError: one of `paths` does not exist.
        UsageError: a ``sweep-runs.yaml`` is not valid, or a path holds too many folders.
    """
    tree: dict[Path, _Folder] = {}
    seen: set[tuple[int, int]] = set()
    in_files: dict[Path, StoredRun] = {}
    for path in paths:
        if path.is_file():
            in_files |= {run.path: run for run in runs_in_file(path)}
            continue
        if not path.is_dir():
            raise NotFoundError(f"{path}: no such file or folder. Name a folder with runs.")
        if path.resolve() == Path(path.resolve().anchor):
            raise UsageError(f"{path}: is the whole machine. Name the folder of the runs.")
        # "../a" would be named after its way, not its place.
        _walk(Path(os.path.abspath(path)) if ".." in path.parts else path, tree, seen)
    finder = _Finder(tree)
    found = finder.runs()
    holders = {above for path in found for above in path.parents}
    for place, folder in tree.items():
        if place in found or not any(path in found for path in folder.folders):
            continue
        for path in folder.folders:
            if path in found or path in holders or path not in tree or finder.is_part(path):
                continue
            why = why_incomplete(path, tree)
            if why is not None:
                error = tree[path].error or (why if tree[path].names else None)
                found[path] = StoredRun(path, tree[path].files, error=error)
    names = unique_names([path for path, run in found.items() if not run.is_ours])
    given = {path: run_name(path) for path, run in found.items() if _is_mlflow(run.tool)}
    taken = Counter(given.values())
    names |= {path: name for path, name in given.items() if name and taken[name] == 1}
    named = {path: replace(run, label=names.get(path, "")) for path, run in found.items()}
    labels = Counter(run.label for run in in_files.values())
    for path, run in in_files.items():
        is_one = labels[run.label] == 1
        named[path] = run if is_one else replace(run, label=f"{path.parent.name}/{run.label}")
    return [named[path] for path in sorted(named, key=_natural)]


def _is_mlflow(tool: Tool | None) -> bool:
    return tool is not None and tool.name == "MLflow"


def unstarted(runs: Iterable[StoredRun], paths: Iterable[Path]) -> int:
    """Return how many trials of the sweeps under `paths` have no folder yet."""
    left: dict[Path, int] = {}
    for run in runs:
        if run.sweep is not None:
            left.setdefault(run.sweep.path, run.sweep.n_trials)
            left[run.sweep.path] -= 1
    tops = [path.resolve() for path in paths]
    whole = (sweep for sweep in left if any(sweep.resolve().is_relative_to(top) for top in tops))
    return sum(max(0, left[sweep]) for sweep in whole)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sorting key under which run2 comes before run10."""
    key = []
    for part in path.parts:
        for piece in _DIGITS.split(part):
            key.append((0, len(s := piece.lstrip("0")), s) if piece.isdecimal() else (1, 0, piece))
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


def _walk(root: Path, tree: dict[Path, _Folder], seen: set[tuple[int, int]]) -> None:
    """Add `root` and every folder below it to `tree`, parents before what is in them.

    Links are followed after everything else, so that a folder is found under its own name; one
    that leads back up is not followed. `seen` holds device and inode of the folders in `tree`.
    """
    waiting = deque([root])
    links: deque[Path] = deque()
    n_folders = n_entries = 0
    while waiting or links:
        path = waiting.popleft() if waiting else links.popleft()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as scan:
                entries = list(islice(scan, _MOST_ENTRIES + 1))
        except OSError as error:
            tree[path] = _Folder(error=f"cannot be read: {error.strerror}")
            continue
        if path.parent.name != "trials":
            n_folders, n_entries = n_folders + 1, n_entries + len(entries)
        if n_folders > _MOST_FOLDERS or n_entries > _MOST_ENTRIES:
            raise UsageError(
                f"{root}: holds more than {_MOST_FOLDERS:,} folders or {_MOST_ENTRIES:,} files. "
                "Name the folder of the runs."
            )
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
                    # Arrays may be shared between runs; anything else may be a private file.
                    is_array = name.endswith((".npy", ".npz"))
                    if is_array or not regular.leads_out(path / name, path):
                        files.append(name)
                elif entry.is_dir() and not (entry.is_symlink() and _leads_up(path / name)):
                    folders.append(path / name)
                    (links if entry.is_symlink() else waiting).append(path / name)
        tree[path] = _Folder(frozenset(files), folders, frozenset(marks))


def _logs_of_runs(path: Path, folder: _Folder) -> list[StoredRun]:
    """Return the runs in a folder with a table of runs, or with only logs of one kind."""
    named = [name for name in folder.files if priorities(name)]
    for name in sorted(named):
        if name.endswith((".csv", ".tsv")) and names_runs(path / name):
            return runs_in_file(path / name)
    is_run = recognize(folder.names) is not None or any(map(checkpoints.FILE.search, folder.files))
    best = min((place for name in named for place in priorities(name)), default=0)
    if is_run or not all(name.endswith((".log", ".out")) for name in named):
        return []
    logs = [name for name in sorted(named) if best in priorities(name) and not _PART.search(name)]
    runs = [StoredRun(path / name) for name in logs[:_MOST_LOGS]] if len(logs) > 1 else []
    return [run for run in runs if run.curve]


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
        self._parts: set[Path] = set()  # folders that belong to a run above them

    def runs(self) -> dict[Path, StoredRun]:
        """Return the runs by their paths."""
        found = {}
        for path, folder in self._tree.items():  # parents come before what is in them
            if path in self._parts:
                self._parts.update(folder.folders)
                continue
            run = self._own_trial(path, folder) or self._foreign(path, folder)
            if run is not None:
                found[path] = run
                self._parts.update(
                    below for below in folder.folders if checkpoints.FOLDER.match(below.name)
                )
        return self._with_logged(self._last_checkpoints(found))

    def is_part(self, path: Path) -> bool:
        """Return whether a folder belongs to a run above it."""
        return path in self._parts

    def _last_checkpoints(self, found: dict[Path, StoredRun]) -> dict[Path, StoredRun]:
        """Of checkpoints without a run above them, keep the last one in the name of the run."""
        last: dict[Path, StoredRun] = {}
        for path in sorted(found, key=_natural):
            if checkpoints.FOLDER.match(path.name) and found[path].tool is not None:
                last[path.parent] = found.pop(path)
        return {**found, **{above: run for above, run in last.items() if above not in found}}

    def _with_logged(self, found: dict[Path, StoredRun]) -> dict[Path, StoredRun]:
        """Add the folders that no run is above of and whose own log has metrics."""
        taken = set(found)
        for path, folder in self._tree.items():
            if path in taken or path in self._parts or taken.intersection(path.parents):
                continue
            # An experiment of MLflow has a meta.yaml as its runs have.
            logs = [name for name in folder.files - {"meta.yaml"} if priorities(name)]
            manifest = self._manifest(path)
            # Keras and CatBoost write a folder of events for each split.
            parts = [
                below
                for below in folder.folders
                if is_split(below.name)
                and below in self._tree
                and any(map(is_event_file, map(Path, self._tree[below].files)))
            ]
            alike = _logs_of_runs(path, folder)
            is_table = any(run.log is not None for run in alike)
            if is_table and any(path in run.parents for run in found):
                continue  # a summary of them
            if is_table or len(alike) > 1:
                found |= {run.path: run for run in alike}
                continue
            if not (logs or parts) or (manifest is not None and manifest.runs):
                continue
            # A log of the whole folder tree, as of a batch job, makes no run of the tree.
            only_text = bool(logs) and all(name.endswith((".log", ".out", ".txt")) for name in logs)
            if only_text and any(path in run.parents for run in found):
                continue
            run = StoredRun(path, folder.files, tool=recognize(folder.names), manifest=manifest)
            if run.curve and run.curve_file.parent in (path, *parts):
                found[path] = run
                taken.add(path)
        return found

    def _own_trial(self, path: Path, folder: _Folder) -> StoredRun | None:
        if folder.error is not None:
            return StoredRun(path, error=folder.error)
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
        places = run_files.own_places(path)
        if record is None:
            return StoredRun(path, folder.files, sweep, places=places)
        state, reason = record.state_now(driver_lives=sweep is None or sweep.lives)
        return StoredRun(path, folder.files, sweep, record, state, reason, places)

    def _foreign(self, path: Path, folder: _Folder) -> StoredRun | None:
        manifest = self._manifest(path)
        named = manifest.run_folders if manifest is not None else frozenset()
        if named and path not in named:
            return None
        tool = recognize(folder.names)
        if _is_mlflow(tool) and run_name(path) is None:
            return None  # deleted, but still there
        places = run_files.usual_places(path, folder.files)
        inner = [below for below in folder.folders if tool is not None and below.name in tool.inner]
        if tool is not None and tool.name == "Hydra":
            inner = list(folder.folders)  # a job's output folder, whatever writes below it
        if tool is not None and not places:
            places, holder = self._below(folder)
            inner += [holder] if holder is not None else []
        if manifest is not None and manifest.arrays:
            places = {**places, **manifest.sources(path)}
        is_run = (
            path in named
            or any(metadata.is_run_file(name) for name in folder.files)
            or len({role for _, role in places}) == len(ROLES)
            or (tool is not None and tool.is_own)
            or (tool is not None and any(_TRACES.search(name) for name in folder.files))
        )
        if not is_run:
            return None
        self._parts.update(inner)
        return StoredRun(path, folder.files, places=places, tool=tool, manifest=manifest)

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
            self._manifests[path] = run_files.read_manifest(path / run_files.MANIFEST)
        else:
            above = path.parent
            is_inside = above in self._tree and above != path  # "." is its own parent
            self._manifests[path] = self._manifest(above) if is_inside else None
        return self._manifests[path]
