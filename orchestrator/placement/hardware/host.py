"""Cores and RAM that this process may use: affinity and the limits of its control groups.

::

    reader = HostReader()
    host = reader.read()              # repeatedly while a sweep runs
    device = host.device()            # RAM, watched like a card's memory

psutil measures the machine; it does not know control groups.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from orchestrator.placement.model import Host


class HostReader:
    """Reads cores and RAM, as often as needed.

    A process does not change its control groups, so they are looked up once, which takes most of
    the time of a first reading; their limits and usage are read each time.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._stat = root / "proc" / "stat"
        self._cpu_groups = list(_groups(root, "cpu"))
        self._memory_groups = list(_groups(root, "memory"))

    def read(self) -> Host:
        """Return the cores and the RAM that trials may use now.

        Cores are those of the process's affinity mask, at most the CPU quota of its control group
        (rounded down, at least 1). Free RAM is what the kernel calls available, at most what each
        of its control groups still allows; file cache counts as free, because it can be reclaimed.
        """
        cores = max(1, len(_allowed()))
        memory = psutil.virtual_memory()
        total, free = memory.total, memory.available
        for group in self._cpu_groups:
            quota = _quota(group)
            if quota is not None:
                cores = min(cores, max(1, int(quota)))
        for group in self._memory_groups:
            limit, used = _limit(group)
            if limit is not None:
                total = min(total, limit)
                free = min(free, max(0, limit - used))
        return Host(cores=cores, free_bytes=free, total_bytes=total)

    def oom_kills(self) -> int:
        """Return how many processes of our control group the kernel killed to free memory."""
        if not self._memory_groups:
            return 0
        names = ("memory.events", "memory.oom_control")
        return max(_fields(self._memory_groups[0] / name).get("oom_kill", 0) for name in names)

    def idle_cores(self, over_s: float = 0.25) -> float | None:
        """Return how many of the cores that this process may use are idle now.

        It measures for a moment, because the load average still counts what ended a minute ago.
        If the control group has a quota, what its processes use counts against that.

        Args:
            over_s: how long it measures, which is how long the call takes.

        Returns:
            None if the system does not report it.
        """
        before, used_before, at = _ticks(self._stat), self._used_s(), time.monotonic()
        time.sleep(over_s)
        after, used_after = _ticks(self._stat), self._used_s()
        passed_s = time.monotonic() - at
        allowed = _allowed()
        shares = [
            (after[core][0] - idle) / (after[core][1] - total)
            for core, (idle, total) in before.items()
            if core in allowed and core in after and after[core][1] > total
        ]
        if not shares:
            return None
        idle = sum(shares)
        for group in self._cpu_groups:
            quota, used = _quota(group), used_after.get(group, 0.0) - used_before.get(group, 0.0)
            if quota is not None:
                idle = min(idle, max(0.0, quota - used / passed_s))
        return idle

    def _used_s(self) -> dict[Path, float]:
        """Return the core seconds that each control group has used so far."""
        micro = {group: _fields(group / "cpu.stat").get("usage_usec") for group in self._cpu_groups}
        return {group: used / 1e6 for group, used in micro.items() if used is not None}


def _allowed() -> set[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _ticks(path: Path) -> dict[int, tuple[int, int]]:
    """Return for each core its idle clock ticks, including waits for disks, and all its ticks.

    Not `psutil.cpu_times`, which drops the numbers of the cores.
    """
    found = {}
    for line in _read(path).splitlines():
        name, *rest = line.split() or [""]
        number = name.removeprefix("cpu")
        if name.startswith("cpu") and number.isdecimal() and len(rest) >= 5:
            # The last two columns, guests' time, are included in the first two.
            ticks = [int(text) for text in rest[:8] if text.isdecimal()]
            if len(ticks) >= 5:
                found[int(number)] = (ticks[3] + ticks[4], sum(ticks))
    return found


def _fields(path: Path) -> dict[str, int]:
    """Read lines of a name and a number, such as ``inactive_file 12``."""
    found: dict[str, int] = {}
    for line in _read(path).splitlines():
        name, *rest = line.split()[:2] or [""]
        if rest and rest[0].isdecimal():
            found[name] = int(rest[0])
    return found


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of those around it.

    Any of them may have a limit. Version 1 mounts each controller separately, version 2 all in
    one; both may be mounted, so both are looked up.
    """
    own: dict[str, str] = {}
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for name in ("",) if number == "0" else controllers.split(","):
            own[name] = path
    for line in _read(root / "proc" / "self" / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        places, kind = before.split(), after.split()
        if len(places) < 5 or len(kind) < 3:
            continue
        name = "" if kind[0] == "cgroup2" else controller
        if kind[0] == "cgroup" and controller not in kind[2].split(","):
            continue
        if kind[0].startswith("cgroup") and name in own:
            yield from _upwards(root, mounted=places[3], at=places[4], path=own[name])


def _upwards(root: Path, *, mounted: str, at: str, path: str) -> Iterator[Path]:
    """Yield the folder of the group `path`, then its parents up to the mount point `at`.

    Args:
        mounted: the group that is mounted; in a container often its own.
        path: the group of this process, as the host counts it.
    """
    top = root / at.lstrip("/")
    inside = path.removeprefix(mounted) if mounted != "/" else path
    # Without a cgroup namespace a container gets a path that it cannot see: use what it can see.
    parts = [part for part in inside.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        folder = top.joinpath(*parts[:length])
        if folder.is_dir():
            yield folder


def _quota(group: Path) -> float | None:
    """Return the cores that a group's quota allows; None for no limit."""
    fields = _read(group / "cpu.max").split()
    if not fields:
        fields = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
    try:
        quota, period = int(fields[0]), int(fields[1])
    except (IndexError, ValueError):
        return None  # "max", or no such file
    return quota / period if quota > 0 and period > 0 else None


def _limit(group: Path) -> tuple[int | None, int]:
    """Return a group's limit (None for none) and its memory that cannot be reclaimed, in bytes."""
    for limit_name, usage_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _read(group / limit_name).strip()
        if limit.isdecimal():
            usage = _read(group / usage_name).strip()
            cache = _fields(group / "memory.stat").get(cache_name, 0)
            return int(limit), max(0, int(usage) - cache) if usage.isdecimal() else 0
    return None, 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
