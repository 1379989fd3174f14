"""Which of the files that a program wrote a sweep can follow, and which trials would share."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.probe.observe import Observation, Observed
from orchestrator.engine.script.printed import read_line
from orchestrator.engine.script.reports.log_files import LogFiles
from orchestrator.runs.curves import is_event_file
from orchestrator.runs.foreign import usual_places

RUN_DIR = "${run_dir}/"
LARGEST_BYTES = 100 << 20
_HEAD_BYTES = 4096

_VARIES = re.compile(r"\d+(?:[-_:.T]?\d+)*")
_DATE = re.compile(r"(?:19|20)\d\d([-_.]?)\d\d\1\d\d")
# JSON that describes how a run was set up, not its results.
_NO_RESULTS = ("config", "args", "arguments", "params", "hparams", "metadata", "settings", "vocab")
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_STEP_COLUMN = re.compile(rb"\b(?:epoch|step|global_step|iter|iteration)\b", re.IGNORECASE)
# What trials may well share: data, caches, and folders in which each run has one of its own.
_SHARED = ("data", "dataset", "datasets", "cache", "downloads", "wandb", "mlruns", "__pycache__")
_SHARED_FILES = ("*.log", "*.lock", "*.pyc", "*.db", "*.sqlite*", "nohup.out", ".*")


@dataclass(frozen=True)
class FileGuess:
    """Which of the files that a program wrote hold metrics and arrays, and how to name them.

    Attributes:
        outputs: glob of the folder that it makes for itself, with its slash; None for none.
        logs: glob of a log, relative to that folder if there is one, to what it reports.
        arrays: our name of an array to its glob.
        fixed: files that each run would write again under the same name.
        needs_step: the epoch does not distinguish the rows.
    """

    outputs: str | None
    logs: dict[str, Observed]
    arrays: dict[str, str]
    fixed: list[str]
    needs_step: bool


def guess_files(here: Path, seen: Observation, given: Path | None = None) -> FileGuess:
    """Return which of the files that changed in `here` a sweep could follow and keep.

    Args:
        given: the folder that an argument named, relative to `here`; a sweep names one in the run
            directory.
    """
    logs: dict[Path, Observed] = {}
    own_files = [path for path in seen.changed if not _is_shared(path)]
    for path in own_files:
        reports = _reports_of(here / path)
        if reports.names:
            logs[path.parent if is_event_file(path) else path] = reports
    arrays: dict[str, Path] = {}
    for folder in sorted({path.parent for path in own_files}):
        names = [path.name for path in own_files if path.parent == folder]
        for (split, role), source in usual_places(here / folder, names).items():
            name = role if split == "test" else f"{split}_{role}"
            shown = source.path.relative_to(here)
            arrays.setdefault(name, Path(f"{shown}:{source.key}") if source.key else shown)
    written = [*logs, *arrays.values()]
    own = None if given is not None else _own_folder(written, seen.new_folders)
    found = {name: _glob(path, own, given) for name, path in arrays.items()}
    if own is not None:  # under our own names they are adopted without being named
        found = {name: glob for name, glob in found.items() if glob != f"{name}.npy"}
    return FileGuess(
        None if own is None else _own_glob(own, seen.new_folders),
        {_glob(path, own, given): reports for path, reports in reversed(logs.items())},
        found,
        [path.as_posix() for path in own_files if _is_fixed(path, own, given)],
        any(reports.count > 3 and len(reports.steps) == 1 for reports in logs.values()),
    )


def holds_shared(folder: Path) -> bool:
    """Return whether trials may well share what is in a folder."""
    return _is_shared(folder / "file")


def _is_shared(path: Path) -> bool:
    """Return whether trials may well share a file."""
    folders = {part.lower() for part in path.parts[:-1]}
    is_hidden = any(part.startswith(".") for part in path.parts)
    known = any(fnmatch.fnmatch(path.name, each) for each in _SHARED_FILES)
    return is_hidden or known or bool(folders & set(_SHARED))


def _is_fixed(path: Path, own: Path | None, given: Path | None) -> bool:
    """Return whether each run writes a file of this name: nothing in its path is the run's own."""
    if is_event_file(path) or any(base in path.parents for base in (own, given) if base):
        return False
    return not (any(map(_VARIES.search, path.parts[:-1])) or re.search(r"\d{6}", path.name))


def _reports_of(path: Path) -> Observed:
    """Return what a file reports when it is followed."""
    reports = Observed()
    name = path.name.lower()
    is_log = name.endswith(_ENDINGS) or is_event_file(path)
    is_setup = name.endswith(".json") and any(word in name for word in _NO_RESULTS)
    try:
        if not is_log or is_setup or path.stat().st_size > LARGEST_BYTES:
            return reports
    except OSError:
        return reports
    log = LogFiles(reports).open(path)
    if log is None:
        return reports
    before = -1
    while log.count != before:  # a large one comes in pieces
        before = log.count
        log.look(0.0)
    log.look(0.0, last=True)
    is_known = any(_is_metric(name) for name in reports.names) or is_event_file(path)
    return reports if is_known or _has_steps(path) else Observed()


def _is_metric(name: str) -> bool:
    return any(pair.is_known for pair in read_line(f"{name}: 0.5").pairs)


def _has_steps(path: Path) -> bool:
    """Return whether a file counts steps; a table that does not, and has no metric, is data."""
    with path.open("rb") as stream:
        return _STEP_COLUMN.search(stream.read(_HEAD_BYTES)) is not None


def _own_folder(paths: Sequence[Path], new: set[Path]) -> Path | None:
    """Return the folder that the program made for itself: new, named by a number, around all."""
    candidates = [
        folder
        for folder in new
        if _VARIES.search(folder.name) and paths and all(folder in path.parents for path in paths)
    ]
    candidates.sort(key=lambda folder: len(folder.parts))
    while len(candidates) > 1 and _DATE.fullmatch(candidates[0].name):
        del candidates[0]  # the folder of a day holds those of all its runs
    return candidates[0] if candidates else None


def _own_glob(own: Path, new: set[Path]) -> str:
    """Return the glob of folders such as `own`, also if each day has a new folder around them."""
    parts = []
    for folder in [*reversed(own.parents), own]:
        varies = folder == own or (folder in new and _DATE.fullmatch(folder.name) is not None)
        parts.append(_VARIES.sub("*", folder.name) if varies else folder.name)
    return "/".join([*filter(None, parts), ""])


def _glob(path: Path, own: Path | None, given: Path | None) -> str:
    """Return a path as a glob, from the folder that a sweep knows, with stars for what varies."""
    base = own or (given if given is not None and path.is_relative_to(given) else None)
    inner = path if base is None else path.relative_to(base)
    *folders, name = inner.parts or (".",)
    if re.search(r"\d{2}[-_:.T]?\d{2}", name) and not inner.suffix:  # TensorBoard's, by date
        name = _VARIES.sub("*", name)
    shown = "/".join([*(_VARIES.sub("*", part) for part in folders), name])
    if given is None or base != given:
        return shown
    return RUN_DIR + given.name if shown == "." else f"{RUN_DIR}{given.name}/{shown}"
