"""Where a trial's program runs: in its folder, or in the trial's own copy of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.files import MIB, format_size
from orchestrator.sweepfile.model import Program

FOLDER = "work"
"""In the run directory: the trial's copy."""

LARGEST_BYTES = 10 * MIB
"""Larger files are data or results, not sources."""
MOST_FILES = 20_000
MOST_BYTES = 1024 * MIB

_LEFT_OUT = ("__pycache__", "node_modules")


def settle(
    program: Program,
    config: Mapping[str, Any],
    directory: Path,
    *,
    resumes: bool,
    warn: Callable[[str], None],
) -> tuple[Program, dict[str, Any]]:
    """Return the program as it runs in this trial, and the config as it is passed to it.

    Relative paths mean what they mean in the sweep file's folder, wherever the program runs.

    Args:
        program: as the sweep file describes it.
        config: parameter name to value.
        directory: the run directory.
        resumes: use the copy of an earlier attempt.
        warn: called with what the user should know.

    Raises:
        TrialError: the folder cannot be copied.
    """
    home = Path(program.folder or program.workdir)
    if program.copies:
        source, target = Path(program.workdir), directory.absolute() / FOLDER
        if not (resumes and target.is_dir()):
            _make_copy(source, target, program.link, warn)
        path = program.path
        if os.path.isabs(path) and Path(os.path.abspath(path)).is_relative_to(source):
            path = str(target / Path(os.path.abspath(path)).relative_to(source))
        program = replace(program, workdir=str(target), path=path)
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
    if os.path.isabs(plain) or not _exists(home / plain):
        return text
    if not plain.startswith("..") and _exists(here / plain):
        return text
    return os.path.normpath(home / plain)


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):  # a name that no file can have
        return False


def _make_copy(
    source: Path, target: Path, link: tuple[str, ...], warn: Callable[[str], None]
) -> None:
    """Copy the sources and small files of `source` to a new `target`.

    Raises:
        TrialError: there is too much of it, or it cannot be read or written.
    """
    linked = {source / name for name in link}
    large: list[tuple[str, int]] = []
    files = total = 0
    try:
        if target.is_dir():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for entry in _sources(source, linked):
            path = Path(entry.path)
            copy = target / path.relative_to(source)
            if path in linked:
                copy.symlink_to(path.resolve())
            elif entry.is_symlink():
                copy.symlink_to(_link_target(path, source))
            elif entry.is_dir():
                copy.mkdir()
            elif entry.is_file():
                size = entry.stat().st_size
                if size > LARGEST_BYTES:
                    large.append((str(path.relative_to(source)), size))
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
        names = ", ".join(f"{name} ({format_size(size)})" for name, size in large[:3])
        more = f" and {len(large) - 3} more" if len(large) > 3 else ""
        warn(f"left out of the copy: {names}{more}. Name what the program needs under link.")


def _sources(folder: Path, linked: set[Path]) -> Iterator[os.DirEntry[str]]:
    """Yield what is copied or linked, folders before their content."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        path = Path(entry.path)
        is_folder = entry.is_dir(follow_symlinks=False)
        if path in linked or not is_folder:
            yield entry
        elif not (is_left_out(entry.name) or _is_foreign(path)):
            yield entry
            yield from _sources(path, linked)


def is_left_out(name: str) -> bool:
    """Return whether a folder of this name holds no sources."""
    return name.startswith(".") or name in _LEFT_OUT


def _is_foreign(folder: Path) -> bool:
    """Return whether a folder is an environment, or a sweep's."""
    if (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").is_dir():
        return True
    return (folder / "spec.json").is_file() and (folder / "trials").is_dir()


def _link_target(path: Path, source: Path) -> str:
    """Return the target of a link's copy: inside the copy if the link leads inside."""
    leads = os.readlink(path)
    inside = path.resolve().is_relative_to(source.resolve())
    return leads if inside and not os.path.isabs(leads) else str(path.resolve())
