"""The options that a script declares with argparse, click or absl, read from its text.

Nothing is run: ``parser.add_argument("--lr", type=float, default=0.1)``, ``@click.option("--lr")``
and ``flags.DEFINE_float("lr", 0.1, "")`` are read if names and values are literals.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "INT": int, "FLOAT": float,
          "STRING": str, "BOOL": bool,
          "string": str, "IntRange": int, "FloatRange": float}  # fmt: skip
_SWITCHES = ("store_true", "store_false", "BooleanOptionalAction")
_VALUELESS = ("version", "help", "count", "append_const", "store_const")
_DEEPEST = 150  # of a tree: others are deeper than Python can walk
_ENUMS = ("Enum", "StrEnum", "IntEnum")
_ABSL = {"DEFINE_float": float, "DEFINE_integer": int, "DEFINE_string": str, "DEFINE_bool": bool,
         "DEFINE_boolean": bool, "DEFINE_enum": str}  # fmt: skip
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
        aliases: its other long spellings.
        shorts: its spellings of one letter, without the hyphen.
        off: the option that switches it off, as ``no-amp``; "" if there is none.
        switches_off: True for a switch that makes its value false (store_false).
        any_text_is_true: True for argparse's ``type=bool``, to which the text False is true.
        dest: the name under which the script knows it, if that is another one.
        is_hidden: True if no parameter is passed as it, such as ``--version``.
        low: the least value, as click's ``IntRange`` declares it; None for any.
        high: the greatest, likewise.
    """

    option: str
    type: type | None = None
    default: Any = None
    choices: tuple[Any, ...] = ()
    is_switch: bool = False
    is_required: bool = False
    help: str = ""
    takes_several: bool = False
    aliases: tuple[str, ...] = ()
    shorts: tuple[str, ...] = ()
    off: str = ""
    switches_off: bool = False
    any_text_is_true: bool = False
    dest: str = ""
    is_hidden: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """The name of a parameter that a sweep passes as this option."""
        return self.option.replace("-", "_")

    @property
    def typed_value(self) -> bool:
        """What a parameter of the switch's name is if the switch is typed."""
        return not self.switches_off or self.option.startswith(("no", "disable", "without"))


def parse(source: str) -> ast.Module:
    """Return the tree of a script's text; SyntaxError for any text that has none that is usable."""
    try:
        tree = ast.parse(source)
        level: list[ast.AST] = [tree]
        for _ in range(_DEEPEST):
            level = [below for node in level for below in ast.iter_child_nodes(node)]
        if level:
            raise RecursionError("it is nested too deeply")
        return tree
    except (ValueError, RecursionError, MemoryError) as error:  # NUL characters, endless nesting
        raise SyntaxError(str(error)) from None


Definitions = Mapping[str, ast.FunctionDef | ast.ClassDef]
"""Functions and classes of a script and of the modules next to it, by name."""


def definitions(trees: list[ast.Module]) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """Return the functions and classes at the top of the modules."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, kinds)}


class _Constants(ast.NodeTransformer):
    """Writes the value of a constant where its name is used."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace one name."""
        return self._known.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def with_constants(trees: list[ast.Module]) -> None:
    """Replace the names of constants by what is assigned to them, once, at the top of a module."""
    known: dict[str, ast.expr] = {}
    stored: list[str] = []
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                stored.append(node.id)
            elif isinstance(node, ast.arg):
                stored += [node.arg, node.arg]
        for item in tree.body:
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
                value = item.value
                keys = value.keys if isinstance(value, ast.Dict) else None
                if literal(value) is not None or (keys and None not in map(literal, keys)):
                    known[item.targets[0].id] = value
    counts = Counter(stored)
    replace = _Constants({name: node for name, node in known.items() if counts[name] == 1})
    for tree in trees:
        replace.visit(tree)


