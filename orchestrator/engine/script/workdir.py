"""Where a trial's program runs: in its folder, whose changes are noted, or in a copy of it."""

from __future__ import annotations

import fcntl
import fnmatch
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.files import MIB, format_size
from orchestrator.placement.memory_needs import HISTORY_FILE
from orchestrator.sweepfile.model import Program

_CLONE = 0x40049409  # FICLONE of Linux: both share their blocks until one is written
FOLDER = "work"  # in the run directory: the trial's copy

# Limits of a copy; larger files are data or results, not sources.
LARGEST_BYTES = 10 * MIB
MOST_FILES = 20_000
MOST_BYTES = 1024 * MIB

# Limits of looking for changes: the rest of a larger folder is ignored.
_MOST_WATCHED = 5_000
MOST_REPORTED = 100
_DEEPEST_WATCHED = 3
# Changes that are not noted: what several trials may well share (logs that grow, databases with
# their own locks), and what people edit while a sweep runs.
_NOT_WATCHED = (
    *(".*", "*.log", "*.lock", "*.pyc", "*.db", "*.sqlite*", "*.journal", "nohup.out"),
    *("*.py", "*.ipynb", "*.md", "sweep.yaml"),
)

FileStates = dict[str, tuple[float, int, int]]
"""File, relative to the folder, to the time it was written (s since 1970), size and inode."""


