"""What processes hold: real ones, and those of a scripted /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.engine.child import memory
from orchestrator.files.units import MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_and_its_child_count_together() -> None:
    inner = "x = bytearray(60 << 20); import sys; print('ready', flush=True); sys.stdin.read()"
    outer = (
        "import subprocess, sys\n"
        "x = bytearray(90 << 20)\n"
        f"subprocess.run([sys.executable, '-c', {inner!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        held = memory.tree_bytes(process.pid)
        assert process.stdin is not None
        process.stdin.close()
    assert 150 * MIB <= held <= 260 * MIB


def member(root: Path, pid: int, parent: int, *, rss: int, peak: int, pss: int | None) -> None:
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a ) b) S {parent} 0 0")
    (folder / "status").write_text(f"Name:\tx\nVmHWM:\t{peak} kB\nVmRSS:\t{rss} kB\n")
    if pss is not None:
        (folder / "smaps_rollup").write_text(f"55-ff ---p 00 00:00 0 [rollup]\nPss:  {pss} kB\n")


def test_shared_pages_count_once_and_a_peak_is_not_forgotten(tmp_path: Path) -> None:
    member(tmp_path, 10, 1, rss=1000, peak=1000, pss=700)
    member(tmp_path, 11, 10, rss=800, peak=800, pss=500)
    member(tmp_path, 12, 1, rss=9000, peak=9000, pss=9000)
    assert memory.tree_bytes(10, tmp_path) == 1200 << 10
    member(tmp_path, 13, 11, rss=10, peak=5000, pss=None)
    assert memory.tree_bytes(10, tmp_path) == 5000 << 10
    assert memory.tree_bytes(99, tmp_path) == 0


def test_without_a_gpu_nothing_is_reserved_and_nothing_capped() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here; tests/gpu holds the cap to its word")
    assert memory.reserved_bytes() == 0
    assert memory.cap(1 << 30) is False
