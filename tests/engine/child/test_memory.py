"""What processes hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from orchestrator.engine.child import memory
from orchestrator.files.units import MIB


@contextmanager
def running(code: str) -> Iterator[int]:
    """Start code that prints ``ready`` and reads its standard input; yield its process id."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
READY = "import os, sys; print('ready', flush=True); sys.stdin.read()"


@linux
def test_a_child_and_its_child_count_together() -> None:
    inner = f"x = bytearray(60 << 20); {READY}"
    with running(
        "import subprocess, sys\n"
        "x = bytearray(90 << 20)\n"
        f"subprocess.run([sys.executable, '-c', {inner!r}])\n"
    ) as pid:
        assert 150 * MIB <= memory.tree_bytes(pid) <= 260 * MIB


@linux
def test_shared_pages_count_once() -> None:
    code = f"import os\nx = bytearray(90 << 20)\nif os.fork():\n    os.wait()\nelse:\n    {READY}\n"
    with running(code) as pid:
        both = psutil.Process(pid).memory_info().rss * 2
        assert 90 * MIB <= memory.tree_bytes(pid) <= both - 80 * MIB


@linux
def test_a_peak_is_not_forgotten() -> None:
    with running(f"x = bytearray(90 << 20)\ndel x\n{READY}") as pid:
        assert psutil.Process(pid).memory_info().rss < 60 * MIB
        assert memory.tree_bytes(pid) >= 90 * MIB


@linux
def test_the_memory_of_a_process_that_hides_its_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse)
    with running(f"x = bytearray(90 << 20); {READY}") as pid:
        assert memory.tree_bytes(pid) >= 90 * MIB


def test_a_process_that_has_ended_holds_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert memory.tree_bytes(gone.pid) == 0


def test_without_a_gpu_nothing_is_reserved_and_nothing_capped() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here; tests/gpu checks the cap")
    assert memory.reserved_bytes() == 0
    assert memory.cap(1 << 30) is False
