"""What the first trial waits for longest, started before the driver itself has loaded anything."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from orchestrator.engine.child import shared_forkserver
from orchestrator.engine.child.process import modules_to_load
from orchestrator.engine.child.reaper import marked_folder

RAY_FOLDER = "r"
"""Ray opens its folder to everyone, so it gets one below ours, which nobody else can enter."""

_ENOUGH_FILES = 4096

# A path to a socket holds 107 bytes; Ray appends up to 67 to its folder.
_LONGEST = 40 - len(f"/{RAY_FOLDER}")


@contextmanager
def prepared(trainer: str | None) -> Iterator[Path]:
    """Run a forkserver that loads what the trials of a trainer need; None for a program.

    It starts before Ray is imported, since Ray's settings are not for trials.

    Yields:
        The folder in which it serves, for temporary files, readable by this user alone.
    """
    _raise_file_limit()
    resource_tracker.ensure_running()  # before the mark, since it outlives the sweep
    with (
        marked_folder(longest_path=_LONGEST, ends_all=True) as folder,
        shared_forkserver.serving(folder, modules_to_load(trainer)),
        shared_forkserver.using(folder),
    ):
        yield folder


def _raise_file_limit() -> None:
    """Raise the limit of open files as far as it may be; what is started inherits it."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= files < _ENOUGH_FILES:
        enough = _ENOUGH_FILES if most == resource.RLIM_INFINITY else min(_ENOUGH_FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))
