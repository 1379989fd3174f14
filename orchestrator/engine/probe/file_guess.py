"""Which of the files that a program wrote hold metrics and arrays, and how to name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.probe.observe import Observation, Observed
from orchestrator.engine.script.reports.log_files import LogFiles
from orchestrator.runs.curves import is_event_file
from orchestrator.runs.foreign import usual_places

RUN_DIR = "${run_dir}/"
LARGEST_BYTES = 100 << 20
_VARIES = re.compile(r"\d+(?:[-_:.T]?\d+)*")
# JSON that describes how a run was set up, not its results.
_NO_RESULTS = ("config", "args", "arguments", "params", "hparams", "metadata", "settings", "vocab")
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class FileGuess:
    """What a program left.

    Attributes:
        outputs: glob of the folder that it makes for itself, with its slash; None for none.
        files: globs of logs, relative to that folder if there is one.
        arrays: our name of an array to its glob.
        names: the metrics in the logs.
        is_fixed: each run would write some file again under the same name.
        needs_step: the epoch does not distinguish the rows.
    """

    outputs: str | None
    files: tuple[str, ...]
    arrays: dict[str, str]
    names: tuple[str, ...]
    is_fixed: bool
    needs_step: bool


def guess_files(here: Path, seen: Observation, given: Path | None = None) -> FileGuess:
    """Return which of the changed files a sweep could follow and keep.

    Args:
        here: the folder that the program ran in.
        seen: its run.
        given: the folder that an argument named, relative to `here`; a sweep names one in the run
            directory.
    """
    logs: dict[Path, Observed] = {}
    for path in seen.changed:
        reports = _reports_of(here / path)
        if reports.names:
            logs[path.parent if is_event_file(path) else path] = reports
    arrays: dict[str, Path] = {}
    for folder in sorted({path.parent for path in seen.changed}):
        names = [path.name for path in seen.changed if path.parent == folder]
        for (split, role), source in usual_places(here / folder, names).items():
            name = role if split == "test" else f"{split}_{role}"
            shown = source.path.relative_to(here)
            arrays.setdefault(name, Path(f"{shown}:{source.key}") if source.key else shown)
    written = [*logs, *arrays.values()]
    own = None if given is not None else _own_folder(written, seen.new_folders)
    found = {name: _glob(path, own, given) for name, path in arrays.items()}
    if own is not None:  # under our own names they are adopted without being named
        found = {name: glob for name, glob in found.items() if glob != f"{name}.npy"}
    fixed = own is None and any(_glob(path, None, given) == path.as_posix() for path in written)
    return FileGuess(
        None if own is None else "/".join([*own.parts[:-1], _VARIES.sub("*", own.name), ""]),
        tuple(dict.fromkeys(_glob(path, own, given) for path in logs)),
        found,
        tuple(dict.fromkeys(name for reports in logs.values() for name in reports.names)),
        fixed,
        any(reports.count > 3 and len(reports.steps) == 1 for reports in logs.values()),
    )


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
    return reports


def _own_folder(paths: Sequence[Path], new: frozenset[Path]) -> Path | None:
    """Return the folder that the program made for itself: new, named by a number, around all."""
    candidates = [
        folder
        for folder in new
        if _VARIES.search(folder.name) and paths and all(folder in path.parents for path in paths)
    ]
    return min(candidates, key=lambda folder: len(folder.parts), default=None)


def _glob(path: Path, own: Path | None, given: Path | None) -> str:
    """Return a path as a glob, from the folder that a sweep knows, with stars for what varies."""
    base = own or (given if given is not None and path.is_relative_to(given) else None)
    inner = path if base is None else path.relative_to(base)
    *folders, name = inner.parts or (".",)
    shown = "/".join([*(_VARIES.sub("*", part) for part in folders), name])
    if given is None or base != given:
        return shown
    return RUN_DIR + given.name if shown == "." else f"{RUN_DIR}{given.name}/{shown}"
