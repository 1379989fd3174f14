"""GPUs as they are now: memory, who holds it, and which of them trials may use.

::

    devices = read_devices()          # [] where there is no GPU to use
    devices, note = survey()          # the same, and in words why there is none
    with Reader() as reader:          # again and again while a sweep runs
        devices = reader.read()

``CUDA_VISIBLE_DEVICES`` is respected as CUDA reads it. Indices count in PCI bus order, as
``nvidia-smi`` does. A GPU that is divided by MIG is not there itself; its instances are.

``CUDA_VISIBLE_DEVICES`` as CUDA reads it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from orchestrator.placement.hardware.nvml import Nvml, NvmlError
from orchestrator.placement.model import Device

RESTART_AFTER_S = 15.0
"""How long a GPU stays lost before the driver's library is started anew for it: that takes up to
seconds where the driver is not kept loaded."""


def read_devices(environ: Mapping[str, str] | None = None) -> list[Device]:
    """Return the devices that a trial could use now, in the order of ``CUDA_VISIBLE_DEVICES``.

    Args:
        environ: where ``CUDA_VISIBLE_DEVICES`` is looked up; the process's own by default.
    """
    return survey(environ)[0]


def survey(environ: Mapping[str, str] | None = None) -> tuple[list[Device], str]:
    """Return the usable devices, and in words what keeps others from use ("" for nothing).

    Never raises for what a driver does: where it is absent, not loaded or too old, or a GPU is
    lost, what cannot be read is left out.

    Args:
        environ: where ``CUDA_VISIBLE_DEVICES`` is looked up; the process's own by default.
    """
    with Reader(environ) as reader:
        return reader.read(), reader.note


class Reader:
    """Reads the usable devices, as often as asked.

    The driver's library stays started between readings, which takes most of the time of a first
    one. A GPU that is lost is left out until it is back. It belongs to one thread of one process.

    Args:
        environ: where ``CUDA_VISIBLE_DEVICES`` is looked up; the process's own by default.
        clock: seconds that only grow.

    Attributes:
        note: after a reading, in words what keeps devices from use; "" for nothing.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.note = ""
        self._wanted = (os.environ if environ is None else environ).get(VISIBLE)
        self._clock = clock
        self._nvml: Nvml | None = None
        self._is_absent = False
        self._trouble = ""
        self._start_after: float | None = None
        self._last: dict[int, list[Device]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the driver; a later reading starts it again."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    def read(self) -> list[Device]:
        """Return the devices that a trial could use now, in the order of the visible ones.

        Never raises for what a driver does; `note` says what is left out and why.
        """
        wanted = self._wanted
        hidden = f"{VISIBLE}={wanted!r} hides all GPUs" if wanted is not None else ""
        if wanted is not None and not entries(wanted):
            self.note = hidden
            return []
        present, lost, self.note = self._read_all()
        if wanted is None or not present:
            return present
        # A lost GPU keeps its place in the list, so that it does not end it for the others.
        shown = [device for device in visible_devices(present + lost, wanted) if device in present]
        # That a device is left out is no news to one who hides it.
        self.note = self.note if shown else hidden
        return shown

    def _read_all(self) -> tuple[list[Device], list[Device], str]:
        """Return the devices that can be read, those that cannot, and why in words."""
        nvml = self._started()
        if nvml is None:
            return [], [], self._trouble
        devices: list[Device] = []
        unread: list[Device] = []
        notes: list[str] = []
        lost = False
        try:
            count = nvml.count()
        except NvmlError as error:
            count, lost = 0, error.is_lost
            notes.append(_driver_says(error))
        for index in range(count):
            try:
                found = _gpu(nvml, index)
            except NvmlError as error:
                lost = lost or error.is_lost
                unread += self._last.get(index, [Device(str(index), "", 0, 0)])
                notes.append(f"GPU {index} is left out, its memory cannot be read: {error}")
                continue
            if not found:
                notes.append(f"GPU {index} is left out, it is in MIG mode without an instance")
            self._last[index] = found
            devices += found
        self._plan_restart(lost)
        return devices, unread, "; ".join(notes)

    def _started(self) -> Nvml | None:
        """Return the library, started anew where that is due; None while it does not start."""
        if self._is_absent:
            return None  # a driver does not come to a machine while a sweep runs
        due = self._start_after is not None and self._clock() >= self._start_after
        if self._nvml is not None and due:
            self.close()
        if self._nvml is None and (due or self._start_after is None):
            self._start_after = None
            try:
                self._nvml = Nvml()
            except NvmlError as error:
                self._is_absent = error.is_library_missing
                self._trouble = "" if self._is_absent else _driver_says(error)
                self._plan_restart(True)
        return self._nvml

    def _plan_restart(self, lost: bool) -> None:
        if not lost:
            self._start_after = None
        elif self._start_after is None:
            self._start_after = self._clock() + RESTART_AFTER_S


def _driver_says(error: NvmlError) -> str:
    return f"the NVIDIA driver says: {error}"


def _gpu(nvml: Nvml, index: int) -> list[Device]:
    """Return a GPU, or its instances where it is divided."""
    gpu = nvml.gpu(index)
    instances = nvml.instances(gpu)
    if instances is None:
        return [_device(nvml, gpu, str(index))]
    return [_device(nvml, handle, f"{index}:{place}") for place, handle in instances]


def _device(nvml: Nvml, handle: Any, id_: str) -> Device:
    memory = nvml.memory(handle)
    return Device(
        id=id_,
        name=nvml.name(handle),
        total_bytes=memory.total_bytes,
        free_bytes=memory.free_bytes,
        uuid=nvml.uuid(handle),
        processes=nvml.processes(handle),
        utilisation=nvml.utilisation(handle),
    )


VISIBLE = "CUDA_VISIBLE_DEVICES"
UUID_PREFIXES = ("GPU-", "MIG-")


def visible_devices(present: Sequence[Device], wanted: str) -> list[Device]:
    """Return those of `present` that a value of ``CUDA_VISIBLE_DEVICES`` shows, in its order.

    Args:
        present: all GPUs and MIG instances of the machine.
        wanted: indices or (beginnings of) UUIDs, separated by commas. The first entry that names
            no device, or a beginning that several share, ends the list; a device named twice hides
            all, as in CUDA. The index of a GPU that is divided names its first MIG instance, the
            only one that CUDA would use; the others are named by their UUIDs.
    """
    shown: list[Device] = []
    for entry in entries(wanted):
        found = _named(present, entry)
        if found is None:
            break
        if found in shown:
            return []
        shown.append(found)
    return shown


def entries(wanted: str) -> list[str]:
    """Split a value of ``CUDA_VISIBLE_DEVICES`` and cut it at its first senseless entry."""
    kept: list[str] = []
    for raw in wanted.split(","):
        entry = raw.strip()
        if not _is_index(entry) and not entry.startswith(UUID_PREFIXES):
            break
        # One list is of one kind: an index among UUIDs, or a UUID among indices, ends it.
        if kept and _is_index(entry) != _is_index(kept[0]):
            break
        kept.append(entry)
    return kept


def _named(present: Sequence[Device], entry: str) -> Device | None:
    """Return the one device that an entry names, or None."""
    if _is_index(entry):
        index = str(int(entry))
        found = [device for device in present if device.id.partition(":")[0] == index]
        return found[0] if found else None
    found = [device for device in present if device.uuid == entry]
    found = found or [device for device in present if device.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def _is_index(entry: str) -> bool:
    return entry.isascii() and entry.isdecimal()
