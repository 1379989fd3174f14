"""The arguments that a script declares, read from its text; the script is never run.

Understood are ``parser.add_argument("--lr", type=float, default=0.1)`` of argparse and
``@click.option("--lr", ...)``, where names and values stand there as literals.

The options that a program tells when asked for ``--help``: argparse, click and their like.

The styles in which parameters become arguments; no shell reads the words.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.errors import TrialError

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
        type: what its values are; None where the script does not say.
        default: the literal default; None where there is none.
        choices: the only values; empty for any.
        is_switch: True where it takes no value.
        is_required: True where the script does not run without it.
        help: its description.
        takes_several: True where several words may follow it.
    """

    option: str
    type: type | None = None
    default: Any = None
    choices: tuple[Any, ...] = ()
    is_switch: bool = False
    is_required: bool = False
    help: str = ""
    takes_several: bool = False

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


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_click(func: ast.expr) -> bool:
    if isinstance(func, ast.Attribute):
        return isinstance(func.value, ast.Name) and func.value.id in ("click", "rich_click")
    return isinstance(func, ast.Name)


def _argument(call: ast.Call, is_click: bool) -> Argument | None:
    words = [value for value in map(_literal, call.args) if isinstance(value, str)]
    keywords = {item.arg: item.value for item in call.keywords if item.arg is not None}
    # Of "--amp/--no-amp" the first half is the name.
    options = [word.split("/")[0].strip() for word in words if word.startswith("--")]
    dest = _literal(keywords.get("dest"))
    if not options and not (isinstance(dest, str) and not words):
        return None  # positional, or built by the program as it runs
    option = max(options, key=len).lstrip("-") if options else str(dest)
    action = _action(keywords.get("action"))
    if not _NAME.fullmatch(option) or action in _OTHER_ACTIONS or option in ("help", "version"):
        return None
    switch = action in _SWITCHES or _literal(keywords.get("is_flag")) is True
    switch = switch or (is_click and any("/" in word for word in words))
    default = _literal(keywords.get("default"))
    kind, choices = _kind(keywords)
    if kind is None and isinstance(default, bool | int | float | str):
        kind = type(default)
    if switch:
        # What counts is whether the option is typed, also where it switches something off.
        kind, default = bool, default is True and action not in ("store_true", "store_false")
    if not _fits(default, kind):
        default = None
    text = _literal(keywords.get("help"))
    return Argument(
        option=option,
        type=kind,
        default=default,
        choices=choices,
        is_switch=switch,
        is_required=_literal(keywords.get("required")) is True,
        help=" ".join(text.split()) if isinstance(text, str) else "",
        takes_several=_literal(keywords.get("nargs")) not in (None, "?", 0, 1),
    )


def _action(node: ast.expr | None) -> str:
    value = _literal(node)
    return value if isinstance(value, str) else _last_name(node) if node is not None else ""


def _kind(keywords: dict[str, ast.expr]) -> tuple[type | None, tuple[Any, ...]]:
    """Return what the values are, and the only ones."""
    node = keywords.get("type")
    choices = _literal(keywords.get("choices"))
    if isinstance(node, ast.Call) and _last_name(node.func) == "Choice" and node.args:
        choices = _literal(node.args[0])
    listed = tuple(choices) if isinstance(choices, list | tuple) else ()
    kind = _TYPES.get(_last_name(node)) if node is not None else None
    if kind is None and listed:
        kind = type(listed[0])
    return kind, listed


