"""The options that a ``--help`` lists, of argparse, click and absl, and the boxes of typer."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.program.parsers.script_options import Argument, fits

# "  -b N, --batch-size N     how many (default: 32)"; two blanks part an option from its words.
_OPTION = re.compile(r"^ {1,12}(?P<spec>-{1,2}[\w?].*?)(?:\s{2,}(?P<help>\S.*))?$")
# The frame that typer and tyro draw around options, with a star at those that are required.
_BOX = re.compile(r"^\s*[│|](?: \*)?(?=\s)|\s*[│|]\s*$|^\s*[╭╰].*")
_SHORT = re.compile(r"(?<![\w-])-([A-Za-z])\b")
_LONG = re.compile(r"--(?P<name>[A-Za-z_][\w.-]*)")
_CHOICES = re.compile(r"[{\[]([^{}\[\]]+[,|][^{}\[\]]+)[}\]]")
_DEFAULT = re.compile(r"\bdefaults?(?:\s+is|:|=)?\s*:?\s*(?P<value>[^\s\])};,]+|'[^']*')", re.I)
_TYPES_HELP_TEXT = {"INTEGER": int, "INT": int, "FLOAT": float, "NUMBER": float, "BOOLEAN": bool}
_NO_PARAMETERS = ("help", "version", "install-completion", "show-completion")
_MOST_LINES = 5_000
_LIMIT_S = 30.0


def ask_help(start: Sequence[str], folder: Path | None) -> tuple[str, list[Argument]]:
    """Return what `start` prints with ``--help``, "" if it cannot be run, and the options in it."""
    # Wide and plain, so that parsers that draw boxes do not break their lines.
    variables = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    try:
        done = subprocess.run(
            [*start, "--help"],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", []
    text = (done.stdout or done.stderr).decode("utf-8", "replace")
    return text, read_help(text)


def read_help(text: str) -> list[Argument]:
    """Return the options that a help text lists, in its order."""
    found: dict[str, Argument] = {}
    lines = [_BOX.sub("", line) for line in text.splitlines()[:_MOST_LINES]]
    for spec, words in _entries(lines):
        argument = _argument_help_text(spec, words)
        if argument is not None:
            found.setdefault(argument.name, argument)
    return list(found.values())


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield how each option is written, and the words about it."""
    spec, words = "", ""
    for line in lines:
        option = _OPTION.match(line)
        if option is not None:
            if spec:
                yield spec, words
            spec, words = option["spec"], option["help"] or ""
        elif spec and line.startswith(" " * 9) and line.strip():
            words = f"{words} {line.strip()}".strip()
        elif spec:
            yield spec, words
            spec = words = ""
    if spec:
        yield spec, words


def _argument_help_text(spec: str, words: str) -> Argument | None:
    names = [name for name in _LONG.findall(spec) if not name.startswith("no-")]
    if not names or names[0] in _NO_PARAMETERS:
        return None
    option = max(names, key=len)
    has_opposite = "--no-" in spec
    after = spec.rpartition(f"--{option}")[2].strip(" =")
    is_switch = has_opposite or not after or after.startswith(("/", ","))
    listed = None if is_switch else _CHOICES.search(after)
    choices = tuple(item.strip() for item in re.split(r"[,|]", listed[1])) if listed else ()
    default, kind = _default(words)
    metavar = re.split(r"[\s\[<>]", after)[0].upper() if after else ""
    kind = bool if is_switch else _TYPES_HELP_TEXT.get(metavar, kind)
    if is_switch:
        default = default if isinstance(default, bool) else False
    if kind is float and type(default) is int:
        default = float(default)
    return Argument(
        option=option,
        type=kind,
        default=default if fits(default, kind) else None,
        choices=choices,
        shorts=tuple(_SHORT.findall(spec)),
        is_switch=is_switch,
        is_required=re.search(r"\brequired[\])]", words) is not None,
        help=re.sub(r"\s*[\[(]defaults?\b[^\])]*[\])]|\s*\[[^\]]*required\]", "", words).strip(),
    )


def _default(words: str) -> tuple[Any, type | None]:
    """Return the default that the words name, and its type."""
    found = _DEFAULT.search(words)
    if found is None:
        return None, None
    text = found["value"].strip("'\"")
    if text in ("None", "null", ""):
        return None, None
    if text in ("True", "False"):
        return text == "True", bool
    for kind in (int, float):
        try:
            return kind(text), kind
        except ValueError:
            continue
    return text, str
