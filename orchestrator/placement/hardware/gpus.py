"""GPUs as they are now: memory, who holds it, and which of them trials may use.

::

    devices, note = survey()          # [] and the reason if there is no GPU to use
    with Reader() as reader:          # repeatedly while a sweep runs
        devices = reader.read()

``CUDA_VISIBLE_DEVICES`` is respected as CUDA reads it. Indices count in PCI bus order, as
``nvidia-smi`` does. A GPU that is divided by MIG is replaced by its instances.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from orchestrator.placement.hardware.nvml import Nvml, NvmlError
from orchestrator.placement.model import Device

RESTART_AFTER_S = 15.0
"""How long a GPU stays lost before the driver's library is restarted for it: that takes up to
seconds if the driver is not kept loaded."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
UUID_PREFIXES = ("GPU-", "MIG-")


def survey(environ: Mapping[str, str] | None = None) -> tuple[list[Device], str]:
    """Return the usable devices once, and what keeps others from use; see `Reader`."""
    with Reader(environ) as reader:
        return reader.read(), reader.note


class Reader:
    """Reads the usable devices, as often as needed.

    It never raises for what a driver does: if that is absent, not loaded or too old, or a GPU is
    lost, what cannot be read is left out. The library stays started between readings, because its
    start takes most of the time of a first one. A reader belongs to one thread of one process.

    Args:
        environ: where ``CUDA_VISIBLE_DEVICES`` is looked up; the process's own by default.
        clock: monotonic seconds.

    Attributes:
        note: after a reading, what keeps devices from use, as text; "" for nothing.
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
        """Release the driver; a later reading starts it again."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    def read(self) -> list[Device]:
        """Return the devices that a trial could use now, in the order of the visible ones."""
        wanted = self._wanted
        hidden = f"{VISIBLE}={wanted!r} hides all GPUs" if wanted is not None else ""
        if wanted is not None and not _entries(wanted):
            self.note = hidden
            return []
        present, lost, self.note = self._read_all()
        if wanted is None or not present:
            return present
        # A lost GPU keeps its place in the list, so that it does not hide those after it.
        shown = [device for device in visible_devices(present + lost, wanted) if device in present]
        # Users who hide a device know that it is left out.
        self.note = self.note if shown else hidden
        return shown

    def _read_all(self) -> tuple[list[Device], list[Device], str]:
        """Return the devices that can be read, those that cannot, and why as text."""
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
            notes.append(_driver_error(error))
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
        """Return the library, restarted if that is due; None while it does not start."""
        if self._is_absent:
            return None  # a machine does not gain a driver while a sweep runs
        due = self._start_after is not None and self._clock() >= self._start_after
        if self._nvml is not None and due:
            self.close()
        if self._nvml is None and (due or self._start_after is None):
            self._start_after = None
            try:
                self._nvml = Nvml()
            except NvmlError as error:
                self._is_absent = error.is_library_missing
                self._trouble = "" if self._is_absent else _driver_error(error)
                self._plan_restart(True)
        return self._nvml

    def _plan_restart(self, lost: bool) -> None:
        if not lost:
            self._start_after = None
        elif self._start_after is None:
            self._start_after = self._clock() + RESTART_AFTER_S


def _driver_error(error: NvmlError) -> str:
    return f"the NVIDIA driver says: {error}"


def _gpu(nvml: Nvml, index: int) -> list[Device]:
    """Return a GPU, or its instances if it is divided."""
    gpu = nvml.gpu(index)
    instances = nvml.instances(gpu)
    if instances is None:
        return [nvml.device(gpu, str(index))]
    return [nvml.device(handle, f"{index}:{place}") for place, handle in instances]


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
    for entry in _entries(wanted):
        found = named(present, str(int(entry)) if _is_index(entry) else entry)
        if not found or (len(found) > 1 and not _is_index(entry)):
            break
        if found[0] in shown:
            return []
        shown.append(found[0])
    return shown


def named(devices: Sequence[Device], entry: str) -> list[Device]:
    """Return the devices of which `entry` is the id, the GPU's index or (the beginning of) a UUID.

    The index of a GPU that is divided names all its instances.
    """
    found = [device for device in devices if entry and entry in (device.id, device.uuid)]
    if not found and entry.startswith(UUID_PREFIXES):
        found = [device for device in devices if device.uuid.startswith(entry)]
    return found or [device for device in devices if device.id.startswith(f"{entry}:")]


def _entries(wanted: str) -> list[str]:
    """Split a value of ``CUDA_VISIBLE_DEVICES`` and cut it at its first invalid entry."""
    kept: list[str] = []
    for raw in wanted.split(","):
        entry = raw.strip()
        if not _is_index(entry) and not entry.startswith(UUID_PREFIXES):
            break
        # A list holds one kind of entry: an index among UUIDs, or a UUID among indices, ends it.
        if kept and _is_index(entry) != _is_index(kept[0]):
            break
        kept.append(entry)
    return kept


def _is_index(entry: str) -> bool:
    return entry.isascii() and entry.isdecimal()
