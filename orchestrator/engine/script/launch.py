"""Starting a script's process: its environment, its pipes, and what may go wrong.

What a script finds in its environment: where to report, its config, and W&B kept to this trial.

A script that knows nothing of sweeps needs none of it.

Holding a program of one's own to its share of a GPU, as far as that can be done from outside.

No driver limits the memory of one process among others (a MIG slice does, and is what its slot
sees). The frameworks limit themselves where their environment says so.

What a script's follower is handed by whoever runs the trial.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.engine.script.command_line import JSON_FILE, YAML_FILE
from orchestrator.engine.script.process_tree import guard_for_script
from orchestrator.errors import TrialError
from orchestrator.files import MIB, atomic
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import parameter_file

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)


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
        program: what is started, for its working folder and for messages.
        words: the argument list.
        directory: the run directory, handed over as ``SWEEP_RUN_DIR``.
        threads: CPU threads that the script may use.
        more: variables that its environment has beside.

    Raises:
        TrialError: the system refuses to start it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        return subprocess.Popen(
            # Bytes, so that no locale has a say in what arrives.
            [word.encode("utf-8", "surrogateescape") for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=program.workdir,
            env=environment(directory, threads) | dict(more or {}),
            # It takes no lock that another thread could hold: signals and two system calls.
            preexec_fn=guard_for_script(),  # noqa: PLW1509
        )
    except UnicodeEncodeError as error:
        raise TrialError(f"{program.path}: every argument must be text, but {error}.") from None
    except OSError as error:
        raise TrialError(
            f"{program.path}: must be a program that can be started, but got: "
            f"{error.strerror or error}.{_hint(error, program, words)}"
        ) from None


def environment(directory: Path, threads: int) -> dict[str, str]:
    """Return the script's environment: ours, its share of the cores, and where it may write."""
    variables = dict(os.environ)
    variables.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    # Python would otherwise hold lines back until a buffer is full.
    variables["PYTHONUNBUFFERED"] = "1"
    variables["SWEEP_RUN_DIR"] = str(directory.absolute())
    return variables


def _hint(error: OSError, program: Program, words: Sequence[str]) -> str:
    if not os.path.isdir(program.workdir):
        return f" The working folder {program.workdir} must exist."
    if error.errno == errno.ENOEXEC:
        return " An executable text file must begin with a line such as #!/bin/sh."
    if error.errno == errno.ENOENT:
        return f" Does the interpreter exist that the first line of {words[0]} names?"
    if error.errno == errno.E2BIG:
        return " The arguments are longer than the system allows."
    return ""


REPORTED_FILE = "reported.jsonl"
"""In the run directory: what the script writes to ``$SWEEP_METRICS``, JSON lines."""

_WANDB_FLUSH = "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL"


def surroundings(config: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Return environment variables for one script, and write the files that they name.

    ``WANDB_MODE`` is offline unless the environment says otherwise already: trials of a sweep
    need no server, and none is asked for a login.

    Args:
        config: parameter name to value.
        directory: the run directory.
    """
    folder = directory.absolute()
    plain = atomic.plain(config)
    atomic.write_json(folder / JSON_FILE, plain)
    atomic.write_text(folder / YAML_FILE, parameter_file(plain))
    return {
        "SWEEP_METRICS": str(folder / REPORTED_FILE),
        "SWEEP_CONFIG": str(folder / JSON_FILE),
        "WANDB_SWEEP_PARAM_PATH": str(folder / YAML_FILE),
        "WANDB_DIR": str(folder),
        "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"),
        # How often W&B writes its log to the disk, s; 15 are too few to stop what diverges.
        _WANDB_FLUSH: os.environ.get(_WANDB_FLUSH, "1"),
    }


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


class ScriptRun(Protocol):
    """What `run_script` is handed beside the config."""

    @property
    def directory(self) -> Path:
        """The run directory."""

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""

    @property
    def threads(self) -> int:
        """CPU threads that the script may use."""

    @property
    def goes_on(self) -> bool:
        """True where an earlier attempt, or another trial, has left what to go on from."""

    @property
    def cap(self) -> tuple[int, int] | None:
        """What it may hold on its GPU, and all that this has, bytes; None for no cap."""

    def continues(self) -> None:
        """Take note that the script goes on, so that its reports follow the earlier ones."""

    @property
    def should_stop(self) -> bool:
        """True once the script should be ended."""

    def report(self, step: int, **metrics: float) -> None:
        """Take one report."""

    def describe(self, **facts: Any) -> None:
        """Merge `facts` into ``metadata.json``."""

    def progress(self, text: str) -> None:
        """Show what happens before the first report."""

    def warn(self, text: str) -> None:
        """Take what the user should know; it shows in status and beside the table."""

    def adopted(self, path: str) -> None:
        """Take note that the script's output folder has appeared."""


class UntilStopped:
    """A sink of reports that is closed once the script should be ended.

    What a fast script has printed by then still stands in the pipe; nobody judges it any more.
    """

    def __init__(self, run: ScriptRun) -> None:
        self._run = run
        self.describe = run.describe
        self.warn = run.warn

    def report(self, step: int, **metrics: float) -> None:
        """Pass one report on, as long as there is somebody to judge it."""
        if not self._run.should_stop:
            self._run.report(step, **metrics)
