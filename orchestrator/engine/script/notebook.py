"""A notebook as a program: papermill sets its parameters and runs its cells."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.files import atomic
from orchestrator.sweepfile.program.notebook import SUFFIX, parameters_text, takes_parameters

PARAMETERS_FILE = "notebook-parameters.yaml"
"""In the run directory: what papermill sets."""
FILLED_FILE = "notebook.ipynb"
"""In the run directory: the notebook with parameters and outputs."""

_NEEDED = ("papermill", "ipykernel")
_TIMEOUT_S = 60.0


def is_notebook(path: Path) -> bool:
    """Tell by its name whether a program is a notebook."""
    return path.suffix == SUFFIX


def notebook_words(
    file: Path, python: str, config: Mapping[str, Any], directory: Path | None
) -> list[str]:
    """Return the argument list that runs a notebook.

    Args:
        file: the notebook.
        python: the interpreter that has papermill.
        config: parameter name to value.
        directory: the run directory, where the parameters are written; None writes nothing.

    Raises:
        TrialError: it is no notebook, takes no parameters, or papermill is missing.
    """
    try:
        takes = takes_parameters(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise TrialError(f"program: {file} must be a notebook, but got: {error}.") from None
    if takes is None:
        raise TrialError(f"program: {file} must be a notebook, but it is not one of version 4.")
    if not takes and config:
        raise TrialError(
            f"program: {file} must have a cell with the tag parameters, which sets the defaults of "
            f"{', '.join(sorted(config))}; but it has none."
        )
    missing = _missing(python)
    if missing:
        raise TrialError(
            f"program: {file.name} is a notebook, for which {python} must have papermill and "
            f"ipykernel, but it lacks {missing}. Next step: {python} -m pip install papermill "
            'ipykernel, or install sweep with its extra "[notebook]".'
        )
    base = Path() if directory is None else directory.absolute()
    if directory is not None:
        atomic.write_text(base / PARAMETERS_FILE, parameters_text(atomic.plain(config)))
    words = [python, "-m", "papermill", str(file), str(base / FILLED_FILE)]
    words += ["-f", str(base / PARAMETERS_FILE)] if config else []
    return [*words, "--log-output", "--no-progress-bar"]


def _missing(python: str) -> str:
    """Return what the interpreter lacks; an empty string where it lacks nothing."""
    if python == sys.executable:
        return ", ".join(name for name in _NEEDED if importlib.util.find_spec(name) is None)
    code = (
        "import importlib.util, sys; "
        "print(','.join(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None))"
    )
    try:
        done = subprocess.run(
            [python, "-c", code, *_NEEDED],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # starting it will say more
    return done.stdout.strip().replace(",", ", ")
