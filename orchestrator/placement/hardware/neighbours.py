"""Whether other users compute on a GPU, for sweeps that share politely.

::

    ours = Ours(family([os.getpid()]), memory_bytes=6 << 30, trials=1)
    if reason := who_computes(device, ours, comparable=pids_comparable()):
        ...                              # at most one of our trials may run there

If in doubt, the answer is yes: an unneeded wait costs less than disturbing a neighbour.

1. If the driver's process ids are comparable with ours, every process that computes there and is
   not ours counts, even one that only holds memory, as an idle notebook does: it may resume at
   any moment. Processes that only draw (a desktop) do not count.
2. In a container the driver lists processes by the host's ids, or only those of the container;
   under Windows' driver model it may list none. Then these count: more processes than we have
   trials; memory that ours do not account for, beyond what a driver keeps for itself; and, if none
   of ours runs, any utilisation. While ours run, utilisation proves nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.files import MIB, format_size
from orchestrator.placement.model import CPU, Device

DRIVER_KEEPS_BYTES = 512 * MIB
DRIVER_KEEPS_SHARE = 0.01
"""What an empty GPU shows as used: the greater of the two. Drivers keep some hundred MiB, on large
cards about a hundredth."""

# The kernel gives this number to the namespace of process ids that the machine starts with.
_HOST_NAMESPACE = f"pid:[{0xEFFFFFFC}]"


@dataclass(frozen=True)
class Ours:
    """What this sweep does on one device.

    Attributes:
        pids: its processes, including those on other devices; see `family`.
        memory_bytes: what its trials hold there together, including their CUDA contexts.
        trials: how many of its trials are there.
    """

    pids: frozenset[int] = frozenset()
    memory_bytes: int = 0
    trials: int = 0


def who_computes(device: Device, ours: Ours, *, comparable: bool) -> str:
    """Describe who else computes on `device`; "" for nobody.

    Args:
        comparable: whether the driver counts processes as we do; see `pids_comparable`.
    """
    if device.id == CPU:
        return ""
    if device.processes is not None and comparable:
        return _by_process(device, ours)
    if device.processes is not None:
        computing = sum(process.computes for process in device.processes)
        if computing > ours.trials:
            return (
                f"{computing} process{'' if computing == 1 else 'es'} on {device}, "
                f"of which {ours.trials} can be ours"
            )
    keeps = max(DRIVER_KEEPS_BYTES, int(device.total_bytes * DRIVER_KEEPS_SHARE))
    unknown = device.used_bytes - ours.memory_bytes
    if unknown > keeps:
        return f"{format_size(unknown)} of {device} are in use and not by this sweep"
    if ours.trials == 0 and device.utilisation:
        return f"{device} is busy ({device.utilisation} %)"
    return ""


def _by_process(device: Device, ours: Ours) -> str:
    others = [p for p in device.processes or () if p.computes and p.pid not in ours.pids]
    if not others:
        return ""
    most = max(others, key=lambda process: process.memory_bytes or 0)
    held = "" if most.memory_bytes is None else f" ({format_size(most.memory_bytes)})"
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f"process {most.pid}{held}{more} on {device}"


def pids_comparable(root: Path = Path("/")) -> bool:
    """Return whether the driver and this process count processes alike, as outside of containers.

    Args:
        root: the folder that holds ``proc``.
    """
    if sys.platform != "linux":
        return True
    try:
        return str((root / "proc" / "self" / "ns" / "pid").readlink()) == _HOST_NAMESPACE
    except OSError:
        return False


def family(roots: Iterable[int]) -> frozenset[int]:
    """Return processes with all their descendants.

    A process whose parent has ended belongs to another family: include it in `roots`.
    """
    children: dict[int, list[int]] = {}
    # Not `Process.children`: it fails if /proc hides the processes of other users (hidepid=1).
    for process in psutil.process_iter(["ppid"]):
        children.setdefault(process.info["ppid"], []).append(process.pid)
    found: set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return frozenset(found)


def members(pid: int) -> frozenset[int]:
    """Return what `family` returns for one process, in a moment.

    For measuring only: a process that ends meanwhile may hide one that lives.
    """
    found = [pid]
    try:
        for member in found:
            for task in Path(f"/proc/{member}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    except OSError:  # it has ended, or the system does not list them
        return family([pid])
    return frozenset(found)
