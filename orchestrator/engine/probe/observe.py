"""One run of a program with a time limit, of which lines and changed files are kept."""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.script import launch
from orchestrator.engine.script.outputs.folder_changes import file_states
from orchestrator.engine.script.process_tree import Tree
from orchestrator.engine.script.reports.merge import Reports
from orchestrator.engine.script.reports.output_lines import Lines
from orchestrator.sweepfile.model import Program

MOST_LINES = 4_000
MOST_FILES = 20_000
DEEPEST = 6
GRACE_S = 5.0


@dataclass(frozen=True)
class Observation:
    """What one run showed.

    Attributes:
        code: its exit code, or minus a signal.
        lines: what it printed, the first and the last lines.
        changed: files that are new or were written, relative to its folder.
        new_folders: folders that did not exist before, relative to it.
        was_ended: True if the limit ended it.
    """

    code: int
    lines: tuple[str, ...]
    changed: tuple[Path, ...]
    new_folders: frozenset[Path]
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
    program: Program,
    words: Sequence[str],
    *,
    directory: Path,
    limit_s: float,
    variables: Mapping[str, str],
) -> Observation:
    """Run `words` in the program's folder; no process of it is left.

    Ctrl+C ends it as `limit_s` does.

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
        process = launch.start(program, words, directory=directory, threads=1, more=variables)
        tree.set_root(process.pid)
        try:
            was_ended = _read(process, deadline, head, tail)
        except KeyboardInterrupt:
            was_ended = True
        finally:
            tree.end(GRACE_S)
            code = process.wait(GRACE_S)
    after = file_states(here, deepest=DEEPEST, most=MOST_FILES)
    changed = sorted(Path(name) for name, state in after.items() if before.get(name) != state)
    new_folders = frozenset(_folders(after) - _folders(before))
    return Observation(code, (*head, *tail), tuple(changed), new_folders, was_ended)


def _read(
    process: subprocess.Popen[bytes], deadline: float, head: list[str], tail: deque[str]
) -> bool:
    """Keep the lines of a process until it ends; True if the deadline came first."""
    output = launch.OutputPipe(process)
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
