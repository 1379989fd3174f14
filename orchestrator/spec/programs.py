"""A person's own script: where it is, and how it is called."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.spec.model import Program
from orchestrator.spec.problems import Log
from orchestrator.spec.tree import Node


def read_program(
    values: Mapping[str, Any], root: Node, folder: Path, need: bool, log: Log
) -> Program:
    """Return the program of a file whose single keys are good.

    Relative paths start at the folder of the sweep file, which is also where the program runs.

    Args:
        values: what the keys hold.
        root: the file's tree, for lines.
        folder: the folder of the sweep file, absolute.
        need: True where a program that is missing is a mistake; a warning otherwise.
        log: takes mistakes and warnings.
    """
    path = _locate(values["program"], folder)
    if path is None:
        _missing("program", "a script or a command on PATH", values["program"], root, need, log)
    python = values.get("python")
    interpreter = None if python is None else _locate(python, folder)
    if python is not None and interpreter is None:
        _missing("python", "an interpreter", python, root, need, log)
    given = values.get("args", "--k=v")
    args = given if isinstance(given, dict) else {"style": given}
    style = args.get("style", "--k=v")
    patterns = values.get("metrics", {}).get("pattern", ())
    return Program(
        path=path or str(folder / values["program"]),
        style=style,
        # A parser that takes "--amp 3" as two words would take "--amp True" for text.
        booleans=args.get("booleans", "flag" if style == "hyphen-space" else "value"),
        python=interpreter if interpreter or python is None else str(folder / python),
        outputs=values.get("outputs"),
        patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
        workdir=str(folder),
    )


def _locate(text: str, folder: Path) -> str | None:
    """Return the absolute path of a file, or the name of a command that is on PATH, or None."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # an unknown ~user
        path = Path(text)
    for candidate in (folder / path, folder / text.replace("\\", "/")):
        if candidate.is_file():
            return str(candidate)
    if "/" in text or "\\" in text:
        return None
    # Commands of a virtual environment that is not activated stand beside its interpreter.
    beside = Path(sys.executable).with_name(text)
    return text if shutil.which(text) or beside.is_file() else None


def _missing(key: str, what: str, text: str, root: Node, need: bool, log: Log) -> None:
    where = root.get(key) or root
    message = f"must be {what}, but there is no {text!r} (relative to the sweep file's folder)."
    if need:
        log.at(where, key, message)
    else:
        log.warn(where, key, message)
