"""One run of a program with a limit of time, of which lines and changed files are kept."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engine.script import launch
from orchestrator.engine.script.process_tree import Tree
from orchestrator.engine.script.reports.output_lines import Lines
from orchestrator.engine.script.workdir import is_left_out
from orchestrator.sweepfile.model import Program

MOST_LINES = 4_000
MOST_FILES = 20_000
DEEPEST = 6
GRACE_S = 5.0
_CHUNK = 65_536

State = tuple[int, int, int]


@dataclass(frozen=True)
class Watched:
    """What one run showed.

    Attributes:
        code: its exit code, or minus a signal.
        lines: what it printed, the first and the last.
        changed: files that are new or were written, relative to its folder.
        new_folders: folders that were not there before, relative to it.
        was_ended: True where the limit ended it.
        took_s: how long it ran.
    """

    code: int
    lines: tuple[str, ...]
    changed: tuple[Path, ...]
    new_folders: frozenset[Path]
    was_ended: bool
    took_s: float


def watch(
    program: Program,
    words: Sequence[str],
    *,
    directory: Path,
    limit_s: float,
    variables: Mapping[str, str],
) -> Watched:
    """Run `words` in the program's folder, for `limit_s` at most; nothing of it is left running.

    Ctrl+C ends it as the limit does.

    Args:
        program: what is started.
        words: the argument list.
        directory: takes what the program writes to its run directory.
        limit_s: longest time, s.
        variables: of its environment, beside the usual.

    Raises:
        TrialError: it cannot be started.
    """
    here = Path(program.workdir)
    before = dict(_files(here))
    folders_before = _folders(before)
    began = time.monotonic()
    tree = Tree()
    head: list[str] = []
    tail: deque[str] = deque(maxlen=MOST_LINES // 2)
    was_ended = False
    with tree.watched():
        process = launch.start(program, words, directory=directory, threads=1, more=variables)
        tree.root = process.pid
        try:
            was_ended = _read(process, began + limit_s, head, tail)
        except KeyboardInterrupt:
            was_ended = True
        finally:
            tree.end(GRACE_S)
            code = process.wait(GRACE_S)
    after = dict(_files(here))
    changed = tuple(sorted(path for path, state in after.items() if before.get(path) != state))
    return Watched(
        code,
        (*head, *tail),
        changed,
        frozenset(_folders(after) - folders_before),
        was_ended,
        time.monotonic() - began,
    )


def _read(
    process: subprocess.Popen[bytes], deadline: float, head: list[str], tail: deque[str]
) -> bool:
    """Keep the lines of a process until it ends; True where the deadline came before."""
    assert process.stdout is not None
    source = process.stdout.fileno()
    os.set_blocking(source, False)
    lines = Lines()

    def keep(text: str) -> None:
        if len(head) < MOST_LINES // 2:
            head.append(text)
        else:
            tail.append(text)

    is_open = True
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while is_open and time.monotonic() < deadline:
            if not selector.select(0.2):
                if process.poll() is not None:
                    break  # a worker that lives on holds the pipe
                continue
            data = os.read(source, _CHUNK)
            is_open = bool(data)
            for line in lines.feed(data):
                keep(line.text)
    rest = lines.unfinished()
    if rest is not None:
        keep(rest.text)
    while process.poll() is None and not is_open and time.monotonic() < deadline:
        time.sleep(0.05)
    return process.poll() is None


def _files(folder: Path) -> Iterator[tuple[Path, State]]:
    """Yield the files below a folder, with what changes when they are written."""
    waiting = [(folder, 1)]
    count = 0
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            continue
        if {"spec.json", "trials"} <= {entry.name for entry in entries}:
            continue  # a sweep's folder
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if depth < DEEPEST and not is_left_out(entry.name):
                    waiting.append((path, depth + 1))
            elif entry.is_file(follow_symlinks=False):
                try:
                    state = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                count += 1
                if count > MOST_FILES:
                    return
                yield path.relative_to(folder), (state.st_ino, state.st_size, state.st_mtime_ns)


def _folders(files: Mapping[Path, State]) -> set[Path]:
    return {parent for path in files for parent in path.parents if parent != Path()}
