"""The words that start a program: put in what is known, and say what would go wrong in silence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.program.command import (
    DEFAULT,
    MACROS,
    macro,
    passes_parameters,
    plain_form,
)
from orchestrator.sweepfile.program.interpreters import locate
from orchestrator.sweepfile.program.macros import (
    NAMES,
    PARAMETER,
    RESUME,
    is_ours,
    names_in,
    parameters_in,
)
from orchestrator.sweepfile.yaml.node import Node
from orchestrator.sweepfile.yaml.problems import Log

_KNOWN = (*MACROS, *NAMES, "resume")
_MACRO = re.compile(r"\$\{[^{}]*\}")


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
    if isinstance(words, str):
        if program.shell:
            return _for_shell(program, words, where, log)
        default = ", ".join(DEFAULT)
        message = f"should be a list; as in W&B it is not used, but [{default}]."
        log.warn(where, "command", message)
        words = DEFAULT
    elif program.shell:
        log.at(where, "command", "must be one text for a shell. Write command: 'python train.py'.")
    if written is None and "${program}" in words:
        log.at(where, "command", "needs program for ${program}, but there is none.")
    tell_words(words, "command", where, log)
    if not (passes_parameters(words) or _hands_over(program, values)):
        message = "passes no parameters: the program finds them in wandb.config. Or add '${args}'."
        log.warn(where, "command", message)
    put_in = program_put_in(words, written, folder)
    start = next((word for word in put_in if macro(word) is None), "")
    program = replace(program, command=put_in, path=program.path or start)
    plain = plain_form(words)
    if plain is not None and program.path.endswith(".py") and "args" not in values:
        python, booleans = plain
        python = None if python is None else locate(python, folder) or python
        return replace(program, python=program.python or python, booleans=booleans)
    return program


def program_put_in(words: Sequence[str], written: str | None, folder: Path) -> tuple[str, ...]:
    """Return `words` with the program in place of ``${program}``."""
    put_in: list[str] = []
    for word in words:
        if word == "${program}" and written is not None:
            # As it is written, since it runs in the file's folder; another system's \\ set right.
            is_there = os.path.exists(folder / written) or "\\" not in written
            put_in.append(written if is_there else written.replace("\\", "/"))
        else:
            put_in.append(word)
    return tuple(put_in)


def tell_words(words: Sequence[str], key: str, where: Node, log: Log) -> None:
    """Say what no macro is and looks like one, and what is meant for a shell."""
    for word in words:
        name = macro(word)
        if is_ours(word) or word == RESUME:
            continue
        if name is not None and name not in MACROS:
            hint = log.hint(name, _KNOWN) or f" A parameter is ${{{PARAMETER}{name}}}."
            log.warn(where, key, f"has {word}, which is no macro and vanishes.{hint}")
        elif name is None and any(f"${{{known}}}" in word for known in (*MACROS, "resume")):
            log.warn(where, key, f"has a macro inside {word!r}, where none is replaced.")
        elif name is None and re.search(r"\$\{(?!envvar:)", word):
            known = f"a parameter is ${{{PARAMETER}NAME}}"
            log.warn(where, key, f"has {word!r} as it stands; {known}.")
        elif word in ("&&", "||", "|", ";", ">", "<"):
            message = f"has {word!r}, but no shell reads it. One does with shell: true."
            log.warn(where, key, message)


def tell_names(
    texts: Sequence[str], key: str, where: Node, known: Sequence[str], program: Program, log: Log
) -> None:
    """Say which macros of ours in `texts` stand for nothing.

    Args:
        texts: words or texts with macros.
        key: where they stand, for messages.
        where: the same, for the line.
        known: the parameters that the file names.
        program: what the file says of the program.
        log: takes the mistakes.
    """
    for name in sorted(parameters_in(texts) - set(known)):
        message = f"has ${{{PARAMETER}{name}}}, which no parameter is called."
        log.at(where, key, f"{message}{log.hint(name, known)}")
    names = names_in(texts)
    if "epochs" in names and "epochs" not in known:
        log.at(where, key, "has ${epochs}, but no parameter epochs is set. Add it to fixed.")
    if "params_file" in names and program.params_file is None:
        log.at(where, key, "has ${params_file}, but there is none. Write params_file: params.yaml.")
    if "checkpoint" in names and not key.startswith("resume"):
        log.at(where, key, "has ${checkpoint}, which is for resume alone. Write ${resume} here.")
    if RESUME in texts and program.resume is None:
        log.at(where, key, "has ${resume}, but resume does not say what that is.")


def _hands_over(program: Program, values: Mapping[str, Any]) -> bool:
    """Tell whether parameters reach the program by another way than its arguments."""
    return program.params_file is not None or bool(parameters_in(program.env.values()))


def _for_shell(program: Program, text: str, where: Node, log: Log) -> Program:
    """Return a program whose command a shell reads; ``${args}`` becomes its arguments."""
    macros = {found[2:-1] for found in _MACRO.findall(text)} & set(MACROS)
    for name in sorted(macros - {"program", "args"}):
        log.at(where, "command", f"has ${{{name}}}, but a shell's text has ${{args}} alone.")
    if "program" in macros and not program.path:
        log.at(where, "command", "needs program for ${program}, but there is none.")
    if program.resume is not None and "args" not in macros:
        log.at(where, "command", "must have ${args}, through which the words of resume come.")
    if "args" not in macros and not is_ours(text) and not _hands_over(program, {}):
        log.warn(where, "command", "passes no parameters. Add ${args} or ${params:NAME}.")
    return replace(program, command=(text,), path=program.path or text.split(maxsplit=1)[0])