def _fits(default: Any, kind: type | None) -> bool:
    if default is None or kind is None:
        return True
    if kind is float:
        return type(default) in (int, float)
    return type(default) is kind


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
    """Return the options that a help text lists, in its order.

    Args:
        text: what the program printed.
    """
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
    if kind is not None and default is not None and type(default) is not kind:
        default = None
    return Argument(
        option=option,
        type=kind,
        default=default,
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


STYLES = ("--k=v", "--k v", "hyphen-space", "k=v", "hydra", "+k=v", "++k=v", "none")
BOOLEANS = ("flag", "pair", "value")

_HYDRA = {"hydra": "", "+k=v": "+", "++k=v": "++"}
_SPACED = ("--k v", "hyphen-space")
# What Hydra takes for text without quotes; words that mean something else to it are quoted.
_BARE = re.compile(r"[A-Za-z_./][\w./@?|+-]*")
_MEANT = re.compile(r"(?i)null|true|false|nan|inf(inity)?")


def arguments(
    config: Mapping[str, Any], *, style: str = "--k=v", booleans: str = "value"
) -> list[str]:
    """Return the arguments for `config`, in the order of the names.

    ============  =======================  ======================  =====================
    value         ``--k=v``                ``hyphen-space``        ``hydra``
    ============  =======================  ======================  =====================
    3.0           ``--t20_w=3.0``          ``--t20-w`` ``3.0``     ``t20_w=3.0``
    True          ``--amp=True``           ``--amp`` ``True``      ``amp=true``
    None          ``--clip=None``          nothing                 ``clip=null``
    [1, 2]        ``--layers=[1, 2]``      ``--layers`` ``1 2``    ``layers=[1,2]``
    {"a": 1}      ``--net={'a': 1}``       ``--net`` and JSON      ``net={a:1}``
    "-x"          ``--name=-x``            ``--name=-x``           ``name='-x'``
    "a b"         ``--name=a b``           ``--name`` ``a b``      ``name='a b'``
    ============  =======================  ======================  =====================

    ``--k=v`` is what W&B sends: the name as it is and Python's ``str`` of the value; ``k=v`` is the
    same without hyphens. ``--k v`` is ``hyphen-space`` with the name as it is; there a value that
    begins with a hyphen stays one word with its name, since it would be taken for an option, and
    None is nothing: the script's default holds. ``+k=v`` and ``++k=v`` write values as ``hydra``
    does. With `booleans` ``"flag"``, True is ``--amp`` alone and False is nothing; with ``"pair"``
    False is ``--no-amp``; both only where names have hyphens. ``none`` passes nothing.

    Args:
        config: parameter name to value.
        style: one of `STYLES`.
        booleans: one of `BOOLEANS`.

    Raises:
        TrialError: a value holds a NUL character, which no argument can.
    """
    if style not in STYLES:
        raise TrialError(f"args: must be one of {', '.join(STYLES)}, but got {style!r}.")
    if style == "none":
        return []
    words: list[str] = []
    for name in sorted(config):
        value = native(config[name])
        option = name.replace("_", "-") if style == "hyphen-space" else name
        if isinstance(value, bool) and booleans != "value" and style.startswith(("--", "hyphen")):
            off = [f"--no-{option}"] if booleans == "pair" else []
            words += [f"--{option}"] if value else off
        elif style in _HYDRA:
            words.append(f"{_HYDRA[style]}{name}={hydra_value(value)}")
        elif style in _SPACED:
            words += _spaced(f"--{option}", value)
        else:
            words.append(f"{'--' * (style == '--k=v')}{name}={value}")
    for word in words:
        if "\0" in word:
            raise TrialError(
                f"argument {word.split('=')[0]}: must hold no NUL character, but got {word!r}."
            )
    return words


def hydra_value(value: Any) -> str:
    """Return a value as Hydra's grammar of overrides reads it back (hydra.cc, override grammar)."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(hydra_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{hydra_value(item)}' for key, item in value.items())}}}"
    text = str(value)
    if _BARE.fullmatch(text) and not _MEANT.fullmatch(text):
        return text
    # Backslashes count only before a quote and at the end; ${ would begin an interpolation.
    text = text.replace("${", r"\${")
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)\Z", r"\1\1", text) + "'"


def native(value: Any) -> Any:
    """Return `value` with numpy scalars as Python numbers and tuples as lists."""
    if isinstance(value, Mapping):
        return {key: native(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [native(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def _spaced(option: str, value: Any) -> list[str]:
    """Return the words of one parameter where name and value are two words."""
    if value is None:
        return []
    if isinstance(value, list):
        return [option, *(_word(item) for item in value)]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    # A word that begins with a hyphen is taken for an option; argparse lets negative numbers
    # pass, but not those with an exponent.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _word(item: Any) -> str:
    """Return one item of a list as a word."""
    if isinstance(item, list | dict):
        return json.dumps(item, ensure_ascii=False)
    if isinstance(item, float) and item < 0 and "e" in repr(item):
        return format(Decimal(repr(item)), "f")
    return str(item)
