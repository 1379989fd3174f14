"""The argument list that starts a script; never a shell line.

Every value arrives in the script exactly as it is in the config: blanks, quotes, newlines,
``$(...)`` and ``;`` mean nothing on the way. If the sweep file asks for a shell, values reach it as
variables and arguments, which it does not read as commands either.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.sweepfile.model import Program, Step
from orchestrator.sweepfile.program import (
    Macros,
    arguments,
    for_shell,
    parameters_yaml,
    passes_parameters,
)

JSON_FILE = "config.json"
"""In the run directory: what ``${args_json_file}`` stands for."""
YAML_FILE = "wandb-config.yaml"
"""In the run directory: the config for ``wandb.config``."""
PARAMETERS_FILE = "notebook-parameters.yaml"
"""In the run directory: what papermill sets."""
FILLED_FILE = "notebook.ipynb"
"""In the run directory: the notebook with parameters and outputs."""

_NOTEBOOK_PACKAGES = ("papermill", "ipykernel")
_IMPORT_TIMEOUT_S = 60.0


def command(
    program: Program,
    config: Mapping[str, Any],
    directory: Path | None = None,
    *,
    macros: Macros | None = None,
    step: Step | None = None,
) -> list[str]:
    """Return the whole argument list that runs `program` with `config`.

    A program that the sweep file starts by ``command`` is started by these words, with its macros
    inserted; so is each of several steps.

    A ``.py`` file runs under ``program.python`` (by default the interpreter that runs the sweep);
    any other file is executed as it is; a bare name is a console command, looked for on ``PATH``
    and next to the interpreter that runs the sweep, so that commands of a virtual environment are
    found without activating it. A notebook is run by papermill.

    Args:
        program: the program.
        config: parameter name to value.
        directory: the run directory, where a file with the parameters is written if the command
            needs one; None writes none.
        macros: by default those of `config` and `directory`.
        step: which of the program's steps; None if it has none.

    Raises:
        TrialError: there is no such program, it is not executable, a macro has no value, or a
            value cannot be an argument.
    """
    macros = macros or Macros.of(program, config, directory)
    if program.shell:
        return _for_shell(program, macros)
    if step is not None or program.command:
        return _commanded(program, macros, directory, step)
    if Path(program.path).suffix == ".ipynb":
        return _notebook(program, macros.config, directory)
    return [*_start(program), *_arguments(program, macros), *_resume_words(program, macros)]


def variables(
    program: Program,
    config: Mapping[str, Any],
    directory: Path,
    *,
    macros: Macros | None = None,
    step: Step | None = None,
) -> dict[str, str]:
    """Return the environment variables that a program gets in addition to the usual ones.

    ``PATH`` begins with the folder of the interpreter, so that plain ``python`` is the one that
    runs the sweep, or the one that the sweep file names. If a command passes no parameters,
    ``WANDB_SWEEP_PARAM_PATH`` names a file in `directory` with them, as W&B's agent does; it is
    written. ``env`` of the sweep file overrides both.

    Raises:
        TrialError: a macro has no value, or a value cannot be in an environment.
    """
    macros = macros or Macros.of(program, config, directory)
    wanted = step.command if step is not None else program.command
    found: dict[str, str] = {}
    if wanted or program.python is not None:
        folder = os.path.dirname(_interpreter(program.python, Path(program.workdir)))
        found["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    if program.conda is not None:
        found["CONDA_PREFIX"] = program.conda
        found["CONDA_DEFAULT_ENV"] = os.path.basename(program.conda)
    if wanted and not (program.shell or program.params_file or passes_parameters(wanted)):
        path = directory.absolute() / YAML_FILE
        atomic.write_text(path, parameters_yaml(config, wandb=True))
        found["WANDB_SWEEP_PARAM_PATH"] = str(path)
    if program.shell:
        for index, macro in enumerate(for_shell(program.command[0])[1]):
            found[f"SWEEP_{index}"] = macros.put_in(macro) or ""
    given = {name: macros.put_in(text) for name, text in program.env.items()}
    found |= {name: value for name, value in given.items() if value is not None}
    for name, value in found.items():
        if "\0" in value:
            raise TrialError(f"env {name}: contains a NUL character ({value!r}).")
    return found


def _resume_words(program: Program, macros: Macros) -> list[str]:
    """Return the words that let a program resume; none if it starts from scratch."""
    if program.resume is None or macros.checkpoint is None:
        return []
    return [word for text in program.resume.words if (word := macros.put_in(text)) is not None]


def _arguments(program: Program, macros: Macros) -> list[str]:
    """Return the arguments for the parameters that are not inserted by name elsewhere."""
    return arguments(_unnamed(program, macros), style=program.style, booleans=program.booleans)


def _unnamed(program: Program, macros: Macros) -> dict[str, Any]:
    in_steps = (word for step in program.steps for word in step.command)
    return macros.unnamed([*program.command, *in_steps, *program.env.values()])


def _for_shell(program: Program, macros: Macros) -> list[str]:
    text, _ = for_shell(program.command[0])
    if "${program}" in text:
        text = text.replace("${program}", shlex.quote(_start(program)[-1]))
    text = text.replace("${args}", '"$@"')
    given = [*_arguments(program, macros), *_resume_words(program, macros)]
    return ["/bin/sh", "-c", text, "sh", *given]


def _commanded(
    program: Program, macros: Macros, directory: Path | None, step: Step | None
) -> list[str]:
    wanted = step.command if step is not None else program.command
    unnamed = _unnamed(program, macros)
    json_file = JSON_FILE
    if directory is not None and "${args_json_file}" in wanted:
        json_file = str(directory.absolute() / JSON_FILE)
        atomic.write_json(Path(json_file), unnamed)
    resume = _resume_words(program, macros)
    try:
        words = replace(
            macros,
            environ=os.environ,
            passed=unnamed,
            python=program.python or "python",
            json_file=json_file,
            resume=resume,
            style="--k=v" if program.style == "none" else program.style,
            booleans=program.booleans,
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
    is_file_name = path.is_absolute() or len(path.parts) > 1
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
    found = None if is_file_name else _on_path(program.path)
    if found is None:
        raise TrialError(
            f"program: {program.path!r} is neither a file in {workdir} nor a command on PATH."
        )
    return [found]


def _interpreter(python: str | None, workdir: Path) -> str:
    """Return the interpreter for ``.py`` files.

    A relative path counts from `workdir`. Links are not resolved: the python of a virtual
    environment is a link, and knows its environment by the name it was started with.
    """
    if python is None:
        return sys.executable
    path = Path(python).expanduser()
    if path.is_absolute() or len(path.parts) > 1:
        file = os.path.abspath(workdir / path)
        if not os.access(file, os.X_OK) or os.path.isdir(file):
            raise TrialError(f"python: {file} is not an interpreter that can be executed.")
        return file
    found = _on_path(python)
    if found is None:
        raise TrialError(f"python: {python!r} is neither a command on PATH nor a path.")
    return found


def _on_path(name: str) -> str | None:
    """Return the command called `name` on PATH, else next to our own interpreter."""
    return shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))


def _notebook(program: Program, config: Mapping[str, Any], directory: Path | None) -> list[str]:
    """Return the argument list by which papermill sets a notebook's parameters and runs it.

    Raises:
        TrialError: it is not a notebook, takes no parameters, or papermill is missing.
    """
    file = Path(program.workdir) / program.path
    python = _interpreter(program.python, Path(program.workdir))
    try:
        takes = _takes_parameters(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise TrialError(f"program: {file} cannot be read as a notebook: {error}.") from None
    if takes is None:
        raise TrialError(f"program: {file} is not a notebook of version 4.")
    if not takes and config:
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
        atomic.write_text(base / PARAMETERS_FILE, parameters_yaml(config))
    words = [python, "-m", "papermill", str(file), str(base / FILLED_FILE)]
    words += ["-f", str(base / PARAMETERS_FILE)] if config else []
    return [*words, "--log-output", "--no-progress-bar"]


def _takes_parameters(text: str) -> bool | None:
    """Return whether a notebook has a cell with the tag ``parameters``; None if it is none."""
    try:
        cells = json.loads(text)["cells"]
        tags = [cell.get("metadata", {}).get("tags", []) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return any("parameters" in each for each in tags)


def _missing_packages(python: str) -> str:
    """Return which packages for notebooks the interpreter lacks; "" if none."""
    names = _NOTEBOOK_PACKAGES
    if python == sys.executable:
        return ", ".join(name for name in names if importlib.util.find_spec(name) is None)
    code = (
        "import importlib.util, sys; "
        "print(','.join(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None))"
    )
    try:
        done = subprocess.run(
            [python, "-c", code, *names],
            capture_output=True,
            text=True,
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # starting it will say more
    return done.stdout.strip().replace(",", ", ")