def settle(
    program: Program,
    config: Mapping[str, Any],
    directory: Path,
    *,
    resumes: bool,
    warn: Callable[[str], None],
    note: Callable[[str], None],
) -> tuple[Program, dict[str, Any]]:
    """Return the program as it runs in this trial, and the config as it is passed to it.

    Relative paths mean what they mean in the sweep file's folder, wherever the program runs.

    Args:
        resumes: use the copy of an earlier attempt.
        note: takes what was copied.

    Raises:
        TrialError: the folder cannot be copied.
    """
    home = Path(program.folder or program.workdir)
    if program.copies:
        source, target = Path(program.workdir), directory.absolute() / FOLDER
        if not (resumes and target.is_dir()):
            note(_make_copy(source, target, program.link, warn))
        path = Path(os.path.abspath(program.path))
        if os.path.isabs(program.path) and path.is_relative_to(source):
            program = replace(program, path=str(target / path.relative_to(source)))
        program = replace(program, workdir=str(target))
    here = Path(program.workdir)
    if here == home:
        return program, dict(config)

    def settled(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [settled(item) for item in value]
        return _reached(value, home, here) if isinstance(value, str) else value

    steps = [replace(step, command=tuple(map(settled, step.command))) for step in program.steps]
    command = program.command if program.shell else tuple(map(settled, program.command))
    sent = {name: settled(value) for name, value in config.items()}
    return replace(program, command=command, steps=tuple(steps)), sent


def _reached(text: str, home: Path, here: Path) -> str:
    """Return a relative path that exists in `home` so that it leads to the same from `here`.

    A path that exists in the copy too stays as it is, so that what the program writes there is the
    trial's own.
    """
    if not text or text.startswith(("-", "~")) or "\0" in text or "${" in text:
        return text
    plain = os.path.normpath(text)
    if os.path.isabs(plain) or not os.path.lexists(home / plain):
        return text
    if not plain.startswith("..") and os.path.lexists(here / plain):
        return text
    return os.path.normpath(home / plain)


def _make_copy(
    source: Path, target: Path, link: tuple[str, ...], warn: Callable[[str], None]
) -> str:
    """Copy the sources and small files of `source` to a new `target`, and return what that was."""
    linked = {source / name for name in link}
    large: list[str] = []
    linked_names: list[str] = []
    files = total = cloned = 0
    try:
        if target.is_dir():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for entry in _sources(source, linked):
            path = Path(entry.path)
            name = path.relative_to(source)
            copy = target / name
            if path in linked:
                copy.symlink_to(path.resolve())
                linked_names.append(str(name))
            elif entry.is_symlink():
                leads = os.readlink(path)
                is_inside = path.resolve().is_relative_to(source.resolve())
                copy.symlink_to(leads if is_inside and not os.path.isabs(leads) else path.resolve())
            elif entry.is_dir():
                copy.mkdir()
            elif entry.is_file():
                size = entry.stat().st_size
                if _is_cloned(path, copy):
                    cloned += 1  # it takes no room, however large it is
                    continue
                if size > LARGEST_BYTES:
                    large.append(f"{name} ({format_size(size)})")
                    continue
                files, total = files + 1, total + size
                if files > MOST_FILES or total > MOST_BYTES:
                    raise TrialError(
                        f"workdir: copy: {source} holds more than {MOST_FILES:,} small files or "
                        f"{format_size(MOST_BYTES)} in all. Name its data under link."
                    )
                shutil.copy2(path, copy)
    except OSError as error:
        raise TrialError(f"workdir: copy: cannot copy {source} to {target}: {error}.") from None
    if large:
        names = ", ".join(large[:3])
        more = f" and {len(large) - 3} more" if len(large) > 3 else ""
        warn(f"left out of the copy: {names}{more}. Name what the program needs under link.")
    done = [f"{files:,} files copied ({format_size(total)})"] if files or not cloned else []
    done += [f"{cloned:,} files copied by reference"] if cloned else []
    done += [f"{', '.join(linked_names)} linked"] if linked_names else []
    return f"workdir: copy of {source}: {', '.join(done)}"


def _is_cloned(source: Path, target: Path) -> bool:
    """Copy a file by reference, if the file system can (btrfs, XFS), and return whether it did."""
    try:
        with source.open("rb") as old, target.open("xb") as new:
            fcntl.ioctl(new, _CLONE, old.fileno())
        shutil.copystat(source, target)
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def _sources(folder: Path, linked: set[Path]) -> Iterator[os.DirEntry[str]]:
    """Yield what is copied or linked, folders before their content."""
    for entry in _listed(folder):
        path = Path(entry.path)
        if path in linked or not entry.is_dir(follow_symlinks=False):
            yield entry
        elif not (_is_left_out(entry.name) or _is_foreign(path)):
            yield entry
            yield from _sources(path, linked)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_left_out(name: str) -> bool:
    """Return whether a folder of this name holds no sources."""
    return name.startswith(".") or name in ("__pycache__", "node_modules")


def _is_foreign(folder: Path) -> bool:
    """Return whether a folder is an environment, or a sweep's."""
    if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").is_dir():
        return True
    return (folder / "spec.json").is_file() and (folder / "trials").is_dir()


def file_states(
    folder: Path,
    *,
    deepest: int,
    most: int,
    skips: Callable[[os.DirEntry[str]], bool] = lambda entry: False,
) -> FileStates:
    """Return at most `most` files below a folder, `deepest` levels down (1 for its own only).

    Folders of sweeps, hidden folders, caches, and what `skips` accepts are left out.
    """
    found: FileStates = {}
    for entry in _files(folder, deepest, skips):
        with suppress(OSError):  # it has just gone
            state = entry.stat(follow_symlinks=False)
            name = os.path.relpath(entry.path, folder)
            found[name] = (state.st_mtime, state.st_size, state.st_ino)
        if len(found) >= most:
            break
    return found


def _files(
    folder: Path, deepest: int, skips: Callable[[os.DirEntry[str]], bool]
) -> Iterator[os.DirEntry[str]]:
    try:
        listed = _listed(folder)
    except OSError:
        return
    if {"spec.json", "trials"} <= {entry.name for entry in listed}:
        return  # a sweep's folder
    for entry in listed:
        if skips(entry):
            continue
        if entry.is_dir(follow_symlinks=False):
            if deepest > 1 and not _is_left_out(entry.name):
                yield from _files(Path(entry.path), deepest - 1, skips)
        elif entry.is_file(follow_symlinks=False):
            yield entry


def written_files(folder: Path, outputs: str | None, results: Path | None) -> FileStates:
    """Return the files in a folder that trials share, to see what a program changes.

    Whether two trials wrote the same file is for the driver to decide, which knows when each of
    them ran.

    Args:
        outputs: glob of the folders that trials make for themselves; they are skipped.
        results: where sweeps are kept, which others write; it is skipped too.
    """
    pattern = "" if outputs is None else outputs.rstrip("/")
    skipped = None if results is None else os.path.abspath(results)

    def skips(entry: os.DirEntry[str]) -> bool:
        path = os.path.abspath(entry.path)
        if entry.is_dir(follow_symlinks=False):
            return path == skipped or fnmatch.fnmatch(os.path.relpath(path, folder), pattern)
        if entry.name == HISTORY_FILE and os.path.dirname(path) == skipped:
            return True  # the driver's own
        return any(fnmatch.fnmatch(entry.name, each) for each in _NOT_WATCHED)

    return file_states(folder, deepest=_DEEPEST_WATCHED, most=_MOST_WATCHED, skips=skips)


def changed_files(before: FileStates, after: FileStates) -> FileStates:
    """Return the files that are new or were written in between."""
    return {name: state for name, state in after.items() if before.get(name) != state}
