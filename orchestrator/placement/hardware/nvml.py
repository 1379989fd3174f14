"""The NVIDIA driver's library NVML. The only module that calls it.

::

    with Nvml() as nvml:              # raises NvmlError if there is no driver
        for index in range(nvml.count()):
            device = nvml.device(nvml.gpu(index), str(index))

If the driver does not support a function, or an old driver's library lacks it, its answer is None
as long as the rest can do without it; every other failure is an `NvmlError`.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Self

from orchestrator.placement.model import Device, Process


class NvmlError(Exception):
    """The driver did not answer; the message is the driver's.

    Attributes:
        is_library_missing: True if this machine has no driver.
        is_lost: True if restarting the library may help.
    """

    def __init__(
        self, message: str, *, is_library_missing: bool = False, is_lost: bool = False
    ) -> None:
        super().__init__(message)
        self.is_library_missing = is_library_missing
        self.is_lost = is_lost


def has_library() -> bool:
    """Return whether the driver's library loads; far cheaper than importing pynvml in vain."""
    if sys.platform.startswith("win"):
        return True  # pynvml knows the folders it may be in
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


class Nvml:
    """The library, started. Its handles are valid until it is closed.

    Raises:
        NvmlError: there is no driver, or it does not start.
    """

    def __init__(self) -> None:
        if not has_library():
            raise NvmlError("the driver's library is missing", is_library_missing=True)
        import pynvml

        self._lib = pynvml
        # Functions that the driver does not know are not looked up again at each reading.
        self._absent: set[str] = set()
        self._call("nvmlInit")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Shut the library down."""
        self._try("nvmlShutdown")

    def count(self) -> int:
        """Return how many GPUs the driver knows."""
        return int(self._call("nvmlDeviceGetCount"))

    def gpu(self, index: int) -> Any:
        """Return the handle of the GPU at `index`, from 0 in PCI bus order."""
        return self._call("nvmlDeviceGetHandleByIndex", index)

    def instances(self, gpu: Any) -> list[tuple[int, Any]] | None:
        """Return index and handle of the MIG instances of a GPU; None if it is not divided."""
        mode = self._try("nvmlDeviceGetMigMode", gpu)
        if mode is None or mode[0] != self._lib.NVML_DEVICE_MIG_ENABLE:
            return None
        most = self._try("nvmlDeviceGetMaxMigDeviceCount", gpu) or 0
        found = ((i, self._try("nvmlDeviceGetMigDeviceHandleByIndex", gpu, i)) for i in range(most))
        return [(index, handle) for index, handle in found if handle is not None]

    def device(self, handle: Any, id_: str) -> Device:
        """Read a GPU or an instance and return it under `id_`."""
        memory = self._call("nvmlDeviceGetMemoryInfo", handle)
        rates = self._try("nvmlDeviceGetUtilizationRates", handle)
        return Device(
            id=id_,
            name=self._try("nvmlDeviceGetName", handle) or "",
            total_bytes=int(memory.total),
            free_bytes=int(memory.free),
            uuid=self._try("nvmlDeviceGetUUID", handle) or "",
            processes=self._holders(handle),
            utilisation=None if rates is None else int(rates.gpu),
        )

    def _holders(self, device: Any) -> tuple[Process, ...] | None:
        """Return who holds memory of a device, by pid; None if the driver does not report it."""
        # A process that computes and draws is listed twice by the driver.
        found: dict[int, Process] = {}
        known = False
        for kind in ("Graphics", "MPSCompute", "Compute"):
            entries = self._processes(kind, device)
            known = known or (entries is not None and kind == "Compute")
            for entry in entries or ():
                used = entry.usedGpuMemory
                held = None if used is None else int(used)
                before = found.get(entry.pid)
                if held is None and before is not None:
                    held = before.memory_bytes
                found[entry.pid] = Process(int(entry.pid), held, computes=kind != "Graphics")
        return tuple(found[pid] for pid in sorted(found)) if known else None

    def _processes(self, kind: str, device: Any) -> list[Any] | None:
        # Both versions answer alike; drivers before 510 have only the second.
        for version in ("v3", "v2"):
            found = self._try(f"nvmlDeviceGet{kind}RunningProcesses_{version}", device)
            if found is not None:
                return list(found)
        return None

    def _try(self, name: str, *args: Any) -> Any:
        """Return the answer of a function, or None if it fails."""
        if name in self._absent:
            return None
        try:
            return self._call(name, *args)
        except NvmlError:
            return None

    def _call(self, name: str, *args: Any) -> Any:
        lib = self._lib
        try:
            return getattr(lib, name)(*args)
        except lib.NVMLError as error:
            code = getattr(error, "value", None)
            if code == lib.NVML_ERROR_FUNCTION_NOT_FOUND:
                self._absent.add(name)
            missing = code == lib.NVML_ERROR_LIBRARY_NOT_FOUND
            lost = (
                lib.NVML_ERROR_GPU_IS_LOST,
                lib.NVML_ERROR_RESET_REQUIRED,
                lib.NVML_ERROR_UNINITIALIZED,
                lib.NVML_ERROR_INVALID_ARGUMENT,
                lib.NVML_ERROR_UNKNOWN,
            )
            raise NvmlError(str(error), is_library_missing=missing, is_lost=code in lost) from None
        except UnicodeDecodeError:
            raise NvmlError("not readable as text") from None
        except AttributeError:
            # Another version of pynvml may be installed.
            self._absent.add(name)
            raise NvmlError("Function Not Found") from None
