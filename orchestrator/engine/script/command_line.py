"""The argument list and the environment that start a script.

Every value arrives in the script exactly as it is in the config: blanks, quotes, newlines,
``$(...)`` and ``;`` mean nothing on the way. If the sweep file asks for a shell, values reach it as
variables and arguments, which it does not read as commands either.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.errors import TrialError
from orchestrator.files import MIB, atomic
from orchestrator.sweepfile.model import Program, Step
from orchestrator.sweepfile.program import Macros, arguments, for_shell, parameters_yaml

# Files in the run directory: what the script writes to $SWEEP_METRICS, $SWEEP_CONFIG, what
# ${args_json_file} names, the config for wandb.config, and what papermill sets and fills in.
REPORTED_FILE = "reported.jsonl"
JSON_FILE = "config.json"
ARGUMENTS_FILE = "arguments.json"
YAML_FILE = "wandb-config.yaml"
PARAMETERS_FILE = "notebook-parameters.yaml"
FILLED_FILE = "notebook.ipynb"

_NOTEBOOK_PACKAGES = ("papermill", "ipykernel")
_IMPORT_TIMEOUT_S = 60.0
_WANDB_FLUSH = "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL"
_TORCH_ALLOCATOR = "PYTORCH_ALLOC_CONF"
_TORCH_CUDA_ALLOCATOR = "PYTORCH_CUDA_ALLOC_CONF"
_TORCH_FRACTION = "per_process_memory_fraction"
# The first release that is known to take the fraction from its environment; an older one refuses
# to start with an option that it does not know.
_TORCH_WITH_FRACTION = (2, 13)


def command(
    program: Program,
    config: Mapping[str, Any],
    directory: Path | None = None,
    *,
    macros: Macros | None = None,
    step: Step | None = None,
) -> list[str]:
    """Return the argument list that runs `program`, or one of its steps, with `config`.

    Args:
        directory: the run directory, where a file with the parameters is written if the command
            needs one; None writes none.
        macros: by default those of `config` and `directory`.

    Raises:
        TrialError: there is no such program, it is not executable, a macro has no value, or a
            value cannot be an argument.
    """
    macros = macros or Macros.of(program, config, directory)
    wanted = program.command if step is None else step.command
    if wanted and not program.shell:
        return _commanded(program, macros, directory, step)
    if Path(program.path).suffix == ".ipynb" and not program.shell:
        return _notebook(program, macros.config, directory)
    passed = arguments(
        _unnamed(program, macros),
        style=program.style,
        booleans=program.booleans,
        spelling=program.spelling,
    )
    passed += _resume_words(program, macros)
    if not program.shell:
        return [*_start(program), *passed]
    text, _ = for_shell(program.command[0])
    if "${program}" in text:
        text = text.replace("${program}", shlex.quote(_start(program)[-1]))
    return ["/bin/sh", "-c", text.replace("${args}", '"$@"'), "sh", *passed]


def variables(program: Program, macros: Macros, step: Step | None = None) -> dict[str, str]:
    """Return the environment variables that the sweep file asks for.

    ``PATH`` begins with the folder of the interpreter, so that plain ``python`` is that one.

    Raises:
        TrialError: a macro has no value, or a value cannot be in an environment.
    """
    found: dict[str, str] = {}
    if step is not None or program.command or program.python is not None:
        folder = os.path.dirname(_interpreter(program.python, Path(program.workdir)))
        found["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    if program.conda is not None:
        found["CONDA_PREFIX"] = program.conda
        found["CONDA_DEFAULT_ENV"] = os.path.basename(program.conda)
    if program.shell:
        for index, macro in enumerate(for_shell(program.command[0])[1]):
            found[f"SWEEP_{index}"] = macros.put_in(macro) or ""
    for name, text in program.env.items():
        value = macros.put_in(text)
        if value is not None:
            found[name] = value
    for name, value in found.items():
        if "\0" in value:
            raise TrialError(f"env {name}: contains a NUL character ({value!r}).")
    return found


def reporting_variables(config: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Write the config into files, and return the variables that name them and where to report.

    W&B is offline unless the environment sets its mode: trials need no server and no login.
    """
    folder = directory.absolute()
    plain = atomic.plain(config)
    atomic.write_json(folder / JSON_FILE, plain, private=True)
    atomic.write_text(folder / YAML_FILE, parameters_yaml(plain, wandb=True), private=True)
    return {
        "SWEEP_RUN_DIR": str(folder),
        "SWEEP_METRICS": str(folder / REPORTED_FILE),
        "SWEEP_CONFIG": str(folder / JSON_FILE),
        "WANDB_SWEEP_PARAM_PATH": str(folder / YAML_FILE),
        "WANDB_DIR": str(folder),
        "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"),
        # Seconds between writes of W&B's log; its default of 15 is too slow to stop a divergence.
        _WANDB_FLUSH: os.environ.get(_WANDB_FLUSH, "1"),
    }


def mask_files(config: Mapping[str, Any], directory: Path, masked: Callable[[Any], Any]) -> None:
    """Mask what must not be written down in the files that only the script was to read."""
    reporting_variables(masked(config), directory)
    passed = atomic.read_json(directory / ARGUMENTS_FILE)
    if passed is not None:
        atomic.write_json(directory / ARGUMENTS_FILE, masked(passed), private=True)
    if (directory / PARAMETERS_FILE).exists():
        text = parameters_yaml(masked(config))
        atomic.write_text(directory / PARAMETERS_FILE, text, private=True)


