"""One forkserver for all workers of a sweep, which loads torch while Ray starts.

`multiprocessing` alone would start one in each worker, once that has its first attempt.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

_SOCKET = "forkserver"


@contextmanager
def serving(folder: Path, preload: Iterable[str]) -> Iterator[None]:
    """Run a forkserver that loads `preload`, for the processes that are `using` it.

    It ends with this process, even if that is killed. It leads a session of its own, so that a
    signal to this process's group does not lose the trials that are about to save.

    Args:
        folder: for its socket; readable by this user alone, of at most 90 bytes.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        yield
        return
    ends, lifeline = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / _SOCKET))
        listener.listen()
        call = f"main({listener.fileno()}, {ends}, {list(preload)!r})"
        server = subprocess.Popen(
            # Without -P it would import from the working folder first.
            [sys.executable, "-P", "-c", f"from multiprocessing.forkserver import main; {call}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(listener.fileno(), ends),
            start_new_session=True,
        )
    os.close(ends)
    try:
        yield
    finally:
        os.close(lifeline)
        server.kill()  # it may still load torch
        server.wait()


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Start the children of this process from the forkserver that serves in `folder`.

    If there is none, or no longer, `multiprocessing` starts one for this process.
    """
    module: Any = forkserver
    shared: Any = module.ForkServer()
    shared.ensure_running = resource_tracker.ensure_running
    shared._forkserver_address = str(folder / _SOCKET)
    # A child inherits what keeps its forkserver alive; for this one only the driver does that.
    shared._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)
    own = module.connect_to_new_process

    def connect(descriptors: list[int]) -> tuple[int, int]:
        try:
            start: tuple[int, int] = shared.connect_to_new_process(descriptors)
        except (ConnectionError, FileNotFoundError):
            start = own(descriptors)
        return start

    module.connect_to_new_process = connect
    try:
        yield
    finally:
        module.connect_to_new_process = own
        os.close(shared._forkserver_alive_fd)