def enum_members(name: str, known: Definitions) -> dict[str, Any]:
    """Return names and values of an enumeration; none if the name is none of one."""
    found = known.get(name)
    if not isinstance(found, ast.ClassDef) or not any(last_name(b) in _ENUMS for b in found.bases):
        return {}
    return {
        item.targets[0].id: literal(item.value)
        if not isinstance(item.value, ast.Call) else item.targets[0].id.lower()  # auto()
        for item in found.body
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
    }  # fmt: skip


def _listed(node: ast.expr | None, known: Definitions) -> tuple[Any, ...]:
    """Return the choices that an expression shows; none if it does not show them.

    Those are ``["a", "b"]``, ``list(Kind)``, ``[kind.value for kind in Kind]``, ``MODELS.keys()``.
    """
    if isinstance(node, ast.Dict):
        keys = [literal(key) for key in node.keys]
        return () if None in keys else tuple(keys)
    if isinstance(node, ast.Call) and last_name(node.func) in ("list", "tuple", "sorted", "keys"):
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        inner = node.args[0] if node.args else inner
        if members := enum_members(last_name(inner), known):
            return tuple(members.values())
        return _listed(inner, known)
    if isinstance(node, ast.ListComp) and isinstance(node.elt, ast.Attribute):
        members = enum_members(last_name(node.generators[0].iter), known)
        shown = {"value": [*members.values()], "name": [*members]}.get(node.elt.attr, [])
        return () if node.generators[0].ifs else tuple(shown)
    value = literal(node)
    return tuple(value) if isinstance(value, list | tuple | set) else ()


def declared(
    tree: ast.AST, known: Definitions = MappingProxyType({})
) -> tuple[list[Argument], bool]:
    """Return the options that a tree declares, and whether all of them could be read."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.col_offset))
    found: dict[str, Argument] = {}
    is_complete = True
    for call in calls:
        callee = last_name(call.func)
        argument = None
        if callee in ("add_argument", "add_option") or (
            callee == "option" and _is_click(call.func)
        ):
            argument = _argument(call, known, is_click=callee == "option")
            is_complete &= _has_literal_names(call)
        elif callee in _ABSL and call.args:
            argument = _absl(call, _ABSL[callee])
            is_complete &= argument is not None
        elif callee in ("getopt", "gnu_getopt") and len(call.args) > 2:
            for word in literal(call.args[2]) or ():
                name = str(word).rstrip("=")
                is_switch = name == word
                found.setdefault(
                    name, Argument(name, bool if is_switch else None, is_switch=is_switch)
                )
        if argument is not None:
            found.setdefault(argument.name, argument)
    return list(found.values()), is_complete


def last_name(node: ast.expr | None) -> str:
    """Return the last part of a dotted name; "" for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_click(func: ast.expr) -> bool:
    if isinstance(func, ast.Attribute):
        return isinstance(func.value, ast.Name) and func.value.id in ("click", "rich_click")
    return isinstance(func, ast.Name)


def _has_literal_names(call: ast.Call) -> bool:
    """Return whether the text shows all names of an option; else a loop may declare others."""
    words = [literal(node) for node in call.args]
    return bool(words) and all(isinstance(word, str) for word in words)


