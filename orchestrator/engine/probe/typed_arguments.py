"""The arguments that a program was probed with, and the options that it has."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.program import Argument, ScriptParser, read_help, read_parser

HELP_LIMIT_S = 30.0
# A script with none of the known parsers may not know --help, and would begin to train.
_WITHOUT_HELP = ("", "configurator", "hydra", "environment", "params_file")
_OPTION = re.compile(r"-(?![\d.])")  # -1 and -.5 are values
_KEY_VALUE = re.compile(r"(?P<hyphens>--)?(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.*)", re.DOTALL)
_DEEPEST = 2  # subcommands of subcommands


@dataclass(frozen=True)
class Typed:
    """The arguments of one run.

    Attributes:
        words: those that every trial has unchanged, in their order: a subcommand and what is in
            front of it, and positional arguments.
        given: parameter name to its value.
        style: how the program takes its arguments; None if its options show it.
    """

    words: list[str]
    given: dict[str, Any]
    style: str | None


@dataclass(frozen=True)
class Options:
    """The options of a program.

    Attributes:
        leading: how many of the typed words lead to its subcommand.
        args: the style of arguments if its source shows all options; None if not.
        params_file: the file from which it reads its parameters; "" if there is none.
        given: the parameters that the environment gave, if it reads them there alone.
        env: other environment variables that it reads and that are set now.
    """

    arguments: list[Argument]
    leading: int = 0
    args: str | None = None
    params_file: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


def read_options(file: Path, start: Sequence[str], typed: Sequence[str]) -> Options:
    """Return the options of a program: those that its source declares, then those of its help.

    With a subcommand they are those of its own help, which the source cannot tell from others'.
    """
    parser = ScriptParser()
    if file.suffix == ".ipynb":
        return Options([])
    if file.suffix in (".py", ".sh"):
        with suppress(OSError, SyntaxError):
            parser = read_parser(file)
        if (parser.is_complete and not parser.has_subcommands) or parser.kind in _WITHOUT_HELP:
            return _of_parser(parser)
    text = _help(file, start)
    in_help = read_help(text)
    leading = 0
    commands: list[str] = []
    while len(commands) < _DEEPEST:
        place = _subcommand(text, typed, leading)
        if place is None:
            break
        commands.append(typed[place])
        text = _help(file, [*start, *commands])
        leading, in_help = place + 1, read_help(text)
    env = _environment(parser)
    known = {item.name: item for item in parser.parameters}
    style = "auto" if known.keys() >= {item.name for item in in_help} and known else None
    if leading:
        return Options([known.get(item.name, item) for item in in_help], leading, style, env=env)
    others = [item for item in in_help if item.name not in known]
    return Options([*parser.parameters, *others], args=style, env=env)


def _of_parser(parser: ScriptParser) -> Options:
    styles = {"hydra": "hydra", "environment": "env", "": None}
    env = _environment(parser)
    given = {}
    if parser.kind == "environment":
        given, env = {name: _value(text) for name, text in env.items()}, {}
    style = styles.get(parser.kind, "auto")
    return Options(parser.parameters, 0, style, parser.params_file, given, env)


def _environment(parser: ScriptParser) -> dict[str, str]:
    names = [item.option for item in parser.variables]
    return {name: os.environ[name] for name in names if name in os.environ}


def _help(file: Path, start: Sequence[str]) -> str:
    # Wide and plain, so that parsers that draw boxes do not break their lines.
    variables = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}
    try:
        done = subprocess.run(
            [*start, "--help"],
            cwd=file.parent if file.is_file() else None,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=HELP_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).decode("utf-8", "replace")


def _subcommand(text: str, typed: Sequence[str], begin: int) -> int | None:
    """Return the place of the first typed word that a help text lists as a command."""
    for place, word in enumerate(typed[begin:], begin):
        if re.fullmatch(r"[A-Za-z][\w-]*", word) is None:
            continue
        escaped = re.escape(word)
        if re.search(rf"[{{,]{escaped}[,}}]|^[\s│|]+{escaped}(?:\s|$)", text, re.MULTILINE):
            return place
    return None


def sort_words(typed: Sequence[str], arguments: Sequence[Argument], leading: int) -> Typed:
    """Return what every trial needs of the typed words, and the parameters among them."""
    known = {item.name: item for item in arguments}
    rest: list[str] = list(typed[:leading])
    given: dict[str, Any] = {}
    style: str | None = None
    queue = list(typed[leading:])
    while queue:
        word = queue.pop(0)
        pair = _KEY_VALUE.fullmatch(word)
        name = (pair["name"] if pair is not None else word.lstrip("-")).replace("-", "_")
        option = known.get(name) if word.startswith("--") else None
        if pair is not None and pair["hyphens"] is None:
            given[pair["name"]] = _value(pair["value"])
            style = "k=v"
        elif pair is not None and option is not None:
            given[name] = _value(pair["value"])
        elif option is not None and option.is_switch:
            given[name] = option.typed_value
        elif option is not None and option.takes_several:
            values = []
            while queue and not _OPTION.match(queue[0]):
                values.append(_value(queue.pop(0)))
            given[name] = values
        elif option is not None and queue:
            given[name] = _value(queue.pop(0))
        else:
            rest.append(word)
    return Typed(rest, given, style)


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
