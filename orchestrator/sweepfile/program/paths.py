"""Find files, programs, interpreters and conda environments; nothing is started.

A path in a sweep file is relative to that file's folder, wherever the sweep is started from, also
if another file extends it; a path in ``--set`` is relative to the working folder. As in W&B, a
program that is not there is looked for in the current folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.yaml.compose import ORIGIN
from orchestrator.sweepfile.yaml.node import Node

_ROOTS = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")


def folder_of(node: Node) -> Path:
    """Return the absolute folder of the file that holds a value."""
    return Path(os.path.abspath(node.origin)).parent


def start_of(node: Node | None, default: Path) -> Path:
    """Return the folder of the file that holds a path; `default` for ``--set``."""
    return default if node is None or node.origin == ORIGIN else folder_of(node)


def settle_paths(file: ParsedFile, need: bool) -> ParsedFile:
    """Return the file with absolute paths in all parameters that are paths; ``set`` in place.

    A missing path is an error if `need`, otherwise a warning.
    """
    if file.schema is None:
        return file
    names = [name for name, known in file.schema.parameters.items() if known.is_path]
    log = file.log.at if need else file.log.warn

    def settle(node: Node, key: str) -> Node:
        if not isinstance(node.value, str):
            return node
        start = start_of(node, Path.cwd())
        path = os.path.abspath(start / Path(node.value).expanduser())
        if not os.path.exists(path):
            log(node, key, f"no file or folder {path}.")
        return Node(path, node.line, node.origin)

    def settle_domain(name: str, declared: Declared) -> Declared:
        nodes = [node for key, node in declared.leaves() if key in ("value", "values")]
        settled = [settle(node, join("parameters", name)).value for node in nodes]
        return replace(declared, domain=replace(declared.domain, values=tuple(settled)))

    strongest, parameters = dict(file.strongest), dict(file.parameters)
    for name in names:
        for path, settings in file.settings():
            if name in settings:
                settings[name] = settle(settings[name], join(*path, name))
        if name in strongest:
            strongest[name] = settle(strongest[name], name)
        if name in parameters:
            parameters[name] = settle_domain(name, parameters[name])
    return replace(file, strongest=strongest, parameters=parameters)


def locate(text: str, folder: Path) -> str | None:
    """Return the absolute path of a file below `folder`, or a command that is on PATH, or None."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # an unknown ~user
        path = Path(text)
    for candidate in (folder / path, folder / text.replace("\\", "/")):
        if os.path.isfile(candidate):  # unlike the method, it takes any name
            return str(candidate)
    if "/" in text or "\\" in text:
        return None
    # Commands of a virtual environment that is not activated are next to its interpreter.
    beside = os.path.join(os.path.dirname(sys.executable), text)
    return text if shutil.which(text) or os.path.isfile(beside) else None


def home_of(file: ParsedFile, folder: Path) -> Path:
    """Return the folder where the program runs: the file's, or the current one as in W&B."""
    program, command = file.values.get("program"), file.values.get("command", ())
    words = [program] if program else [] if isinstance(command, str) else command
    files = [word for word in words if word == program or re.fullmatch(r"[^-$]*\.\w+", word)]
    here = Path.cwd()
    if not files or "workdir" in file.values or locate(files[0], folder) is not None:
        return folder
    if not os.path.isfile(here / files[0]):
        return folder
    message = f"{files[0]} is not in {folder}, the folder of the sweep file, but in {here}, the "
    file.warn(
        f"{message}current one, where the trials run too, as in W&B.",
        "program" if program else "command",
    )
    return here


def find_program(text: str, folder: Path, workdir: str) -> str | None:
    """Return the program from the file's folder, else from the folder where it runs."""
    return locate(text, folder) or locate(text, folder / workdir)


def check_notebook(file: ParsedFile, program: Program, need: bool) -> None:
    """Report a notebook that no trial could run: without papermill, or a cell for parameters."""
    if not program.path.endswith(".ipynb") or not os.path.isfile(program.path):
        return
    report = file.error if need else file.warn
    missing = [name for name in ("papermill", "ipykernel") if find_spec(name) is None]
    if missing and program.python is None:
        message = f"a notebook needs {' and '.join(missing)}. Run pip install {' '.join(missing)}."
        report(message, "program")
    try:
        cells = json.loads(Path(program.path).read_text(encoding="utf-8-sig"))["cells"]
        tags = {tag for cell in cells for tag in cell.get("metadata", {}).get("tags", ())}
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        report(f"cannot be read as a notebook: {error}.", "program")
        return
    if "parameters" not in tags and file.names():
        message = "the notebook has no cell with the tag parameters. Tag the one that sets them."
        report(message, "program")


def conda_folder(name: str, folder: Path, environ: Mapping[str, str], home: Path) -> str | None:
    """Return the folder of the conda environment `name`; None if there is none.

    Searched are the folders that conda itself searches: those in its variables, the active
    installation, ``~/.conda/environments.txt`` and the usual places in the home folder. `name` is
    ``base``, the name of an environment, or a path that starts at `folder`.
    """
    if "/" in name or name.startswith("~"):
        path = folder / Path(name).expanduser()
        return os.path.abspath(path) if _is_environment(path) else None
    roots = _roots(environ, home)
    by_name = (root if name == "base" else root / "envs" / name for root in roots)
    listed = (path for path in _listed(environ, home) if path.name == name)
    return next((str(path) for path in chain(by_name, listed) if _is_environment(path)), None)


def _roots(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the folders in which conda may be installed."""
    if environ.get("CONDA_EXE"):
        yield Path(environ["CONDA_EXE"]).parent.parent
    if environ.get("MAMBA_ROOT_PREFIX"):
        yield Path(environ["MAMBA_ROOT_PREFIX"])
    active = Path(environ.get("CONDA_PREFIX", ""))
    if active.is_absolute():
        yield active.parent.parent if active.parent.name == "envs" else active
    yield home / ".conda"
    yield from (home / name for name in _ROOTS)
    yield Path("/opt/conda")


def _listed(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Yield the environments that conda lists, or that are in its folders of environments."""
    for variable in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        for folder in filter(None, environ.get(variable, "").split(os.pathsep)):
            try:
                yield from sorted(Path(folder).iterdir())
            except OSError:
                continue
    try:
        lines = (home / ".conda" / "environments.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return
    yield from (Path(line.strip()) for line in lines if line.strip())


def _is_environment(path: Path) -> bool:
    return os.access(path / "bin" / "python", os.X_OK)
