"""Holding a program of one's own to its share of a GPU, as far as that can be done from outside.

No driver limits the memory of one process among others (a MIG slice does, and is what its slot
sees). The frameworks limit themselves where their environment says so.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.files.units import MIB
from orchestrator.sweepfile.model.program import Program

# The first release of which it is known that it takes the fraction from its environment; an older
# one refuses to start with an option that it does not know.
_TORCH = (2, 13)


def cap_variables(program: Program, cap: tuple[int, int] | None) -> dict[str, str]:
    """Return the environment variables that hold JAX, CuPy, TensorFlow and PyTorch to a cap.

    TensorFlow takes none, but no longer takes the whole card at once. PyTorch is held where the
    program runs under the interpreter of the sweep, whose version is known. What the user has set
    stays.

    Args:
        program: what is started.
        cap: bytes that it may hold, its context counted in, and all that the GPU has; None for
            no cap.
    """
    if cap is None:
        return {}
    held, total = max(MIB, cap[0] - CONTEXT_BYTES), max(1, cap[1])
    share = f"{min(1.0, held / total):.4f}"
    wanted = {
        "XLA_PYTHON_CLIENT_MEM_FRACTION": share,
        "CUPY_GPU_MEMORY_LIMIT": str(held),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    found = {name: value for name, value in wanted.items() if name not in os.environ}
    set_already = [os.environ.get(name, "") for name in ("PYTORCH_ALLOC_CONF", _CUDA)]
    option = "per_process_memory_fraction"
    if _torch_takes_it(program) and not any(option in text for text in set_already):
        name = "PYTORCH_ALLOC_CONF" if set_already[0] or not set_already[1] else _CUDA
        found[name] = ",".join(filter(None, [os.environ.get(name), f"{option}:{share}"]))
    return found


_CUDA = "PYTORCH_CUDA_ALLOC_CONF"


def _torch_takes_it(program: Program) -> bool:
    if program.python not in (None, sys.executable):
        return False
    try:
        version = metadata.version("torch").partition("+")[0].split(".")
        return (int(version[0]), int(version[1])) >= _TORCH
    except (metadata.PackageNotFoundError, ValueError, IndexError):
        return False