def cap_variables(program: Program, cap: tuple[int, int] | None) -> dict[str, str]:
    """Return the environment variables that limit the GPU memory of JAX, CuPy, TF and PyTorch.

    No driver limits the memory of one process among others, but the frameworks limit themselves if
    their environment asks for it. TensorFlow takes no limit, but no longer takes the whole card at
    once. PyTorch is limited only under the interpreter of the sweep, where its version is known.
    What the user has set remains.

    Args:
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


def _resume_words(program: Program, macros: Macros) -> list[str]:
    """Return the words that let a program resume; none if it starts from scratch."""
    if program.resume is None or macros.checkpoint is None:
        return []
    return [word for text in program.resume.words if (word := macros.put_in(text)) is not None]


def _unnamed(program: Program, macros: Macros) -> dict[str, Any]:
    """Return the parameters that no macro inserts by name."""
    in_steps = (word for step in program.steps for word in step.command)
    return macros.unnamed([*program.command, *in_steps, *program.env.values()])


def _commanded(
    program: Program, macros: Macros, directory: Path | None, step: Step | None
) -> list[str]:
    """Return the words of ``command``, or of a step, with their macros inserted."""
    wanted = program.command if step is None else step.command
    unnamed = _unnamed(program, macros)
    json_file = ARGUMENTS_FILE
    if directory is not None and "${args_json_file}" in wanted:
        json_file = str(directory.absolute() / ARGUMENTS_FILE)
        atomic.write_json(Path(json_file), unnamed, private=True)
    resume = _resume_words(program, macros)
    try:
        words = replace(
            macros,
            passed=unnamed,
            python=program.python or "python",
            json_file=json_file,
            resume=resume,
            style="--k=v" if program.style == "none" else program.style,
            booleans=program.booleans,
            spelling=program.spelling,
        ).words(wanted)
    except (TypeError, ValueError) as error:
        raise TrialError(f"command: the parameters cannot be written as JSON: {error}.") from None
    # Without ${resume}, the words of `resume` go last, in the first of several steps.
    commands = [program.command, *(each.command for each in program.steps)]
    has_place = any("${resume}" in each for each in commands)
    if not has_place and (step is None or step == program.steps[0]):
        words += resume
    for word in words:
        if "\0" in word:
            raise TrialError(f"command: contains a NUL character ({word!r}).")
    if not words:
        raise TrialError("command: no word is left to run. Name a program in it.")
    return words


def _start(program: Program) -> list[str]:
    """Return the words before the arguments: interpreter and script, or the executable."""
    workdir = Path(program.workdir)
    path = Path(program.path).expanduser()
    file = workdir / path
    if path.suffix == ".py":
        if not file.is_file():
            raise TrialError(f"program: {file} does not exist.")
        return [_interpreter(program.python, workdir), str(file)]
    if file.is_file():
        if not os.access(file, os.X_OK):
            raise TrialError(
                f"program: {file} is not executable. Run chmod +x {file}, or name a .py file."
            )
        return [str(file)]
    found = None if _is_path(path) else _on_path(program.path)
    if found is None:
        raise TrialError(
            f"program: {program.path!r} is neither a file in {workdir} nor a command on PATH."
        )
    return [found]


def _interpreter(python: str | None, workdir: Path) -> str:
    """Return the interpreter for ``.py`` files; a relative path counts from `workdir`."""
    # Links are not resolved: the python of a virtual environment is a link, and knows its
    # environment by the name it was started with.
    if python is None:
        return sys.executable
    path = Path(python).expanduser()
    if _is_path(path):
        file = os.path.abspath(workdir / path)
        if not os.access(file, os.X_OK) or os.path.isdir(file):
            raise TrialError(f"python: {file} is not an interpreter that can be executed.")
        return file
    found = _on_path(python)
    if found is None:
        raise TrialError(f"python: {python!r} is neither a command on PATH nor a path.")
    return found


def _is_path(path: Path) -> bool:
    return path.is_absolute() or len(path.parts) > 1


def _on_path(name: str) -> str | None:
    """Return the command called `name` on PATH, else next to our own interpreter."""
    return shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))


def _notebook(program: Program, config: Mapping[str, Any], directory: Path | None) -> list[str]:
    """Return the argument list by which papermill sets a notebook's parameters and runs it."""
    file = Path(program.workdir) / program.path
    python = _interpreter(program.python, Path(program.workdir))
    try:
        cells = json.loads(file.read_text(encoding="utf-8-sig"))["cells"]
        tags = [tag for cell in cells for tag in cell.get("metadata", {}).get("tags", [])]
    except (OSError, UnicodeDecodeError) as error:
        raise TrialError(f"program: {file} cannot be read as a notebook: {error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TrialError(f"program: {file} is not a notebook of version 4.") from None
    if config and "parameters" not in tags:
        raise TrialError(
            f"program: {file} has no cell with the tag parameters, which sets the defaults of "
            f"{', '.join(sorted(config))}. Add one."
        )
    missing = _missing_packages(python)
    if missing:
        raise TrialError(
            f"program: {file.name} is a notebook and needs papermill and ipykernel, but {python} "
            f"lacks {missing}. Run {python} -m pip install papermill ipykernel, or install sweep "
            'with its extra "[notebook]".'
        )
    base = Path() if directory is None else directory.absolute()
    if directory is not None:
        atomic.write_text(base / PARAMETERS_FILE, parameters_yaml(config), private=True)
    words = [python, "-m", "papermill", str(file), str(base / FILLED_FILE)]
    words += ["-f", str(base / PARAMETERS_FILE)] if config else []
    return [*words, "--log-output", "--no-progress-bar"]


def _missing_packages(python: str) -> str:
    """Return which packages for notebooks the interpreter lacks; "" if none."""
    code = (
        "import importlib.util, sys; "
        "print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None), sep=', ')"
    )
    try:
        done = subprocess.run(
            [python, "-c", code, *_NOTEBOOK_PACKAGES],
            capture_output=True,
            text=True,
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # starting it will show the reason
    return done.stdout.strip()
