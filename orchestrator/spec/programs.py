"""A person's own script: where it is, and how it is called."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.spec.commands import MACROS, macro, passes_parameters, plain_form
from orchestrator.spec.overrides import ORIGIN
from orchestrator.spec.paths import folder_of
from orchestrator.spec.problems import Log
from orchestrator.spec.program import Program
from orchestrator.spec.tree import Node


def read_program(
    values: Mapping[str, Any], root: Node, folder: Path, need: bool, log: Log
) -> Program:
    """Return the program of a file whose single keys are good.

    Relative paths start at the folder of the file in which they stand; the program runs in that
    of the sweep file.

    Args:
        values: what the keys hold.
        root: the file's tree, for lines.
        folder: the folder of the sweep file, absolute.
        need: True where a program that is missing is a mistake; a warning otherwise.
        log: takes mistakes and warnings.
    """
    written = values.get("program")
    path = None if written is None else _locate(written, _start_of("program", root, folder))
    if written is not None and path is None:
        _missing("program", "a script or a command on PATH", written, root, need, log)
    python = values.get("python")
    interpreter = None if python is None else _locate(python, _start_of("python", root, folder))
    if python is not None and interpreter is None:
        _missing("python", "an interpreter", python, root, need, log)
    given = values.get("args", "--k=v")
    args = given if isinstance(given, dict) else {"style": given}
    style = args.get("style", "--k=v")
    patterns = values.get("metrics", {}).get("pattern", ())
    program = Program(
        path=path or (str(folder / written) if written is not None else ""),
        style=style,
        # A parser that takes "--amp 3" as two words would take "--amp True" for text.
        booleans=args.get("booleans", "flag" if style == "hyphen-space" else "value"),
        python=interpreter if interpreter or python is None else str(folder / python),
        outputs=values.get("outputs"),
        patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
        workdir=str(folder),
    )
    if "command" not in values:
        return program
    return with_command(program, values, root, folder, log)


def with_command(
    program: Program,
    values: Mapping[str, Any],
    root: Node,
    folder: Path,
    log: Log,
) -> Program:
    """Return a program that is started by the words of ``command``.

    What W&B would swallow in silence is told: macros that it does not know, or that stand inside
    a word, and a command that hands over no parameters.
    """
    words, where = values["command"], root.get("command") or root
    written = values.get("program")
    if "args" in values:
        log.at(root.get("args"), "args", "must not stand beside command, which has macros for it.")
    if written is None and "${program}" in words:
        log.at(where, "command", "needs program for ${program}, but there is none.")
    _tell_words(words, where, log)
    put_in: list[str] = []
    for word in words:
        if word == "${program}" and written is not None:
            # As it is written, since it runs in the file's folder; another system's \\ set right.
            is_there = os.path.exists(folder / written) or "\\" not in written
            put_in.append(written if is_there else written.replace("\\", "/"))
        else:
            put_in.append(word)
    start = next((word for word in put_in if macro(word) is None), "")
    program = replace(program, command=tuple(put_in), path=program.path or start)
    plain = plain_form(words)
    if plain is not None and program.path.endswith(".py"):
        python, booleans = plain
        python = None if python is None else _locate(python, folder) or python
        return replace(program, python=program.python or python, booleans=booleans)
    return program


def _tell_words(words: Sequence[str], where: Node, log: Log) -> None:
    if not passes_parameters(words):
        message = "passes no parameters: the program finds them in wandb.config. Or add '${args}'."
        log.warn(where, "command", message)
    for word in words:
        name = macro(word)
        if name is not None and name not in MACROS:
            message = f"has {word}, which is no macro and vanishes.{log.hint(name, MACROS)}"
            log.warn(where, "command", message)
        elif name is None and any(f"${{{known}}}" in word for known in MACROS):
            log.warn(where, "command", f"has a macro inside {word!r}, where none is replaced.")
        elif name is None and re.search(r"\$\{(?!envvar:)", word):
            message = f"has {word!r} as it stands: a parameter cannot be put into a word."
            log.warn(where, "command", message)
        elif word in ("&&", "||", "|", ";", ">", "<"):
            log.warn(where, "command", f"has {word!r}, but no shell reads it.")


def _start_of(key: str, root: Node, folder: Path) -> Path:
    """Return where the path under `key` starts: at the file in which it stands."""
    node = root.get(key)
    return folder if node is None or node.origin == ORIGIN else folder_of(node)


def _locate(text: str, folder: Path) -> str | None:
    """Return the absolute path of a file, or the name of a command that is on PATH, or None."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # an unknown ~user
        path = Path(text)
    for candidate in (folder / path, folder / text.replace("\\", "/")):
        if os.path.isfile(candidate):  # unlike the method, it takes any name
            return str(candidate)
    if "/" in text or "\\" in text:
        return None
    # Commands of a virtual environment that is not activated stand beside its interpreter.
    beside = Path(sys.executable).with_name(text)
    return text if shutil.which(text) or os.path.isfile(beside) else None


def _missing(key: str, what: str, text: str, root: Node, need: bool, log: Log) -> None:
    where = root.get(key) or root
    message = f"must be {what}, but there is no {text!r} (relative to the sweep file's folder)."
    if need:
        log.at(where, key, message)
    else:
        log.warn(where, key, message)