def _argument(call: ast.Call, known: Definitions, *, is_click: bool) -> Argument | None:
    nodes = {item.arg: item.value for item in call.keywords if item.arg is not None}
    given = {name: literal(node) for name, node in nodes.items()}
    words = [value for value in map(literal, call.args) if isinstance(value, str)]
    # Of "--amp/--no-amp" the first half is the name.
    options = [word.split("/")[0].strip().lstrip("-") for word in words if word.startswith("--")]
    dest = given.get("dest")
    is_short = not options and bool(words) and all(word.startswith("-") for word in words)
    if not options and (is_short or words or not isinstance(dest, str)):
        return None  # positional, or built by the program as it runs
    option = max(options, key=len) if options else str(dest)
    action = given.get("action") or last_name(nodes.get("action"))
    if not _NAME.fullmatch(option):
        return None
    opposite = next((word.split("/")[1].strip() for word in words if "/" in word), "")
    is_hidden = action in _VALUELESS or option in ("help", "version")
    switch = action in _SWITCHES or given.get("is_flag") is True or given.get("count") is True
    switch = switch or (is_click and bool(opposite))
    kind, choices = _kind(nodes.get("type"), nodes.get("choices"), known)
    takes_any = not is_click and kind is bool and not switch
    default = given.get("default")
    if kind is None and isinstance(default, bool | int | float | str):
        kind = type(default)
    off = opposite.lstrip("-")
    if action == "BooleanOptionalAction":
        off = f"no-{option}"
    if switch:
        is_off = action == "store_false"
        is_off = is_off and not option.startswith(("no", "disable", "without"))
        kind, default = bool, is_off or (bool(off) and default is True)
    text = given.get("help")
    several = given.get("nargs") not in (None, "?", 0, 1) and not is_click
    low, high = _range(nodes.get("type"))
    return Argument(
        option=option,
        type=kind,
        default=default if fits(default, kind) or (several and _all_fit(default, kind)) else None,
        choices=choices,
        is_switch=switch,
        is_required=given.get("required") is True,
        help=" ".join(text.split()) if isinstance(text, str) else "",
        takes_several=several,
        aliases=tuple(each for each in options if each != option),
        shorts=tuple(word[1:] for word in words if re.fullmatch(r"-[A-Za-z]\w*", word)),
        off=off,
        switches_off=action == "store_false",
        any_text_is_true=takes_any,
        dest=dest if isinstance(dest, str) and dest != option.replace("-", "_") else "",
        is_hidden=is_hidden or action == "append" or given.get("multiple") is True,
        low=low,
        high=high,
    )


def _range(node: ast.expr | None) -> tuple[float | None, float | None]:
    """Return the bounds of click's ``IntRange(1, 8)`` or ``FloatRange(min=0)``."""
    if not isinstance(node, ast.Call) or last_name(node.func) not in ("IntRange", "FloatRange"):
        return None, None
    bounds = dict(zip(("min", "max"), map(literal, node.args), strict=False))
    bounds |= {str(item.arg): literal(item.value) for item in node.keywords}
    return bounds.get("min"), bounds.get("max")


def _absl(call: ast.Call, kind: type) -> Argument | None:
    name, *rest = map(literal, call.args)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    default = rest[0] if rest else None
    listed = rest[1] if last_name(call.func) == "DEFINE_enum" and len(rest) > 1 else ()
    texts = [each for each in rest[1:] if isinstance(each, str)]
    return Argument(
        name,
        kind,
        default if fits(default, kind) else None,
        tuple(listed) if isinstance(listed, list | tuple) else (),
        help=texts[0] if texts else "",
    )


def _kind(
    node: ast.expr | None, choices: ast.expr | None, known: Definitions
) -> tuple[type | None, tuple[Any, ...]]:
    """Return what the values are, and the only ones, by the arguments ``type`` and ``choices``."""
    listed = _listed(choices, known)
    if isinstance(node, ast.Call) and last_name(node.func) == "Choice" and node.args:
        has_case = any(item.arg == "case_sensitive" for item in node.keywords)
        names = tuple(enum_members(last_name(node.args[0]), known))
        listed = () if has_case else names or _listed(node.args[0], known)
    elif not listed:  # argparse's type=Kind
        listed = tuple(enum_members(last_name(node), known).values())
    text = literal(node)  # optparse's "float"
    kind = node.func if isinstance(node, ast.Call) else node  # click's IntRange(1, 8)
    name = text if isinstance(text, str) else last_name(kind)
    return _TYPES.get(name, type(listed[0]) if listed else None), listed


def _all_fit(default: Any, kind: type | None) -> bool:
    return isinstance(default, list | tuple) and all(fits(each, kind) for each in default)


def fits(default: Any, kind: type | None) -> bool:
    """Return whether a default is of a kind; None is of every kind."""
    if default is None or kind is None or type(default) is kind:
        return True
    return kind is float and type(default) is int


def literal(node: ast.expr | None) -> Any:
    """Return the value of a literal, None for anything else."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
