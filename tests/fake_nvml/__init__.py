"""A driver library without a GPU: compiled here, scripted from a file, read by the real pynvml.

::

    nvml = fake_nvml.build(tmp_path)
    nvml.write([Card(24576, free_mib=8192)])
    subprocess.run([sys.executable, ...], env=nvml.env())
    nvml.write([Card(24576, free_mib=2048)])     # a process that runs sees it at its next reading

The loader looks at ``LD_LIBRARY_PATH`` when a process starts, so it takes a child process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("nvml.c")

DRIVER_NOT_LOADED = 9
NOT_SUPPORTED = 3
GPU_IS_LOST = 15
VERSION_MISMATCH = 18


@dataclass(frozen=True)
class Card:
    """One GPU; `free_mib` None leaves all free, `uuid` None makes ``GPU-<index>...``."""

    total_mib: int
    free_mib: int | None = None
    name: str = "NVIDIA Test Card"
    uuid: str | None = None


@dataclass(frozen=True)
class FakeNvml:
    """A compiled library and the script that it reads."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "nvml.txt"

    def write(
        self, cards: Sequence[Card], failures: Sequence[tuple[str, int | None, int]] = ()
    ) -> None:
        """Say what the library answers from now on.

        Args:
            cards: the GPUs.
            failures: function, index of the device (None: whichever) and NVML's return code.
        """
        lines = []
        for index, card in enumerate(cards):
            uuid = uuid_of(index) if card.uuid is None else card.uuid
            free = card.total_mib if card.free_mib is None else card.free_mib
            lines.append(f"device {uuid} {card.total_mib} {free} {card.name}")
        for function, place, code in failures:
            lines.append(f"fail {function} {-1 if place is None else place} {code}")
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


def uuid_of(index: int) -> str:
    """Return the UUID that a card at `index` gets."""
    return f"GPU-{index:08x}-1111-2222-3333-444444444444"


def build(folder: Path, *, missing: Sequence[str] = ()) -> FakeNvml:
    """Compile the library into `folder`, or skip the test where there is no C compiler.

    Args:
        folder: where library and script go.
        missing: C functions to leave out, as an old driver's library lacks them.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler to build a stand-in for the NVIDIA driver's library")
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-O0"]
    command += [f"-DNO_{function}" for function in missing]
    subprocess.run(
        [*command, "-o", str(folder / "libnvidia-ml.so.1"), str(_SOURCE)],
        check=True,
        capture_output=True,
    )
    fake = FakeNvml(folder)
    fake.write([])
    return fake
