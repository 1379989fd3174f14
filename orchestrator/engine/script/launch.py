"""Starting a script's process: its environment, its pipes, and what may go wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.engine.script.process_tree import guard_for_script
from orchestrator.errors import TrialError
from orchestrator.sweepfile.model.program import Program

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
