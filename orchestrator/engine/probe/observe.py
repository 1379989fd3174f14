"""One run of a program with a time limit: the lines that it printed and the files that it wrote."""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.script.output_text import Lines
from orchestrator.engine.script.processes import OutputPipe, Tree, start
from orchestrator.engine.script.reports.merge import Reports
from orchestrator.engine.script.workdir import changed_files, file_states
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
    """Reports that are kept: the values of each metric, and the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[float]] = {}
        self.steps: set[int] = set()

    @property
    def names(self) -> list[str]:
        """The metrics, in the order of their first reports."""
        return list(self.values)

    def report(self, step: int, **metrics: float) -> None:
        """Take one report."""
        super().report(step, **metrics)
        self.steps.add(step)
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)


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
