"""Check the macros in a program's command: whether each is replaced, and has a value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.program.macros import (
    INSIDE,
    WHOLE,
    has_macros,
    names_in,
    parameters_in,
    whole,
)

_MACRO = re.compile(r"\$\{([^{}]*)\}")


def check_shell_text(file: ParsedFile, program: Program, text: str, by_file: bool) -> None:
    """Check a command that a shell reads; ``${args}`` becomes its arguments."""
    macros = set(_MACRO.findall(text)).intersection(WHOLE) - {"resume"}
    for name in sorted(macros - {"program", "args"}):
        file.error(f"${{{name}}} cannot be used in a shell's text. Use ${{args}}.", "command")
    for name in sorted(set(_MACRO.findall("".join(_in_single_quotes(text))))):
        if name in WHOLE or has_macros(f"${{{name}}}"):
            message = f"${{{name}}} is between single quotes, which the shell passes on as it is."
            file.error(f"{message} Remove the quotes: values are quoted as needed.", "command")
    if "program" in macros and not program.path:
        file.error("${program} has no value. Write program.", "command")
    if program.resume is not None and "args" not in macros:
        file.error("needs ${args}, which passes the words of resume.", "command")
    if not ("args" in macros or has_macros(text) or by_file):
        file.warn("passes no parameters. Add ${args} or ${params:NAME}.", "command")


def _in_single_quotes(text: str) -> Iterator[str]:
    """Yield the letters of a shell's text that are between single quotes."""
    quote = ""
    for letter in text:
        if letter in ("'", '"') and quote in ("", letter):
            quote = "" if quote else letter
        elif quote == "'":
            yield letter


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
        elif set(_MACRO.findall(word)).intersection(WHOLE):
            file.warn(f"the macro inside {word!r} is not replaced. Make it a whole word.", *path)
        elif re.search(r"\$\{(?!envvar:)", word):
            file.warn(f"{word!r} is not replaced; a parameter is ${{params:NAME}}.", *path)
        elif word in ("&&", "||", "|", ";", ">", "<"):
            file.warn(f"no shell reads {word!r}. Write shell: true.", *path)


def check_names(
    file: ParsedFile, texts: Sequence[str], known: Collection[str], program: Program, *path: str
) -> None:
    """Check that the macros in `texts` have values; `known` are the file's parameters."""
    for name in sorted(parameters_in(texts) - set(known)):
        hint = file.log.hint(name, known)
        file.error(f"${{params:{name}}} names no parameter of the file.{hint}", *path)
    if program.shell and path[0] == "command":
        for name in sorted(set(_MACRO.findall(" ".join(texts))) & set(known)):
            message = f"${{{name}}} is a variable of the shell"
            file.warn(f"{message}; the parameter is ${{params:{name}}}.", *path)
    names = names_in(texts)
    if "epochs" in names and "epochs" not in known:
        file.error("${epochs} has no value. Add the parameter epochs to fixed.", *path)
    if "params_file" in names and program.params_file is None:
        file.error("${params_file} has no value. Write params_file: params.yaml.", *path)
    if "checkpoint" in names and path[0] != "resume":
        file.error("${checkpoint} is for resume only. Write ${resume} here.", *path)
    if "${resume}" in texts and program.resume is None:
        file.error("${resume} has no value. Write resume.", *path)
