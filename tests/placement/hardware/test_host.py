"""Cores and RAM, read from folders laid out as kernels and containers lay them out."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.placement.hardware.host import HostReader
from orchestrator.placement.model import Host

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 cores and 32 GiB, 20 of them available, without limits."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"))
    write(
        tmp_path / "proc" / "meminfo",
        meminfo(free=1048576, available=20971520),
    )
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def meminfo(*, free: int, available: int | None = None, cached: int = 0) -> str:
    """Return /proc/meminfo of a machine of 32 GiB, in KiB."""
    fields = {"MemTotal": 33554432, "MemFree": free, "Buffers": 0, "Cached": cached, "Shmem": 0}
    fields |= {"Active": 0, "Inactive": 0}
    if available is not None:
        fields["MemAvailable"] = available
    return "".join(f"{name}: {value} kB\n" for name, value in fields.items())


def read_host(root: Path) -> Host:
    return HostReader(root).read()


def version_2(root: Path, *, own: str, mounted: str = "/") -> Path:
    write(root / "proc/self/cgroup", f"0::{own}\n")
    write(
        root / "proc/self/mountinfo",
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        f"35 25 0:30 {mounted} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n",
    )
    return root / "sys/fs/cgroup"


def version_1(root: Path, *, own: str, mounted: str = "/") -> Path:
    write(root / "proc/self/cgroup", f"9:name=systemd:/\n4:memory:{own}\n2:cpu,cpuacct:{own}\n")
    write(
        root / "proc/self/mountinfo",
        f"32 31 0:29 {mounted} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        f"35 31 0:32 {mounted} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    )
    return root / "sys/fs/cgroup"


def test_without_limits_the_machine_is_the_limit(root: Path) -> None:
    found = read_host(root)
    assert (found.cores, found.total_bytes, found.free_bytes) == (16, 32 * GIB, 20 * GIB)


def test_version_2_limits_count_file_cache_as_free(root: Path) -> None:
    group = version_2(root, own="/user.slice/job")
    write(group / "user.slice/job/cpu.max", "400000 100000\n")
    write(group / "user.slice/job/memory.max", f"{8 * GIB}\n")
    write(group / "user.slice/job/memory.current", f"{5 * GIB}\n")
    write(group / "user.slice/job/memory.stat", f"anon 1\ninactive_file {2 * GIB}\n")
    found = read_host(root)
    assert (found.cores, found.total_bytes, found.free_bytes) == (4, 8 * GIB, 5 * GIB)


def test_a_limit_on_a_group_above_holds_too(root: Path) -> None:
    group = version_2(root, own="/user.slice/job")
    write(group / "user.slice/job/cpu.max", "max 100000\n")
    write(group / "user.slice/job/memory.max", "max\n")
    write(group / "user.slice/cpu.max", "250000 100000\n")
    write(group / "user.slice/memory.max", f"{4 * GIB}\n")
    write(group / "user.slice/memory.current", f"{GIB}\n")
    found = read_host(root)
    assert (found.cores, found.free_bytes) == (2, 3 * GIB)


def test_a_container_whose_group_is_the_mount(root: Path) -> None:
    # Docker on version 1: the kernel tells the host's path, the mount shows it as the top.
    group = version_1(root, own="/docker/abc", mounted="/docker/abc")
    write(group / "cpu,cpuacct/cpu.cfs_quota_us", "150000\n")
    write(group / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    write(group / "memory/memory.limit_in_bytes", f"{2 * GIB}\n")
    write(group / "memory/memory.usage_in_bytes", f"{GIB}\n")
    write(group / "memory/memory.stat", f"inactive_file 5\ntotal_inactive_file {GIB // 2}\n")
    found = read_host(root)
    assert (found.cores, found.total_bytes) == (1, 2 * GIB)
    assert found.free_bytes == GIB + GIB // 2


def test_version_1_on_the_host_without_limits(root: Path) -> None:
    group = version_1(root, own="/jobs/7")
    write(group / "cpu,cpuacct/jobs/7/cpu.cfs_quota_us", "-1\n")
    write(group / "cpu,cpuacct/jobs/7/cpu.cfs_period_us", "100000\n")
    write(group / "memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n")
    write(group / "memory/jobs/7/memory.usage_in_bytes", f"{GIB}\n")
    found = read_host(root)
    assert (found.cores, found.free_bytes) == (16, 20 * GIB)


def test_a_group_that_cannot_be_seen_falls_back_to_the_mount(root: Path) -> None:
    group = version_2(root, own="/../../elsewhere")
    write(group / "cpu.max", "300000 100000\n")
    assert read_host(root).cores == 3


def test_a_quota_below_one_core_leaves_one(root: Path) -> None:
    group = version_2(root, own="/")
    write(group / "cpu.max", "50000 100000\n")
    assert read_host(root).cores == 1


def test_memory_beyond_its_limit_leaves_nothing(root: Path) -> None:
    group = version_2(root, own="/")
    write(group / "memory.max", f"{GIB}\n")
    write(group / "memory.current", f"{2 * GIB}\n")
    assert read_host(root).free_bytes == 0


def test_an_old_kernel_does_not_report_available_memory(root: Path) -> None:
    write(root / "proc/meminfo", meminfo(free=1048576, cached=1048576))
    assert read_host(root).free_bytes == 2 * GIB


def test_a_machine_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    memory = SimpleNamespace(total=4 * GIB, available=3 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    found = read_host(tmp_path)
    assert (found.cores, found.total_bytes, found.free_bytes) == (10, 4 * GIB, 3 * GIB)


def test_a_reader_follows_limit_and_use_without_looking_for_groups_again(root: Path) -> None:
    group = version_2(root, own="/job") / "job"
    write(group / "memory.max", f"{8 * GIB}\n")
    write(group / "memory.current", f"{GIB}\n")
    reader = HostReader(root)
    assert reader.read().free_bytes == 7 * GIB
    (root / "proc/self/mountinfo").unlink()
    write(group / "memory.current", f"{6 * GIB}\n")
    write(group / "memory.stat", f"inactive_file {GIB}\n")
    assert reader.read().free_bytes == 3 * GIB
    write(group / "memory.max", f"{4 * GIB}\n")
    write(group / "cpu.max", "200000 100000\n")
    found = reader.read()
    assert (found.cores, found.total_bytes, found.free_bytes) == (2, 4 * GIB, 0)
    # A container may be ended by its host's memory though its own limit is far.
    write(group / "memory.max", f"{31 * GIB}\n")
    write(root / "proc/meminfo", meminfo(free=0, available=1048576))
    device = reader.read().device()
    assert (device.id, device.free_bytes, device.total_bytes) == ("cpu", GIB, 31 * GIB)
    assert (device.used_bytes, str(device)) == (30 * GIB, "the host's memory")


def test_this_machine() -> None:
    found = HostReader().read()
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert 0 < found.free_bytes <= found.total_bytes


def test_kills_of_the_memory_guard_are_counted(root: Path) -> None:
    assert HostReader(root).oom_kills() == 0
    group = version_2(root, own="/job")
    write(group / "job/memory.max", f"{8 * GIB}\n")
    assert HostReader(root).oom_kills() == 0
    reader = HostReader(root)
    write(group / "job/memory.events", "low 0\nhigh 7\nmax 9\noom 3\noom_kill 2\n")
    assert reader.oom_kills() == 2


def test_kills_are_counted_by_version_1_too(root: Path) -> None:
    group = version_1(root, own="/job")
    write(group / "memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    assert HostReader(root).oom_kills() == 4


STAT = """cpu  0 0 0 0 0 0 0 0 0 0
cpu0 {0} 0 0 {1} 0 0 0 0 0 0
cpu1 100 0 0 100 {2} 0 0 0 0 0
cpu2 900 0 0 0 0 0 0 0 0 0
intr 1
"""


def watched(
    root: Path, monkeypatch: pytest.MonkeyPatch, cores: int, *changes: tuple[Path, str]
) -> float | None:
    """Return what a look at the idle cores finds while files change."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    now, real_sleep, here = [0.0], time.sleep, threading.get_ident()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        if threading.get_ident() != here:  # a thread that an earlier test has left
            real_sleep(seconds)
            return
        now[0] += seconds
        for path, text in changes:
            write(path, text)

    monkeypatch.setattr(time, "sleep", sleep)
    return HostReader(root).idle_cores(0.5)


