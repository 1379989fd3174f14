"""The files and folders below some paths, each once, whatever links lead where."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

_HIDDEN_MARKS = (".hydra",)
"""Hidden folders that show what their folder is; all others are passed over."""


@dataclass
class Folder:
    """One folder.

    Attributes:
        files: names of its files.
        folders: the folders in it that were walked too.
        marks: names of hidden folders in it that show what it is.
        error: why it could not be read, or None.
    """

    files: frozenset[str] = frozenset()
    folders: list[Path] = field(default_factory=list)
    marks: frozenset[str] = frozenset()
    error: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """Names of everything in it."""
        return self.files | {path.name for path in self.folders} | self.marks

    @property
    def is_empty(self) -> bool:
        """True if there is nothing in it."""
        return not self.files and not self.folders and not self.marks and self.error is None


def walk(root: Path, tree: dict[Path, Folder], seen: set[tuple[int, int]]) -> None:
    """Add `root` and every folder below it to `tree`, parents before what is in them.

    Links are followed after everything else, so that a folder is found under its own name; one
    that leads back up is not followed.

    Args:
        root: the folder to start at.
        tree: folders by their paths; added to.
        seen: device and inode of the folders walked so far; added to.
    """
    waiting = deque([root])
    links: deque[Path] = deque()
    while waiting or links:
        path = waiting.popleft() if waiting else links.popleft()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list(os.scandir(path))
        except OSError as error:
            tree[path] = Folder(error=f"cannot be read: {error.strerror}")
            continue
        files, marks = [], []
        folder = tree[path] = Folder()
        for entry in entries:
            if entry.name in _HIDDEN_MARKS and entry.is_dir():
                marks.append(entry.name)
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            kind = _kind(entry)
            below = path / entry.name
            if kind == "file":
                files.append(entry.name)
            elif kind == "folder" or (kind == "link" and not _leads_up(below)):
                folder.folders.append(below)
                (links if kind == "link" else waiting).append(below)
        folder.files, folder.marks = frozenset(files), frozenset(marks)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if entry.is_symlink() and entry.is_dir():
            return "link"
        if entry.is_file():
            return "file"
    except OSError:
        # A link to itself, or one into a place that may not be looked at: nothing can be read.
        pass
    # A link to nowhere has no content, and opening a pipe may wait for ever.
    return "other"


def _leads_up(link: Path) -> bool:
    try:
        target = link.resolve(strict=True)
        return link.parent.resolve().is_relative_to(target)
    except (OSError, RuntimeError):
        return True
