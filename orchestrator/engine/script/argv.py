"""The words that start a script: an argument list, never a shell line.

Every value arrives in the script exactly as it stands in the config: blanks, quotes, newlines,
``$(...)`` and ``;`` mean nothing to anyone on the way.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.spec.commands import (
    command_line,
    needs_json_file,
    parameter_file,
    passes_parameters,
)
from orchestrator.spec.program import Program

STYLES = ("--k=v", "hyphen-space")


JSON_FILE = "config.json"
"""In the run directory: what ``${args_json_file}`` stands for."""
YAML_FILE = "wandb-config.yaml"
"""In the run directory: the config for ``wandb.config``."""


def command(
    program: Program, config: Mapping[str, Any], directory: Path | None = None
) -> list[str]:
    """Return the whole argument list that runs `program` with `config`.

    A program that the file starts by the words of ``command`` is started by these, its macros put
    in.

    A ``.py`` file runs under ``program.python`` (by default the interpreter that runs the sweep);
    any other file is executed as it is; a bare name is a console command, looked for on ``PATH``
    and beside the interpreter that runs the sweep, so that commands of a virtual environment are
    found without activating it.

    Args:
        program: the program.
        config: parameter name to value.
        directory: the run directory, where a file with the parameters is written if the command
            wants one; None writes none.

    Raises:
        TrialError: there is no such program, it may not be executed, or a value cannot be an
            argument.
    """
    if program.command:
        return _commanded(program, config, directory)
    return [*_start(program), *arguments(config, style=program.style, booleans=program.booleans)]


def variables(program: Program, config: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Return what the environment of a program that ``command`` starts has beside the usual.

    ``PATH`` begins with the folder of the interpreter, so that the plain word ``python`` is the
    one that runs the sweep, or the one that the file names. Where the command passes no
    parameters, ``WANDB_SWEEP_PARAM_PATH`` names a file in `directory` with them, as W&B's agent
    does; it is written.
    """
    if not program.command:
        return {}
    folder = os.path.dirname(_interpreter(program.python, Path(program.workdir)))
    found = {"PATH": os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])}
    if not passes_parameters(program.command):
        path = directory.absolute() / YAML_FILE
        atomic.write_text(path, parameter_file(atomic.plain(_native(config))))
        found["WANDB_SWEEP_PARAM_PATH"] = str(path)
    return found


def _commanded(program: Program, config: Mapping[str, Any], directory: Path | None) -> list[str]:
    native = _native(config)
    json_file = JSON_FILE
    if directory is not None and needs_json_file(program.command):
        json_file = str(directory.absolute() / JSON_FILE)
        atomic.write_json(Path(json_file), native)
    try:
        words = command_line(
            program.command,
            native,
            environ=os.environ,
            python=program.python or "python",
            json_file=json_file,
        )
    except (TypeError, ValueError) as error:
        raise TrialError(f"command: the parameters must go into JSON, but {error}.") from None
    for word in words:
        if "\0" in word:
            raise TrialError(f"command: must hold no NUL character, but got {word!r}.")
    if not words:
        raise TrialError(
            "command: must leave a word to run, but all of it vanished. Name a program in it."
        )
    return words


def arguments(
    config: Mapping[str, Any], *, style: str = "--k=v", booleans: str = "value"
) -> list[str]:
    """Return the arguments for `config`, in the order of the names.

    ============  =========================  ===========================================
    value         ``--k=v``                  ``hyphen-space``
    ============  =========================  ===========================================
    3.0           ``--t20_weight=3.0``       ``--t20-weight`` ``3.0``
    True          ``--amp=True``             ``--amp`` ``True``
    None          ``--clip=None``            nothing: the script's default holds
    [1, 2]        ``--layers=[1, 2]``        ``--layers`` ``1`` ``2``
    {"a": 1}      ``--net={'a': 1}``         ``--net`` ``{"a": 1}`` (JSON)
    "-x"          ``--name=-x``              ``--name=-x``: as two words it would be an option
    ============  =========================  ===========================================

    ``--k=v`` is what W&B sends: the name as it is and Python's ``str`` of the value. With
    `booleans` ``"flag"``, True is ``--amp`` alone and False is nothing, in both styles.

    Args:
        config: parameter name to value.
        style: one of `STYLES`.
        booleans: ``"value"`` or ``"flag"``.

    Raises:
        TrialError: a value holds a NUL character, which no argument can.
    """
    if style not in STYLES:
        raise TrialError(f"args: must be one of {', '.join(STYLES)}, but got {style!r}.")
    words: list[str] = []
    for name in sorted(config):
        value = _native(config[name])
        if isinstance(value, bool) and booleans == "flag":
            option = name if style == "--k=v" else name.replace("_", "-")
            words += [f"--{option}"] if value else []
        elif style == "--k=v":
            words.append(f"--{name}={value}")
        else:
            words += _spaced("--" + name.replace("_", "-"), value)
    for word in words:
        if "\0" in word:
            raise TrialError(
                f"argument {word.split('=')[0]}: must hold no NUL character, but got {word!r}."
            )
    return words


def _spaced(option: str, value: Any) -> list[str]:
    """Return the words of one parameter in the style ``hyphen-space``."""
    if value is None:
        return []
    if isinstance(value, list):
        return [option, *(_word(item) for item in value)]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    # A word that begins with a hyphen is taken for an option; argparse lets negative numbers
    # pass, but not those with an exponent.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _word(item: Any) -> str:
    """Return one item of a list as a word."""
    if isinstance(item, list | dict):
        return json.dumps(item, ensure_ascii=False)
    if isinstance(item, float) and item < 0 and "e" in repr(item):
        return format(Decimal(repr(item)), "f")
    return str(item)


def _native(value: Any) -> Any:
    """Return `value` with numpy scalars as Python numbers and tuples as lists."""
    if isinstance(value, Mapping):
        return {key: _native(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_native(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def _start(program: Program) -> list[str]:
    """Return the words before the arguments: interpreter and script, or the executable."""
    workdir = Path(program.workdir)
    path = Path(program.path).expanduser()
    is_file_name = path.is_absolute() or len(path.parts) > 1
    file = workdir / path
    if path.suffix == ".py":
        if not file.is_file():
            raise TrialError(f"program: must be a file, but {file} does not exist.")
        return [_interpreter(program.python, workdir), str(file)]
    if file.is_file():
        if not os.access(file, os.X_OK):
            raise TrialError(
                f"program: {file} must be executable, but is not. Next step: chmod +x {file}, "
                "or name a .py file."
            )
        return [str(file)]
    found = None if is_file_name else _on_path(program.path)
    if found is None:
        raise TrialError(
            f"program: {program.path!r} must be a file in {workdir} or a command on PATH, "
            "but is neither."
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
            raise TrialError(
                f"python: must be an interpreter that can be executed, but {file} is none."
            )
        return file
    found = _on_path(python)
    if found is None:
        raise TrialError(f"python: {python!r} must be a command on PATH or a path, but is neither.")
    return found


def _on_path(name: str) -> str | None:
    """Return the command called `name` on PATH, else beside our own interpreter."""
    return shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))
