"""The options that a script declares, read from its text or its ``--help``; it is never run here.

From the text are read ``parser.add_argument("--lr", type=float, default=0.1)`` of argparse and
``@click.option("--lr", ...)``, if names and values are literals.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "INT": int, "FLOAT": float,
          "STRING": str, "BOOL": bool}  # fmt: skip
_SWITCHES = ("store_true", "store_false", "BooleanOptionalAction")
_OTHER_ACTIONS = ("version", "help", "count", "append", "append_const", "store_const")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True)
class Argument:
    """One option of a script.

    Attributes:
        option: as it is typed, without the hyphens in front: ``learning-rate``.
        type: of its values; None if it is unknown.
        default: the literal default; None if there is none.
        is_switch: True if it takes no value.
        takes_several: True if several words may follow it.
        switches_off: True for a switch that makes its value false, as ``--no-cuda`` or store_false.
    """

    option: str
    type: type | None = None
    default: Any = None
    choices: tuple[Any, ...] = ()
    is_switch: bool = False
    is_required: bool = False
    help: str = ""
    takes_several: bool = False
    switches_off: bool = False

    @property
    def name(self) -> str:
        """The name of a parameter that a sweep passes as this option."""
        return self.option.replace("-", "_")


def read_arguments(source: str) -> list[Argument]:
    """Return the options that the text of a script declares, in its order.

    Raises:
        SyntaxError: it is no Python that this interpreter understands.
    """
    try:
        tree = ast.parse(source)
    except (ValueError, RecursionError, MemoryError) as error:  # NUL characters, endless nesting
        raise SyntaxError(str(error)) from None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    found: dict[str, Argument] = {}
    for call in calls:
        callee = _last_name(call.func)
        if callee == "add_argument" or (callee == "option" and _is_click(call.func)):
            argument = _argument(call, callee == "option")
            if argument is not None:
                found.setdefault(argument.name, argument)
    return list(found.values())


def _last_name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_click(func: ast.expr) -> bool:
    if isinstance(func, ast.Attribute):
        return isinstance(func.value, ast.Name) and func.value.id in ("click", "rich_click")
    return isinstance(func, ast.Name)


def _argument(call: ast.Call, is_click: bool) -> Argument | None:
    nodes = {item.arg: item.value for item in call.keywords if item.arg is not None}
    given = {name: _literal(node) for name, node in nodes.items()}
    words = [value for value in map(_literal, call.args) if isinstance(value, str)]
    # Of "--amp/--no-amp" the first half is the name.
    options = [word.split("/")[0].strip() for word in words if word.startswith("--")]
    dest = given.get("dest")
    if not options and (words or not isinstance(dest, str)):
        return None  # positional, or built by the program as it runs
    option = max(options, key=len).lstrip("-") if options else str(dest)
    action = given.get("action") or _last_name(nodes.get("action"))
    if not _NAME.fullmatch(option) or action in _OTHER_ACTIONS or option in ("help", "version"):
        return None
    switch = action in _SWITCHES or given.get("is_flag") is True
    switch = switch or (is_click and any("/" in word for word in words))
    kind, choices = _kind(nodes.get("type"), given.get("choices"))
    default = given.get("default")
    if kind is None and isinstance(default, bool | int | float | str):
        kind = type(default)
    if switch:
        # What counts is whether the option is typed, also if it switches something off.
        kind, default = bool, default is True and action not in ("store_true", "store_false")
    text = given.get("help")
    return Argument(
        option=option,
        type=kind,
        default=default if _fits(default, kind) else None,
        choices=choices,
        is_switch=switch,
        is_required=given.get("required") is True,
        help=" ".join(text.split()) if isinstance(text, str) else "",
        takes_several=given.get("nargs") not in (None, "?", 0, 1),
    )


def _kind(node: ast.expr | None, choices: Any) -> tuple[type | None, tuple[Any, ...]]:
    """Return what the values are, and the only ones, by the arguments ``type`` and ``choices``."""
    if isinstance(node, ast.Call) and _last_name(node.func) == "Choice" and node.args:
        choices = _literal(node.args[0])
    listed = tuple(choices) if isinstance(choices, list | tuple) else ()
    return _TYPES.get(_last_name(node), type(listed[0]) if listed else None), listed


def _fits(default: Any, kind: type | None) -> bool:
    if default is None or kind is None or type(default) is kind:
        return True
    return kind is float and type(default) is int


def _literal(node: ast.expr | None) -> Any:
    """Return the value of a literal, None for anything else."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


# "  -b N, --batch-size N     how many (default: 32)"; two blanks part an option from its words.
_OPTION = re.compile(r"^ {1,8}(?P<spec>-{1,2}[\w?].*?)(?:\s{2,}(?P<help>\S.*))?$")
_LONG = re.compile(r"--(?P<name>[A-Za-z_][\w.-]*)")
_CHOICES = re.compile(r"[{\[]([^{}\[\]]+[,|][^{}\[\]]+)[}\]]")
_DEFAULT = re.compile(r"\bdefaults?(?:\s+is|:|=)?\s*:?\s*(?P<value>[^\s\])};,]+|'[^']*')", re.I)
_TYPES_HELP_TEXT = {"INTEGER": int, "INT": int, "FLOAT": float, "NUMBER": float, "BOOLEAN": bool}
_NO_PARAMETERS = ("help", "version", "install-completion", "show-completion")
_MOST_LINES = 5_000


def read_help(text: str) -> list[Argument]:
    """Return the options that a help text lists, in its order."""
    found: dict[str, Argument] = {}
    for spec, words in _entries(text.splitlines()[:_MOST_LINES]):
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
        default=default if _fits(default, kind) else None,
        choices=choices,
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
