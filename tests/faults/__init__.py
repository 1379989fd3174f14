"""What goes wrong outside of us: processes killed at any write; disks, locks and clocks fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from unittest import SkipTest

_SOURCE = Path(__file__).with_name("shim.c")


@cache
def shim() -> Path:
    """Compile the library of faults and return its path; skip the test if that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/proc/self/fd").exists():
        raise SkipTest("needs Linux and a C compiler")
    target = Path(tempfile.gettempdir()) / f"sweep-faults-{os.getpid()}.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", target, _SOURCE],
        check=True,
        capture_output=True,
    )
    return target


def fault(mode: str, number: int, folder: Path) -> dict[str, str]:
    """Return the variables under which a process meets a fault below a folder; see ``shim.c``."""
    return {"LD_PRELOAD": str(shim()), "FAULT": f"{mode}:{number}:{folder}"}
