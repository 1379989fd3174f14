"""Which of the files that a program wrote hold metrics and arrays, and how to name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.engine.probe.observe import Watched
from orchestrator.engine.script.reports.log_files import Settings, open_log
from orchestrator.runs.curves import is_event_file
from orchestrator.runs.foreign import usual_places

RUN_DIR = "${run_dir}/"
LARGEST_BYTES = 100 << 20
_VARIES = re.compile(r"\d+(?:[-_:.T]?\d+)*")
# JSON that tells how a run was set up, not what came of it.
_NO_RESULTS = ("config", "args", "arguments", "params", "hparams", "metadata", "settings", "vocab")
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class FoundFiles:
    """What a program left.

    Attributes:
        outputs: glob of the folder that it makes for itself, with its slash; None for none.
        files: globs of logs, relative to that folder where there is one.
        arrays: our name of an array to its glob.
        names: the metrics in the logs.
        fixed: files that each run would write again under the same name.
        needs_step: True where the epoch does not tell the rows apart.
    """

    outputs: str | None
    files: tuple[str, ...]
    arrays: dict[str, str]
    names: tuple[str, ...]
    fixed: tuple[str, ...]
    needs_step: bool


def find_files(here: Path, watched: Watched, told: Path | None = None) -> FoundFiles:
    """Return what of the changed files a sweep could follow and keep.

    Args:
        here: the folder that the program ran in.
        watched: its run.
        told: the folder that an argument told it to make, relative to `here`; a sweep tells it
            one in the run directory.
    """
    logs: dict[Path, _Counter] = {}
    for path in watched.changed:
        counter = _try(here / path)
        if counter is not None:
            logs[path.parent if is_event_file(path) else path] = counter
    arrays: dict[str, Path] = {}
    for folder in sorted({path.parent for path in watched.changed}):
        names = [path.name for path in watched.changed if path.parent == folder]
        for (split, role), source in usual_places(here / folder, names).items():
            name = role if split == "test" else f"{split}_{role}"
            shown = source.path.relative_to(here)
            arrays.setdefault(name, Path(f"{shown}:{source.key}") if source.key else shown)
    own = None
    if told is None:
        own = _own_folder([*logs, *arrays.values()], watched.new_folders)
    files = tuple(dict.fromkeys(_glob(path, own, told) for path in logs))
    found = {name: _glob(path, own, told) for name, path in arrays.items()}
    if own is not None:  # under our own names they are adopted without a word
        found = {name: glob for name, glob in found.items() if glob != f"{name}.npy"}
    written = [*logs, *arrays.values()] if own is None else []
    fixed = [str(path) for path in written if _glob(path, None, told) == path.as_posix()]
    return FoundFiles(
        None if own is None else f"{_general(own)}/",
        files,
        found,
        tuple(dict.fromkeys(name for counter in logs.values() for name in counter.names)),
        tuple(fixed),
        any(counter.needs_step for counter in logs.values()),
    )


def _try(path: Path) -> _Counter | None:
    """Return what a file reports when it is followed; None where that is nothing."""
    name = path.name.lower()
    is_log = name.endswith(_ENDINGS) or is_event_file(path)
    is_setup = name.endswith(".json") and any(word in name for word in _NO_RESULTS)
    try:
        if not is_log or is_setup or path.stat().st_size > LARGEST_BYTES:
            return None
    except OSError:
        return None
    counter = _Counter()
    log = open_log(path, None, Settings(), counter)
    if log is None:
        return None
    before = -1
    while log.count != before:  # a large one comes in pieces
        before = log.count
        log.look(0.0)
    log.close(0.0)
    return counter if counter.names else None


def _own_folder(paths: Sequence[Path], new: frozenset[Path]) -> Path | None:
    """Return the folder that the program made for itself: new, named by a number, around all."""
    candidates = [
        folder
        for folder in new
        if _VARIES.search(folder.name) and paths and all(folder in path.parents for path in paths)
    ]
    return min(candidates, key=lambda folder: len(folder.parts), default=None)


def _glob(path: Path, own: Path | None, told: Path | None) -> str:
    """Return a path as a glob, from the folder that a sweep knows, with what varies as stars."""
    base = own or (told if told is not None and path.is_relative_to(told) else None)
    inner = path if base is None else path.relative_to(base)
    *folders, name = inner.parts or (".",)
    shown = "/".join([*(_VARIES.sub("*", part) for part in folders), name])
    if told is None or base != told:
        return shown
    return RUN_DIR + told.name if shown == "." else f"{RUN_DIR}{told.name}/{shown}"


def _general(folder: Path) -> str:
    *above, name = folder.parts
    return "/".join([*above, _VARIES.sub("*", name)])


class _Counter:
    """Takes reports, and knows what they were of."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.steps: set[int] = set()
        self.count = 0

    @property
    def needs_step(self) -> bool:
        return self.count > 3 and len(self.steps) == 1

    def report(self, step: int, **metrics: float) -> None:
        self.count += 1
        self.steps.add(step)
        self.names += [name for name in metrics if name not in self.names]

    def describe(self, **facts: Any) -> None:
        pass

    def warn(self, text: str) -> None:
        pass
