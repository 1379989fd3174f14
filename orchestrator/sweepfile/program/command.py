"""The words of ``command`` and ``steps``, checked when the file is read.

W&B ignores unknown macros, macros inside a word and commands that pass no parameters. Here each of
them is a warning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.program.interpreters import locate
from orchestrator.sweepfile.program.macros import (
    INSIDE,
    WHOLE,
    has_macros,
    names_in,
    parameters_in,
    passes_parameters,
    whole,
)

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
_MACRO = re.compile(r"\$\{([^{}]*)\}")


def with_command(file: ParsedFile, program: Program, folder: Path) -> Program:
    """Return a program that is started by the words of ``command``."""
    words, written = file.values["command"], file.values.get("program")
    if isinstance(words, str):
        if program.shell:
            return _for_shell(file, program, words)
        message = f"not a list, so as in W&B [{', '.join(DEFAULT)}] is used instead."
        file.warn(message, "command")
        words = DEFAULT
    elif program.shell:
        message = "a shell needs one text. Write command: 'python train.py'."
        file.error(message, "command")
    check_words(file, words, "command")
    by_env = parameters_in(program.env.values())
    if not (passes_parameters(words) or program.params_file or by_env):
        message = "passes no parameters. The program can read them from wandb.config; or add "
        file.warn(f"{message}'${{args}}'.", "command")
    inserted = insert_program(words, written, folder)
    start = next((word for word in inserted if whole(word) is None), "")
    program = replace(program, command=inserted, path=program.path or start)
    plain = plain_form(words)
    if plain is not None and program.path.endswith(".py") and "args" not in file.values:
        python, booleans = plain
        python = None if python is None else locate(python, folder) or python
        return replace(program, python=program.python or python, booleans=booleans)
    return program


def plain_form(command: Sequence[str]) -> tuple[str | None, str] | None:
    """Return interpreter and ``args.booleans`` of a command that ``program`` alone could replace.

    Returns:
        The interpreter's name, None for the one that runs the sweep, and ``value`` or ``flag``;
        None if the command does something else.
    """
    items = list(command)
    if items[:1] in (["${env}"], ["/usr/bin/env"]):
        items = items[1:]
    if len(items) != 3 or items[1] != "${program}":
        return None
    booleans = {"${args}": "value", "${args_no_boolean_flags}": "flag"}.get(items[2])
    if booleans is None:
        return None
    if items[0] == "${interpreter}":
        return None, booleans
    return (items[0], booleans) if re.fullmatch(r"[\w./-]*python[\d.]*", items[0]) else None


def insert_program(words: Sequence[str], written: str | None, folder: Path) -> tuple[str, ...]:
    """Return `words` with the program in place of ``${program}``."""
    if written is None:
        return tuple(words)
    # The path stays as written, since it runs in the file's folder; another system's \ becomes /.
    if "\\" in written and not os.path.exists(folder / written):
        written = written.replace("\\", "/")
    return tuple(written if word == "${program}" else word for word in words)


def check_words(file: ParsedFile, words: Sequence[str], *path: str) -> None:
    """Check the macros that are whole words, and warn of what looks like one or is for a shell."""
    if "${program}" in words and "program" not in file.values:
        file.error("${program} has no value. Write program.", *path)
    for word in words:
        name = whole(word)
        if name in WHOLE or has_macros(word):
            continue
        if name is not None:
            hint = file.log.hint(name, [*WHOLE, *INSIDE])
            hint = hint or f" A parameter is ${{params:{name}}}."
            file.warn(f"unknown macro {word}, which vanishes.{hint}", *path)
        elif WHOLE.keys() & set(_MACRO.findall(word)):
            file.warn(f"the macro inside {word!r} is not replaced. Make it a whole word.", *path)
        elif re.search(r"\$\{(?!envvar:)", word):
            file.warn(f"{word!r} is not replaced; a parameter is ${{params:NAME}}.", *path)
        elif word in ("&&", "||", "|", ";", ">", "<"):
            file.warn(f"no shell reads {word!r}. Write shell: true.", *path)


def check_names(
    file: ParsedFile, texts: Sequence[str], known: Collection[str], program: Program, *path: str
) -> None:
    """Check that the macros in `texts` have values.

    Args:
        file: the file.
        texts: words or texts with macros.
        known: the parameters that the file names.
        program: the program.
        path: the key of `texts`.
    """
    for name in sorted(parameters_in(texts) - set(known)):
        hint = file.log.hint(name, known)
        file.error(f"${{params:{name}}} names no parameter of the file.{hint}", *path)
    names = names_in(texts)
    if "epochs" in names and "epochs" not in known:
        file.error("${epochs} has no value. Add the parameter epochs to fixed.", *path)
    if "params_file" in names and program.params_file is None:
        file.error("${params_file} has no value. Write params_file: params.yaml.", *path)
    if "checkpoint" in names and path[0] != "resume":
        file.error("${checkpoint} is for resume only. Write ${resume} here.", *path)
    if "${resume}" in texts and program.resume is None:
        file.error("${resume} has no value. Write resume.", *path)


def _for_shell(file: ParsedFile, program: Program, text: str) -> Program:
    """Return a program whose command a shell reads; ``${args}`` becomes its arguments."""
    macros = set(_MACRO.findall(text)) & (WHOLE.keys() - {"resume"})
    for name in sorted(macros - {"program", "args"}):
        file.error(f"${{{name}}} cannot be used in a shell's text. Use ${{args}}.", "command")
    if "program" in macros and not program.path:
        file.error("${program} has no value. Write program.", "command")
    if program.resume is not None and "args" not in macros:
        file.error("needs ${args}, which passes the words of resume.", "command")
    by_env = parameters_in(program.env.values())
    if not ("args" in macros or has_macros(text) or program.params_file or by_env):
        file.warn("passes no parameters. Add ${args} or ${params:NAME}.", "command")
    return replace(program, command=(text,), path=program.path or text.split(maxsplit=1)[0])
