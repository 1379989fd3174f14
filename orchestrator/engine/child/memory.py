"""What a process and all that it started hold of RAM, and what torch holds of a GPU.

::

    tree_bytes(pid)              # RAM of a trial, its loader's workers counted in
    reserved_bytes()             # this process's peak on its GPU, without the context
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from orchestrator.files import MIB
from orchestrator.placement.hardware import family

CONTEXT_BYTES = 512 * MIB
"""What CUDA takes on a GPU beside torch's allocator, where the driver does not tell: the context
and the libraries' kernels. Measured on cards of 2018 to 2024 it is 250 to 550 MiB."""

_KIB = 1024


def tree_bytes(pid: int, root: Path = Path("/")) -> int:
    """Return the RAM of a process and all below it; 0 where the system does not tell.

    Pages that several of them share count once. The greatest peak of one of them counts where it is
    more, because what they held together is seen only now and then.

    Args:
        pid: the uppermost process.
        root: the folder in which ``proc`` stands.
    """
    together = peak = 0
    for member in family([pid], root):
        folder = root / "proc" / str(member)
        status = _kib(folder / "status", ("VmHWM:", "VmRSS:"))
        share = _kib(folder / "smaps_rollup", ("Pss:",)).get("Pss:")
        together += status.get("VmRSS:", 0) if share is None else share
        peak = max(peak, status.get("VmHWM:", 0))
    return max(together, peak) * _KIB


def reserved_bytes() -> int:
    """Return what torch's allocator reserved on this process's GPU at most; 0 without one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return int(torch.cuda.max_memory_reserved())


def cap(promised_bytes: int) -> bool:
    """Hold torch's allocator in this process to what was promised, less the context.

    What other libraries allocate is not held back.

    Returns:
        False where there is no GPU to use.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    total = torch.cuda.get_device_properties(0).total_memory
    share = max(MIB, promised_bytes - CONTEXT_BYTES) / total
    torch.cuda.set_per_process_memory_fraction(min(1.0, share))
    return True


def let_go() -> None:
    """Give back what torch's allocator keeps of a trial that has ended in this process.

    The next one is measured anew, and held to nothing until `cap` says so.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_per_process_memory_fraction(1.0)


def _kib(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    """Return the fields of a file of lines such as ``VmRSS:  12 kB``."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}  # it has ended, is another user's, or the kernel is too old
    found = {}
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] in names and words[1].isdecimal():
            found[words[0]] = int(words[1])
    return found
