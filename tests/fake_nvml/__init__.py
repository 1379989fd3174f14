"""A driver library without a GPU: compiled here, scripted from a file, read by the real pynvml.

::

    nvml = fake_nvml.build(tmp_path)
    nvml.write([Card(24576, free_mib=8192)])
    subprocess.run([sys.executable, ...], env=nvml.env())
    nvml.write([Card(24576, free_mib=2048)])     # a process that runs sees it at its next reading

The loader looks at ``LD_LIBRARY_PATH`` when a process starts, so it takes a child process.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest import SkipTest

_SOURCE = Path(__file__).with_name("nvml.c")

DRIVER_NOT_LOADED = 9
NOT_SUPPORTED = 3
GPU_IS_LOST = 15
VERSION_MISMATCH = 18


@dataclass(frozen=True)
class Held:
    """A process that holds memory; `mib` None where the driver does not tell how much."""

    pid: int
    mib: int | None = None
    kind: Literal["Compute", "Graphics", "MPSCompute"] = "Compute"


@dataclass(frozen=True)
class Instance:
    """A MIG instance; `free_mib` None leaves all free."""

    uuid: str
    total_mib: int
    free_mib: int | None = None
    name: str = "NVIDIA Test Card MIG 1g.5gb"
    processes: Sequence[Held] = ()


@dataclass(frozen=True)
class Card:
    """One GPU.

    Attributes:
        total_mib: all its memory.
        free_mib: what is free; None leaves all free.
        name: what the driver calls it.
        uuid: None makes ``GPU-<index>...``.
        processes: who holds its memory; `free_mib` says how much that is together.
        utilisation: percent; None where the driver does not support it.
        instances: what it is divided into; None where it is not.
        then: pairs of readings and MiB: free after so many readings by one process.
    """

    total_mib: int
    free_mib: int | None = None
    name: str = "NVIDIA Test Card"
    uuid: str | None = None
    processes: Sequence[Held] = ()
    utilisation: int | None = 0
    instances: Sequence[Instance] | None = None
    then: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Failure:
    """A function that fails, such as ``nvmlDeviceGetMemoryInfo``.

    Attributes:
        function: its name, without a version.
        which: index or UUID of the device; None for whichever.
        code: NVML's return code.
        first: the first of its calls by one process that fails, from 0.
        last: the last that fails; None for all that follow.
    """

    function: str
    which: int | str | None
    code: int
    first: int = 0
    last: int | None = None


@dataclass(frozen=True)
class FakeNvml:
    """A compiled library and the script that it reads."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "nvml.txt"

    @property
    def uses(self) -> Path:
        """Where a process that plays one on a GPU says what it holds, in a file named by its pid.

        Each line is a device's UUID and MiB. It counts until the process ends.
        """
        return self.folder / "uses"

    def write(
        self,
        cards: Sequence[Card],
        failures: Sequence[tuple[str, int | None, int] | Failure] = (),
    ) -> None:
        """Say what the library answers from now on.

        Args:
            cards: the GPUs.
            failures: what fails; a tuple of function, device and code fails always.
        """
        lines = []
        for index, card in enumerate(cards):
            uuid = uuid_of(index) if card.uuid is None else card.uuid
            free = card.total_mib if card.free_mib is None else card.free_mib
            busy = -1 if card.utilisation is None else card.utilisation
            lines.append(f"device {uuid} {card.total_mib} {free} {busy} {card.name}")
            lines += [_process(uuid, held) for held in card.processes]
            lines += [f"then {uuid} {readings} {mib}" for readings, mib in card.then]
        for index, card in enumerate(cards):
            lines += [f"divided {index}"] if card.instances is not None else []
            for part in card.instances or ():
                free = part.total_mib if part.free_mib is None else part.free_mib
                lines.append(f"mig {index} {part.uuid} {part.total_mib} {free} {part.name}")
                lines += [_process(part.uuid, held) for held in part.processes]
        for given in failures:
            failure = given if isinstance(given, Failure) else Failure(*given)
            which = -1 if failure.which is None else failure.which
            last = -1 if failure.last is None else failure.last
            lines.append(f"fail {failure.function} {which} {failure.code} {failure.first} {last}")
        lines.append(f"uses {self.uses}")
        whole = self.script.with_suffix(".new")
        whole.write_text("\n".join(lines) + "\n")
        whole.replace(self.script)  # a reader never sees half of it

    def env(self, **more: str) -> dict[str, str]:
        """Return this process's environment with the library in it, and no GPU hidden."""
        found = dict(os.environ)
        found.pop("CUDA_VISIBLE_DEVICES", None)
        places = [str(self.folder), found.get("LD_LIBRARY_PATH", "")]
        found["LD_LIBRARY_PATH"] = os.pathsep.join(place for place in places if place)
        found["FAKE_NVML_SCRIPT"] = str(self.script)
        return found | more


def _process(which: str, held: Held) -> str:
    mib = -1 if held.mib is None else held.mib
    return f"process {which} {held.pid} {mib} {held.kind}"


def uuid_of(index: int) -> str:
    """Return the UUID that a card at `index` gets."""
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"


def build(folder: Path, *, missing: Sequence[str] = ()) -> FakeNvml:
    """Compile the library into `folder`, or skip the test where there is no C compiler.

    Args:
        folder: where library and script go.
        missing: C functions to leave out, as an old driver's library lacks them.
    """
    (folder / "libnvidia-ml.so.1").write_bytes(_compiled(tuple(missing)))
    fake = FakeNvml(folder)
    fake.uses.mkdir(exist_ok=True)
    fake.write([])
    return fake


@functools.cache
def _compiled(missing: tuple[str, ...]) -> bytes:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        # Pytest's skip by another name, since who tries commands by hand may not have pytest.
        raise SkipTest("needs a C compiler to build a stand-in for the NVIDIA driver's library")
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-O0"]
    command += [f"-DNO_{function}" for function in missing]
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch, "library")
        subprocess.run([*command, "-o", library, _SOURCE], check=True, capture_output=True)
        return library.read_bytes()
