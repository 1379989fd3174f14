"""One run of a program with a time limit: the lines that it printed and the files that it wrote."""

from __future__ import annotations

import re
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.script.output_text import Lines
from orchestrator.engine.script.processes import OutputPipe, Tree, start
from orchestrator.engine.script.reports.log_files import LogFiles
from orchestrator.engine.script.reports.merge import Reports
from orchestrator.engine.script.workdir import changed_files, file_states
from orchestrator.runs.curves import is_event_file
from orchestrator.runs.foreign import usual_places
from orchestrator.sweepfile.model import Program

RUN_DIR = "${run_dir}/"
LARGEST_BYTES = 100 << 20
MOST_LINES = 4_000
MOST_FILES = 20_000
DEEPEST = 6
GRACE_S = 5.0

_VARIES = re.compile(r"\d+(?:[-_:.T]?\d+)*")
# JSON that describes how a run was set up, not its results.
_NO_RESULTS = ("config", "args", "arguments", "params", "hparams", "metadata", "settings", "vocab")
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Observation:
    """What one run showed.

    Attributes:
        code: its exit code, or minus a signal.
        lines: the first and the last lines of its output.
        changed: files that are new or were written, relative to its folder; so are `new_folders`.
        was_ended: True if the limit ended it.
    """

    code: int
    lines: list[str]
    changed: list[Path]
    new_folders: set[Path]
    was_ended: bool


class Observed(Reports):
    """Reports of which only the names and steps are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.steps: set[int] = set()

    def report(self, step: int, **metrics: float) -> None:
        """Take one report."""
        super().report(step, **metrics)
        self.steps.add(step)
        self.names += [name for name in metrics if name not in self.names]


def observe(
    program: Program, words: Sequence[str], limit_s: float, variables: Mapping[str, str]
) -> Observation:
    """Run `words` in the program's folder until `limit_s` or Ctrl+C; no process of it is left.

    Raises:
        TrialError: it cannot be started.
    """
    here = Path(program.workdir)
    before = file_states(here, deepest=DEEPEST, most=MOST_FILES)
    deadline = time.monotonic() + limit_s
    tree = Tree()
    head: list[str] = []
    tail: deque[str] = deque(maxlen=MOST_LINES // 2)
    was_ended = False
    with tree.watched():
        process = start(program, words, threads=1, more=variables)
        tree.set_root(process.pid)
        try:
            was_ended = _read(process, deadline, head, tail)
        except KeyboardInterrupt:
            was_ended = True
        finally:
            tree.end(GRACE_S)
            code = process.wait(GRACE_S)
    after = file_states(here, deepest=DEEPEST, most=MOST_FILES)
    changed = sorted(map(Path, changed_files(before, after)))
    new_folders = _folders(after) - _folders(before)
    return Observation(code, [*head, *tail], changed, new_folders, was_ended)


def _read(
    process: subprocess.Popen[bytes], deadline: float, head: list[str], tail: deque[str]
) -> bool:
    """Keep the lines of a process until it ends; True if the deadline came first."""
    output = OutputPipe(process)
    lines = Lines()

    def keep(text: str) -> None:
        (head if len(head) < MOST_LINES // 2 else tail).append(text)

    while output.is_open and time.monotonic() < deadline:
        data = output.read(0.2)
        if not data and process.poll() is not None:
            break  # the end, or a worker that lives on holds the pipe
        for line in lines.feed(data):
            keep(line.text)
    rest = lines.unfinished()
    if rest is not None:
        keep(rest.text)
    while process.poll() is None and not output.is_open and time.monotonic() < deadline:
        time.sleep(0.05)
    return process.poll() is None


def _folders(files: Mapping[str, object]) -> set[Path]:
    return {parent for name in files for parent in Path(name).parents if parent != Path()}


@dataclass(frozen=True)
class FileGuess:
    """Which of the files that a program wrote hold metrics and arrays, and how to name them.

    Attributes:
        outputs: glob of the folder that it makes for itself, with its slash; None for none.
        files: globs of logs, relative to that folder if there is one.
        arrays: our name of an array to its glob.
        names: the metrics in the logs.
        is_fixed: each run would write some file again under the same name.
        needs_step: the epoch does not distinguish the rows.
    """

    outputs: str | None
    files: list[str]
    arrays: dict[str, str]
    names: list[str]
    is_fixed: bool
    needs_step: bool


def guess_files(here: Path, seen: Observation, given: Path | None = None) -> FileGuess:
    """Return which of the files that changed in `here` a sweep could follow and keep.

    Args:
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
    return FileGuess(
        None if own is None else "/".join([*own.parts[:-1], _VARIES.sub("*", own.name), ""]),
        list(dict.fromkeys(_glob(path, own, given) for path in logs)),
        found,
        list(dict.fromkeys(name for reports in logs.values() for name in reports.names)),
        own is None and any(_glob(path, None, given) == path.as_posix() for path in written),
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


def _own_folder(paths: Sequence[Path], new: set[Path]) -> Path | None:
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
