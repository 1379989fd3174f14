"""One forkserver for several processes, with real children."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from orchestrator.engine.child import shared_forkserver


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


def _answer(connection: Connection) -> None:
    connection.send((os.getppid(), os.getpgid(os.getppid())))


def _parent_of_a_child() -> tuple[int, int]:
    """Start a child; return the process id of its parent and that one's process group."""
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    process = context.Process(target=_answer, args=(there,))
    process.start()
    there.close()
    answer: tuple[int, int] = here.recv()
    process.join(10)
    assert process.exitcode == 0
    return answer


def test_children_come_from_the_shared_forkserver_and_from_an_own_one_after_it(
    folder: Path,
) -> None:
    with shared_forkserver.using(folder):
        with shared_forkserver.serving(folder, ["orchestrator.errors", "no_such_module"]):
            server, group = _parent_of_a_child()
            assert server == group, "a signal to the driver's group does not reach it"
            assert _parent_of_a_child() == (server, group)
            assert psutil.Process(server).ppid() == os.getpid()
        assert not psutil.pid_exists(server), "it ends with the block"
        own = _parent_of_a_child()[0]
        assert own != server
    assert _parent_of_a_child()[0] == own, "nothing is left of it"


def test_it_ends_when_its_driver_is_killed(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    driver = context.Process(target=_serve, args=(folder,))
    driver.start()
    deadline = time.monotonic() + 20
    while not (servers := psutil.Process(driver.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.01)
    driver.kill()
    driver.join()
    assert len(servers) == 1
    psutil.wait_procs(servers, timeout=20)
    assert not servers[0].is_running()


def _serve(folder: Path) -> None:
    with shared_forkserver.serving(folder, []):
        time.sleep(60)
