"""Cores and RAM that this process may use: affinity and the limits of its control groups.

::

    host = read_host()
    reader = HostReader()             # again and again while a sweep runs
    device = reader.read().device()   # RAM, watched like a card's memory
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.placement.model import Host

_KIB = 1024


def read_host(root: Path = Path("/")) -> Host:
    """Return the cores and the RAM that trials may use here, as `HostReader.read` does.

    Args:
        root: the folder in which ``proc`` and ``sys`` stand.
    """
    return HostReader(root).read()


class HostReader:
    """Reads cores and RAM, as often as asked.

    A process does not change its control groups, so they are looked up once, which takes most of
    the time of a first reading; their limits and what is used are read each time.

    Args:
        root: the folder in which ``proc`` and ``sys`` stand.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._meminfo = root / "proc" / "meminfo"
        self._stat = root / "proc" / "stat"
        self._cpu_groups = list(_groups(root, "cpu"))
        self._memory_groups = list(_groups(root, "memory"))

    def oom_kills(self) -> int:
        """Return how many processes of our control group its memory guard has killed so far."""
        if not self._memory_groups:
            return 0
        own = self._memory_groups[0]
        counts = [
            _fields(own / name).get("oom_kill", 0)
            for name in ("memory.events", "memory.oom_control")
        ]
        return max(counts)

    def idle_cores(self, over_s: float = 0.25) -> float | None:
        """Return how many cores stand idle now, of those that this process may use.

        It watches for a moment, because the load average still counts what ended a minute ago.
        Where a quota holds for the control group, what its processes use counts against that.

        Args:
            over_s: how long it watches; this takes so long.

        Returns:
            None where the system does not tell.
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

    def read(self) -> Host:
        """Return the cores and the RAM that trials may use now.

        Cores are those of the process's affinity mask, at most the CPU quota of its control group
        (rounded down, at least 1). Free RAM is what the kernel calls available, at most what each
        of its control groups still allows; file cache counts as free, because it gives way.
        """
        cores = _affinity()
        total, free = _memory(self._meminfo)
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


def _affinity() -> int:
    return max(1, len(_allowed()))


def _allowed() -> set[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _ticks(path: Path) -> dict[int, tuple[int, int]]:
    """Return by core how many clock ticks it stood idle, waiting for disks included, and in all."""
    found = {}
    for line in _read(path).splitlines():
        name, *rest = line.split() or [""]
        number = name.removeprefix("cpu")
        if name.startswith("cpu") and number.isdecimal() and len(rest) >= 5:
            # The last two, guests' time, are counted in the first two already.
            ticks = [int(word) for word in rest[:8] if word.isdecimal()]
            if len(ticks) >= 5:
                found[int(number)] = (ticks[3] + ticks[4], sum(ticks))
    return found


def _memory(path: Path) -> tuple[int, int]:
    """Return total and available bytes of RAM."""
    fields = _fields(path)
    if "MemTotal" in fields:
        total = fields["MemTotal"] * _KIB
        # Kernels before 3.14 do not tell what is available.
        available = fields.get("MemAvailable", fields.get("MemFree", 0) + fields.get("Cached", 0))
        return total, min(total, available * _KIB)
    try:
        # No /proc (macOS): the total is known, what others use is not.
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0, 0
    return total, total


def _fields(path: Path) -> dict[str, int]:
    """Read lines of a name and a number (``MemFree: 12 kB``, ``inactive_file 12``)."""
    found: dict[str, int] = {}
    for line in _read(path).splitlines():
        name, *rest = line.split()[:2] or [""]
        if rest and rest[0].isdecimal():
            found[name.removesuffix(":")] = int(rest[0])
    return found


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of those around it.

    A limit may stand at any height. Version 1 mounts each controller apart, version 2 all in one;
    both may be there, so both are looked up.
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
    """Yield the folder of the group `path`, then its parents up to the mount point.

    Args:
        root: the folder in which ``proc`` and ``sys`` stand.
        mounted: the group that is mounted; in a container often its own.
        at: where it is mounted.
        path: the group of this process, as the host sees it.
    """
    top = root / at.lstrip("/")
    inside = path.removeprefix(mounted) if mounted != "/" else path
    # Without a cgroup namespace a container is told a path that it cannot see: use what it can.
    parts = [part for part in inside.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        folder = top.joinpath(*parts[:length])
        if folder.is_dir():
            yield folder


def _quota(group: Path) -> float | None:
    """Return the cores that a group's quota allows; None for no limit."""
    words = _read(group / "cpu.max").split()
    if not words:
        words = [_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")]
    try:
        quota, period = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return None  # "max", or nothing there
    return quota / period if quota > 0 and period > 0 else None


def _limit(group: Path) -> tuple[int | None, int]:
    """Return the bytes that a group may use (None for no limit) and those that do not give way."""
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
