"""The arguments that a program was probed with, and the options that it has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.program import Argument, ScriptParser, ask_help, read_parser

# A script with none of the known parsers may not know --help, and would begin to train.
_WITHOUT_HELP = ("", "configurator", "hydra", "environment", "params_file", "notebook")
_OPTION = re.compile(r"-(?![\d.])")  # -1 and -.5 are values
_SHORT = re.compile(r"-[A-Za-z]")
_KEY_VALUE = re.compile(r"(?P<hyphens>--)?(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.*)", re.DOTALL)
_SOURCES = (".py", ".sh", ".js", ".mjs", ".ts", ".pl", ".R", ".r", ".jl", ".lua", ".rb", ".php")
_STARTS_OTHERS = re.compile(
    r"\b(?:REMAINDER|subprocess|runpy|multiprocessing|exec[lv]p?e?|spawn)\b|\$@"
)
_FILE_OPTION = re.compile(
    r"(?:[\w-]*[-_])?(?:config|conf|cfg|params|hparams|settings|parameters)(?:[-_](?:file|path))?",
    re.IGNORECASE,
)
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
    style: str | None = None


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
    if file.suffix in ScriptParser.SUFFIXES:
        with suppress(OSError, SyntaxError):
            parser = read_parser(file)
        is_read = parser.is_complete and not parser.has_subcommands
        is_unsafe = parser.kind in _WITHOUT_HELP and not (not parser.kind and parser.answers_help)
        if is_read or is_unsafe:
            return _of_parser(parser)
    home = file.parent if os.path.isfile(file) else None
    text, in_help = ask_help(start, home)
    leading = 0
    commands: list[str] = []
    while len(commands) < _DEEPEST:
        place = _subcommand(text, typed, leading)
        if place is None:
            break
        commands.append(typed[place])
        leading = place + 1
        text, in_help = ask_help([*start, *commands], home)
    env = _environment(parser)
    known = {item.name: item for item in parser.parameters}
    is_known = known.keys() >= {item.name for item in in_help} and bool(known)
    # What only the help of a subcommand shows is not asked again when the sweep runs.
    is_asked = parser.answers_help and not parser.has_subcommands and not known and bool(in_help)
    style = "auto" if is_known or (is_asked and not leading) else None
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
    shorts = {short: item for item in arguments for short in item.shorts}
    rest: list[str] = list(typed[:leading])
    given: dict[str, Any] = {}
    style: str | None = None
    queue = list(typed[leading:])
    while queue:
        word = queue.pop(0)
        pair = _KEY_VALUE.fullmatch(word)
        name = (pair["name"] if pair is not None else word.lstrip("-")).replace("-", "_")
        option = known.get(name) if word.startswith("--") else shorts.get(word[1:])
        if pair is not None and pair["hyphens"] is None:
            given[pair["name"]] = _value(pair["value"])
            style = "k=v"
        elif pair is not None and (option is not None or (not known and style != "--k v")):
            given[name if option is not None else pair["name"]] = _value(pair["value"])
            style = style if option is not None else "--k=v"
        elif not known and word.startswith("--") and style != "--k=v" and _is_value(queue):
            given[word[2:]] = _value(queue.pop(0))
            style = "--k v"
        elif not known and _SHORT.fullmatch(word) and _is_value(queue):
            given[word[1]] = _value(queue.pop(0))
            rest += [word, f"${{params:{word[1]}}}"]
        elif not known and pair is None and type(_value(word)) in (int, float):
            given[f"arg{len(typed) - len(queue)}"] = _value(word)  # its place, as in sys.argv
            rest.append(f"${{params:arg{len(typed) - len(queue)}}}")
        elif option is not None and option.is_switch:
            given[option.name] = option.typed_value
        elif option is not None and option.takes_several:
            values = []
            while queue and not _OPTION.match(queue[0]):
                values.append(_value(queue.pop(0)))
            given[option.name] = values
        elif option is not None and queue:
            given[option.name] = _value(queue.pop(0))
        else:
            rest.append(word)
    return Typed(rest, given, style)


def launched(program: str, typed: Sequence[str], folder: Path) -> tuple[int, Path] | None:
    """Return the place of the script among the words typed after its launcher, and its file.

    None is returned if no word is one.

    ``torchrun train.py --lr 0.1``, ``node train.js``, ``python -m pkg.train`` and ``launch.py
    --gpus 2 train.py`` sweep the script: its options are those that matter.
    """
    source = ""
    if os.path.isfile(folder / program) and Path(program).suffix:
        with suppress(OSError):
            source = (folder / program).read_text(errors="replace")
        if _STARTS_OTHERS.search(source) is None:
            return None
    for place, word in enumerate(typed):
        is_module = place > 0 and typed[place - 1] == "-m"
        module = _module_file(word, folder) if is_module else None
        if module is not None:
            return place, module
        file = folder / word
        if file.suffix in _SOURCES and os.path.isfile(file):
            return (place, file) if not source or _reads_options(file) else None
    return None


def _module_file(name: str, folder: Path) -> Path | None:
    """Return the file in `folder` that ``python -m`` runs for a module; None if it has none."""
    base = folder.joinpath(*name.split("."))
    files = base.with_name(f"{base.name}.py"), base / "__main__.py"
    is_name = re.fullmatch(r"\w+(?:\.\w+)*", name) is not None
    return next((file for file in files if is_name and os.path.isfile(file)), None)


def _reads_options(file: Path) -> bool:
    try:
        parser = read_parser(file)
    except (OSError, SyntaxError):
        return False
    return bool(parser.arguments) or parser.answers_help


def in_params_file(typed: Sequence[str], folder: Path) -> tuple[str, list[str], list[Argument]]:
    """Return a file of parameters that an argument names, the words with its macro, and its values.

    The file is "" if there is none.
    """
    for place, word in enumerate(typed):
        option, sign, value = word.rpartition("=")
        path = Path(value)
        is_option = place > 0 and _FILE_OPTION.fullmatch(typed[place - 1].lstrip("-")) is not None
        if not (_FILE_OPTION.fullmatch(option.lstrip("-")) if sign else is_option or not place):
            continue
        is_inside = not path.is_absolute() and ".." not in path.parts
        is_file = is_inside and os.path.isfile(folder / path) and path.suffix in ScriptParser.FILES
        leaves = read_parser(folder / path).parameters if is_file else []
        if leaves:
            words = list(typed)
            words[place] = f"{option}{sign}${{params_file}}"
            return path.as_posix(), words, leaves
    return "", list(typed), []


def _is_value(words: Sequence[str]) -> bool:
    return bool(words) and _OPTION.match(words[0]) is None


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