def test_idle_cores_are_those_that_stood_still_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = root / "proc/stat"
    write(stat, STAT.format(100, 100, 0))
    # Of 50 ticks the first core idled 10, the second waited 25 for a disk.
    after = STAT.format(140, 110, 25).replace("cpu1 100", "cpu1 125")
    assert watched(root, monkeypatch, 2, (stat, after)) == pytest.approx(0.2 + 0.5)
    write(stat, STAT.format(100, 100, 0))
    assert watched(root, monkeypatch, 1, (stat, after)) == pytest.approx(0.2)


def test_of_a_quota_its_group_has_used_a_part(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = version_2(root, own="/job") / "job"
    write(group / "cpu.max", "150000 100000\n")
    write(group / "cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    stat = root / "proc/stat"
    write(stat, STAT.format(100, 100, 0))
    idle = STAT.format(100, 150, 50)
    spent = (group / "cpu.stat", "usage_usec 1400000\n")
    assert watched(root, monkeypatch, 2, (stat, idle), spent) == pytest.approx(1.5 - 0.8)
    write(stat, STAT.format(100, 100, 0))
    assert watched(root, monkeypatch, 2, (stat, idle)) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "text", ["", "cpu0 a b c d e\ncpuX 1 2 3 4 5\ncpu1 1 2\n", "cpu0 1 1 1 1 1\n"]
)
def test_a_system_that_reports_no_ticks_has_no_answer(
    root: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    write(root / "proc/stat", text)
    assert watched(root, monkeypatch, 2) is None


def test_this_machine_has_no_more_idle_cores_than_cores() -> None:
    idle = HostReader().idle_cores(0.05)
    assert idle is None or 0 <= idle <= len(os.sched_getaffinity(0))
