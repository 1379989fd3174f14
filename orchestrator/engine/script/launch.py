"""Starting a script's process: its environment, its output pipe, and what may go wrong.

A script finds in its environment where to report, its config, and W&B kept to this trial; a script
that knows nothing of sweeps needs none of it.
"""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.engine.script.command_line import JSON_FILE, YAML_FILE
from orchestrator.engine.script.process_tree import guard_for_script
from orchestrator.errors import TrialError
from orchestrator.files import MIB, atomic
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import parameters_yaml

REPORTED_FILE = "reported.jsonl"
"""In the run directory: what the script writes to ``$SWEEP_METRICS``, JSON lines."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
_WANDB_FLUSH = "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL"
_TORCH_ALLOCATOR = "PYTORCH_ALLOC_CONF"
_TORCH_CUDA_ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
_TORCH_FRACTION = "per_process_memory_fraction"
# The first release that is known to take the fraction from its environment; an older one refuses
# to start with an option that it does not know.
_TORCH_WITH_FRACTION = (2, 13)
_CHUNK = 65_536  # bytes


def start(
    program: Program,
    words: Sequence[str],
    *,
    directory: Path,
    threads: int,
    more: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `words` in the program's working folder, in the process group of the caller.

    Standard input is empty; output and errors share one pipe, which the caller reads.

    Args:
        program: gives the working folder.
        words: the argument list.
        directory: the run directory, passed as ``SWEEP_RUN_DIR``.
        threads: CPU threads that the script may use.
        more: further environment variables.

    Raises:
        TrialError: the system refuses to start it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    variables = dict(os.environ)
    variables.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    # Python would otherwise hold lines back until a buffer is full.
    variables["PYTHONUNBUFFERED"] = "1"
    variables["SWEEP_RUN_DIR"] = str(directory.absolute())
    try:
        return subprocess.Popen(
            # Bytes, so that what arrives does not depend on the locale.
            [word.encode("utf-8", "surrogateescape") for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=program.workdir,
            env=variables | dict(more or {}),
            # It takes no lock that another thread could hold: signals and two system calls.
            preexec_fn=guard_for_script(),  # noqa: PLW1509
        )
    except UnicodeEncodeError as error:
        raise TrialError(f"{program.path}: an argument is not text: {error}.") from None
    except OSError as error:
        raise TrialError(
            f"{program.path}: cannot be started: {error.strerror or error}."
            f"{_hint(error, program, words)}"
        ) from None


def _hint(error: OSError, program: Program, words: Sequence[str]) -> str:
    if not os.path.isdir(program.workdir):
        return f" The working folder {program.workdir} does not exist."
    if error.errno == errno.ENOEXEC:
        return " An executable text file must begin with a line such as #!/bin/sh."
    if error.errno == errno.ENOENT:
        return f" Does the interpreter exist that the first line of {words[0]} names?"
    if error.errno == errno.E2BIG:
        return " The arguments are longer than the system allows."
    return ""


class OutputPipe:
    """Reads what a process prints, without waiting for whoever holds the pipe open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.is_open = True
        self._handle = process.stdout.fileno()
        os.set_blocking(self._handle, False)
        self._poll = select.poll()
        self._poll.register(self._handle, select.POLLIN)

    def read(self, timeout_s: float) -> bytes:
        """Return what has been printed; nothing if nothing comes in time, or at the end."""
        if not self.is_open or not self._poll.poll(timeout_s * 1000):
            return b""
        try:
            data = os.read(self._handle, _CHUNK)
        except BlockingIOError:
            return b""
        self.is_open = bool(data)
        return data


def surroundings(config: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Return environment variables for one script, and write the files that they name.

    ``WANDB_MODE`` is offline unless the environment already sets it: trials of a sweep need no
    server, and none is asked for a login.
    """
    folder = directory.absolute()
    plain = atomic.plain(config)
    atomic.write_json(folder / JSON_FILE, plain)
    atomic.write_text(folder / YAML_FILE, parameters_yaml(plain, wandb=True))
    return {
        "SWEEP_METRICS": str(folder / REPORTED_FILE),
        "SWEEP_CONFIG": str(folder / JSON_FILE),
        "WANDB_SWEEP_PARAM_PATH": str(folder / YAML_FILE),
        "WANDB_DIR": str(folder),
        "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"),
        # How often W&B writes its log to the disk, s; 15 are too few to stop what diverges.
        _WANDB_FLUSH: os.environ.get(_WANDB_FLUSH, "1"),
    }


def cap_variables(program: Program, cap: tuple[int, int] | None) -> dict[str, str]:
    """Return the environment variables that limit the GPU memory of JAX, CuPy, TF and PyTorch.

    No driver limits the memory of one process among others (a MIG slice does, and is what its slot
    sees), but the frameworks limit themselves if their environment asks for it. TensorFlow takes
    no limit, but no longer takes the whole card at once. PyTorch is limited if the program runs
    under the interpreter of the sweep, whose version is known. What the user has set remains.

    Args:
        program: what is started.
        cap: bytes that it may hold, its context included, and bytes of the GPU; None for no limit.
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
    general = os.environ.get(_TORCH_ALLOCATOR, "")
    for_cuda = os.environ.get(_TORCH_CUDA_ALLOCATOR, "")
    if _torch_takes_fraction(program) and _TORCH_FRACTION not in general + for_cuda:
        name = _TORCH_ALLOCATOR if general or not for_cuda else _TORCH_CUDA_ALLOCATOR
        options = [os.environ.get(name), f"{_TORCH_FRACTION}:{share}"]
        found[name] = ",".join(filter(None, options))
    return found


def _torch_takes_fraction(program: Program) -> bool:
    if program.python not in (None, sys.executable):
        return False
    try:
        version = metadata.version("torch").partition("+")[0].split(".")
        return (int(version[0]), int(version[1])) >= _TORCH_WITH_FRACTION
    except (metadata.PackageNotFoundError, ValueError, IndexError):
        return False
