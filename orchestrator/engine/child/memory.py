"""The RAM of a process and its descendants, and the GPU memory that torch holds."""

from __future__ import annotations

import gc
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from orchestrator.files import MIB, to_mib
from orchestrator.placement.hardware import members

CONTEXT_BYTES = 512 * MIB
"""What CUDA takes on a GPU besides torch's allocator if the driver does not report it: the context
and the libraries' kernels. Measured on cards of 2018 to 2024 it is 250 to 550 MiB."""

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB", re.MULTILINE)


def tree_bytes(pid: int) -> int:
    """Return the RAM of a process and all its descendants; 0 if the system does not report it.

    Shared pages count once. If the greatest peak of one process is more, that counts, because what
    they hold together is measured only from time to time.
    """
    together = peak = 0
    for member in members(pid):
        with suppress(psutil.Error):  # it has ended
            process = psutil.Process(member)
            try:
                held = process.memory_full_info()
                together += int(getattr(held, "pss", held.uss))
            except psutil.AccessDenied:
                together += process.memory_info().rss
        with suppress(OSError):  # on Linux psutil has no peak
            status = Path(f"/proc/{member}/status").read_text(errors="replace")
            if found := _PEAK.search(status):
                peak = max(peak, int(found[1]) << 10)
    return max(together, peak)


def _torch_on_gpu() -> Any:
    """Return torch if this process uses a GPU through it, else None."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def reserved_bytes() -> int:
    """Return what torch's allocator reserved on this process's GPU at most; 0 without one."""
    torch = _torch_on_gpu()
    return 0 if torch is None else int(torch.cuda.max_memory_reserved())


def peaks_mib() -> dict[str, int]:
    """Return the peak memory of this process and its ended children, and on a GPU torch's peak."""
    # Linux counts ru_maxrss in KiB, macOS in bytes.
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    usages = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peaks = {"peak_memory_mib": max(resource.getrusage(u).ru_maxrss for u in usages) // scale}
    if _torch_on_gpu() is not None:
        peaks["peak_gpu_memory_mib"] = to_mib(reserved_bytes())
    return peaks


def cap(promised_bytes: int) -> bool:
    """Limit torch's allocator to what was promised, less the context; return if there is a GPU."""
    import torch

    if not torch.cuda.is_available():
        return False
    total = torch.cuda.get_device_properties(0).total_memory
    share = max(MIB, promised_bytes - CONTEXT_BYTES) / total
    torch.cuda.set_per_process_memory_fraction(min(1.0, share))
    return True


def release() -> None:
    """Return what torch's allocator keeps of a trial that has ended in this process.

    The next trial is measured from zero, and not limited until `cap` is called.
    """
    torch = _torch_on_gpu()
    if torch is None:
        return
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_per_process_memory_fraction(1.0)
