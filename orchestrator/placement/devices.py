"""GPUs and their free memory, as the NVIDIA driver tells them. The only module that asks NVML.

::

    devices = read_devices()          # [] where there is no GPU to use
    devices, note = survey()          # the same, and in words why there is none

``CUDA_VISIBLE_DEVICES`` is respected as CUDA reads it: indices or UUIDs (or the beginnings of
UUIDs), an unknown entry ends the list, an empty one hides everything. Indices count in PCI bus
order, as ``nvidia-smi`` does. MIG instances are not read.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.placement.model import Device

VISIBLE = "CUDA_VISIBLE_DEVICES"


def read_devices(environ: Mapping[str, str] | None = None) -> list[Device]:
    """Return the GPUs that a trial could use now, in the order of ``CUDA_VISIBLE_DEVICES``.

    Args:
        environ: where ``CUDA_VISIBLE_DEVICES`` is looked up; the process's own by default.
    """
    return survey(environ)[0]


def survey(environ: Mapping[str, str] | None = None) -> tuple[list[Device], str]:
    """Return the usable GPUs, and in words what keeps others from use ("" for nothing).

    Never raises for what a driver does: where it is absent, not loaded or too old, or a GPU is
    lost, what cannot be read is left out.

    Args:
        environ: where ``CUDA_VISIBLE_DEVICES`` is looked up; the process's own by default.
    """
    wanted = (os.environ if environ is None else environ).get(VISIBLE)
    hidden = f"{VISIBLE}={wanted!r} hides all GPUs" if wanted is not None else ""
    if wanted is not None and not _entries(wanted):
        return [], hidden
    if not _has_driver_library():
        return [], ""
    present, note = _read_all()
    if wanted is None:
        return present, note
    devices = visible_devices(present, wanted)
    return devices, hidden if present and not devices else note


def visible_devices(present: Sequence[Device], wanted: str) -> list[Device]:
    """Return those of `present` that a value of ``CUDA_VISIBLE_DEVICES`` shows, in its order.

    Args:
        present: all GPUs of the machine.
        wanted: indices or (beginnings of) UUIDs, separated by commas. The first entry that names
            no GPU, or a beginning that several share, ends the list; a GPU named twice hides all,
            as in CUDA.
    """
    shown: list[Device] = []
    for entry in _entries(wanted):
        if entry.isdecimal():
            found = [device for device in present if device.id == str(int(entry))]
        else:
            found = [device for device in present if device.uuid.startswith(entry)]
        if len(found) != 1:
            break
        if found[0] in shown:
            return []
        shown.append(found[0])
    return shown


def _entries(wanted: str) -> list[str]:
    """Split a value of ``CUDA_VISIBLE_DEVICES`` and cut it at its first senseless entry."""
    kept: list[str] = []
    for raw in wanted.split(","):
        entry = raw.strip()
        if not entry.isdecimal() and not entry.startswith("GPU-"):
            break
        # One list is of one kind: an index among UUIDs, or a UUID among indices, ends it.
        if kept and entry.isdecimal() != kept[0].isdecimal():
            break
        kept.append(entry)
    return kept


def _has_driver_library() -> bool:
    """Tell whether the driver's library loads; far cheaper than to import pynvml for a no."""
    if sys.platform.startswith("win"):
        return True  # pynvml knows the folders it may stand in
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _read_all() -> tuple[list[Device], str]:
    """Return every GPU whose memory can be read, and in words what could not be read."""
    import pynvml

    def ask(function: Callable[..., Any], *args: Any) -> tuple[Any, str]:
        try:
            return function(*args), ""
        except pynvml.NVMLError as error:
            return None, str(error)
        except UnicodeDecodeError:
            return None, "not readable as text"

    _, problem = ask(pynvml.nvmlInit)
    if problem:
        return [], f"the NVIDIA driver says: {problem}"
    try:
        count, problem = ask(pynvml.nvmlDeviceGetCount)
        devices: list[Device] = []
        notes = [f"the NVIDIA driver says: {problem}"] if problem else []
        for index in range(count or 0):
            handle, problem = ask(pynvml.nvmlDeviceGetHandleByIndex, index)
            memory = None
            if not problem:
                memory, problem = ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
            if memory is None:
                notes.append(f"GPU {index} is left out, its memory cannot be read: {problem}")
                continue
            name, _ = ask(pynvml.nvmlDeviceGetName, handle)
            uuid, _ = ask(pynvml.nvmlDeviceGetUUID, handle)
            devices.append(
                Device(
                    id=str(index),
                    name=name or "",
                    total_bytes=memory.total,
                    free_bytes=memory.free,
                    uuid=uuid or "",
                )
            )
        return devices, "; ".join(notes)
    finally:
        ask(pynvml.nvmlShutdown)
