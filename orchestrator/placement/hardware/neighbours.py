"""Whether somebody else computes on a GPU, for sweeps that share politely.

::

    ours = Ours(family([os.getpid()]), memory_bytes=6 << 30, trials=1)
    if reason := who_computes(device, ours, comparable=pids_comparable()):
        ...                              # at most one trial of ours belongs there

In doubt somebody does: a needless wait costs less than a neighbour's patience.

1. Where the driver's process ids are those that we count by, every process that computes there
   and is not ours is somebody, also one that just holds memory, as an idle notebook does: it may
   go on any moment. Processes that only draw (a desktop) are not.
2. In a container the driver lists processes by the host's ids, or only those of the container;
   under Windows' driver model it may list none. Then more processes than trials of ours are
   somebody; so is memory that ours do not account for, beyond what a driver keeps for itself; and
   where none of ours runs, so is any utilisation. While ours run, utilisation tells nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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
        pids: its processes, also those that are not there; see `family`.
        memory_bytes: what its trials hold there together, their contexts counted in.
        trials: how many of its trials are there.
    """

    pids: frozenset[int] = frozenset()
    memory_bytes: int = 0
    trials: int = 0


def who_computes(device: Device, ours: Ours, *, comparable: bool) -> str:
    """Return in words who else computes on a device; "" where nobody does.

    Args:
        device: as it is now.
        ours: what is ours there.
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
    """Tell whether the driver and this process count processes alike.

    They do outside of containers.

    Args:
        root: the folder in which ``proc`` stands.
    """
    if sys.platform != "linux":
        return True
    try:
        return str((root / "proc" / "self" / "ns" / "pid").readlink()) == _HOST_NAMESPACE
    except OSError:
        return False


def family(roots: Iterable[int], root: Path = Path("/")) -> frozenset[int]:
    """Return processes with all that descend from them.

    One whose parent has ended belongs to another family: name it among the roots.

    Args:
        roots: process ids.
        root: the folder in which ``proc`` stands; without one the roots are all that is known.
    """
    children: dict[int, list[int]] = {}
    for stat in (root / "proc").glob("[0-9]*/stat"):
        try:
            # The name of the command comes before, in parentheses, and may hold any character.
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile
        children.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return frozenset(found)
