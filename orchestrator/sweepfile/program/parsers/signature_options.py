"""The options that a script declares by signatures, for typer, tyro, fire and others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.sweepfile.program.parsers.script_options import (
    Argument,
    Definitions,
    enum_members,
    fits,
    last_name,
    literal,
)

_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "Path": str}
_SEVERAL = ("list", "tuple", "set", "Sequence", "List", "Tuple", "Set", "Iterable")
_BY_VALUE = ("typer", "transformers")  # parsers that take an enum's values; others take its names
# Calls that make a parser of what is given to them, to the parser's name.
_OF_SIGNATURES = {
    ("typer", "run"): "typer",
    ("tyro", "cli"): "tyro",
    ("fire", "Fire"): "fire",
    ("", "Fire"): "fire",
    ("jsonargparse", "CLI"): "jsonargparse",
    ("", "CLI"): "jsonargparse",
    ("jsonargparse", "auto_cli"): "jsonargparse",
    ("", "auto_cli"): "jsonargparse",
    ("draccus", "parse"): "draccus",
    ("pyrallis", "parse"): "draccus",
    ("simple_parsing", "parse"): "dataclasses",
    ("", "HfArgumentParser"): "transformers",
    ("transformers", "HfArgumentParser"): "transformers",
}
_WRAPPERS = {("draccus", "wrap"): "draccus", ("pyrallis", "wrap"): "draccus"}
_NESTING = ("tyro", "draccus", "jsonargparse")
_DEEPEST = 4  # dataclasses in dataclasses


def signatures(
    trees: Sequence[ast.Module], calls: Sequence[ast.Call]
) -> Iterator[tuple[str | None, str]]:
    """Yield the functions and classes of which a parser is made, and by which."""
    for call in calls:
        by = _OF_SIGNATURES.get(dotted(call.func))
        if by is not None:
            first = call.args[0] if call.args else None
            listed = [keyword.value for keyword in call.keywords if keyword.arg == "config_class"]
            first = first if first is not None or not listed else listed[0]
            nodes = first.elts if isinstance(first, ast.Tuple | ast.List) else [first]
            nodes = first.values if isinstance(first, ast.Dict) else nodes
            if first is None and by == "fire":  # all functions are commands
                own = [node.name for node in trees[0].body if isinstance(node, ast.FunctionDef)]
                yield from ((name, by) for name in own if name != "main")
                continue
            yield from ((last_name(node) or None, by) for node in nodes)
    for tree in trees:
        apps = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            and last_name(node.value.func) == "Typer"
            for target in node.targets if isinstance(target, ast.Name)
        }  # fmt: skip
        for node in tree.body:
            for decorator in getattr(node, "decorator_list", ()):
                func = decorator.func if isinstance(decorator, ast.Call) else decorator
                place = dotted(func)
                if place in _WRAPPERS and isinstance(node, ast.FunctionDef):
                    first = node.args.args[0].annotation if node.args.args else None
                    yield last_name(first) or None, _WRAPPERS[place]
                elif place[0] in apps and place[1] in ("command", "callback"):
                    yield getattr(node, "name", None), "typer"


def added(calls: Sequence[ast.Call], known: Definitions) -> Iterator[Argument]:
    """Yield the options of dataclasses and classes that are added to a parser of argparse's kind.

    They are added by simple_parsing's ``add_arguments(Options, dest="options")``, and with a prefix
    by jsonargparse's ``add_class_arguments(Model, "model")``.
    """
    for call in calls:
        name = last_name(call.args[0]) if call.args else ""
        has_prefix = last_name(call.func) in ("add_class_arguments", "add_dataclass_arguments")
        if name not in known or not (has_prefix or last_name(call.func) == "add_arguments"):
            continue
        prefix = literal(call.args[1]) if has_prefix and len(call.args) > 1 else ""
        kind = "jsonargparse" if has_prefix else "simple_parsing"
        for each in of_callable(name, known, kind) or ():
            yield replace(each, option=f"{prefix}.{each.option}" if prefix else each.option)


def decorators(trees: Sequence[ast.Module]) -> Iterator[ast.expr]:
    """Yield the decorators of the functions and classes at the top of the modules."""
    for tree in trees:
        for node in tree.body:
            yield from getattr(node, "decorator_list", ())


def dotted(func: ast.expr) -> tuple[str, str]:
    """Return the object and the attribute of ``tyro.cli``; "" and the name of a plain one."""
    if isinstance(func, ast.Attribute):
        return last_name(func.value), func.attr
    return "", last_name(func)


def of_callable(name: str, known: Definitions, kind: str) -> list[Argument] | None:
    """Return the options that a parser makes of a function or a dataclass; None if it is unknown.

    Args:
        kind: the parser, such as ``typer``: each has its own spelling of names and booleans.
    """
    node = known.get(name)
    if node is None:
        return None
    if isinstance(node, ast.FunctionDef):
        return _of_fields(_parameters(node), known, kind)
    methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    if kind == "fire" and methods:  # each method is a command, which takes the constructor's too
        names = [name for name in methods if name == "__init__" or not name.startswith("_")]
        listed = [_of_fields(_parameters(methods[name]), known, kind) or [] for name in names]
        return [replace(each, is_required=False) for made in listed for each in made]
    if "__init__" in methods and kind == "jsonargparse":
        return _of_fields(_parameters(methods["__init__"]), known, kind)
    bases = [of_callable(last_name(base), known, kind) for base in node.bases]
    if any(base is None for base in bases):
        return None
    inherited = [argument for base in bases for argument in base or ()]
    own_fields = _of_fields(_fields(node), known, kind)
    return None if own_fields is None else [*inherited, *own_fields]


_Field = tuple[str, ast.expr | None, ast.expr | None]


def _parameters(node: ast.FunctionDef) -> Iterator[_Field]:
    """Yield name, annotation and default of each parameter."""
    args = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [None] * (len(args) - len(node.args.defaults))
    for arg, default in zip(args, [*defaults, *node.args.defaults], strict=True):
        if arg.arg not in ("self", "cls"):
            yield arg.arg, arg.annotation, default
    for arg, given in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        yield arg.arg, arg.annotation, given


def _fields(node: ast.ClassDef) -> Iterator[_Field]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id, item.annotation, item.value


def _of_fields(
    fields: Iterator[_Field], known: Definitions, kind: str, prefix: str = "", depth: int = 0
) -> list[Argument] | None:
    found: list[Argument] = []
    for name, annotation, default in fields:
        inner = known.get(last_name(annotation)) if annotation is not None else None
        is_nested = isinstance(inner, ast.ClassDef) and not enum_members(inner.name, known)
        if isinstance(inner, ast.ClassDef) and is_nested and kind in _NESTING:
            if depth >= _DEEPEST:
                return None
            below = _of_fields(_fields(inner), known, kind, f"{prefix}{name}.", depth + 1)
            if below is None:
                return None
            found += below
            continue
        made = _argument(name, annotation, default, known, kind, prefix)
        if made is not None:
            found.append(made)
    return found


def _argument(
    name: str,
    annotation: ast.expr | None,
    default: ast.expr | None,
    known: Definitions,
    kind: str,
    prefix: str,
) -> Argument | None:
    """Return one option; None if it is a positional argument."""
    extra: list[ast.expr] = []
    if isinstance(annotation, ast.Subscript) and last_name(annotation.value) == "Annotated":
        first, *extra = getattr(annotation.slice, "elts", [annotation.slice])
        annotation = first
    call = next((n for n in (default, *extra) if isinstance(n, ast.Call)), None)
    maker = last_name(call.func) if call is not None else ""
    if kind == "typer" and maker != "Option" and (default is None or maker == "Argument"):
        return None
    type_, choices, several = _type(annotation)
    value, is_required, words, text = _default(default, call)
    members = enum_members(last_name(_inner(annotation)), known)
    if members:
        texts = {each: str(v) if kind in _BY_VALUE else each for each, v in members.items()}
        named = (
            [n.attr for n in ast.walk(default) if isinstance(n, ast.Attribute)] if default else []
        )
        type_, choices = str, tuple(texts.values())
        value = next((texts[each] for each in named if each in texts), None)
        if call is not None and any(item.arg == "case_sensitive" for item in call.keywords):
            choices = ()
    if type_ is None and isinstance(value, bool | int | float | str):
        type_ = type(value)
    is_hyphened = kind in ("typer", "tyro")
    option = next((w.split("/")[0].strip().lstrip("-") for w in words if w.startswith("--")), "")
    option = option or prefix + (name.replace("_", "-") if is_hyphened else name)
    alias = prefix + name
    has_pair = type_ is bool and (kind == "typer" or (kind == "tyro" and not is_required))
    head, _, tail = option.rpartition(".")
    off = f"{head}.no-{tail}" if head else f"no-{option}"
    return Argument(
        option,
        type_,
        value if fits(value, type_) else None,
        choices,
        is_switch=has_pair,
        is_required=is_required and kind != "jsonargparse",  # it may be positional
        help=text,
        takes_several=several and kind != "fire",
        aliases=(alias,) if alias != option and kind != "typer" else (),
        off=off if has_pair else "",
    )


def _inner(node: ast.expr | None) -> ast.expr | None:
    """Return the type in ``Optional[…]``, ``… | None`` and in quotes; else the type itself."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    if isinstance(node, ast.BinOp):  # float | None
        sides = [side for side in (node.left, node.right) if literal(side) is not None
                 or not isinstance(side, ast.Constant)]  # fmt: skip
        return _inner(sides[0]) if len(sides) == 1 else None
    if isinstance(node, ast.Subscript) and last_name(node.value) == "Optional":
        return _inner(node.slice)
    return node


def _type(node: ast.expr | None) -> tuple[type | None, tuple[Any, ...], bool]:
    """Return type, choices, and whether there are several values, of an annotation."""
    node = _inner(node)
    if isinstance(node, ast.Subscript):
        outer = last_name(node.value)
        if outer == "Literal":
            listed = literal(node.slice)
            choices = listed if isinstance(listed, tuple) else (listed,)
            return type(choices[0]), choices, False
        return None, (), outer in _SEVERAL
    return _TYPES.get(last_name(node)), (), last_name(node) in _SEVERAL


def _default(node: ast.expr | None, call: ast.Call | None) -> tuple[Any, bool, list[str], str]:
    """Return the default, whether it is missing, and words and help of typer.Option or field()."""
    words, text = [], ""
    if call is not None:
        given = {item.arg: item.value for item in call.keywords if item.arg is not None}
        values = list(map(literal, call.args))
        words = [each for each in values if isinstance(each, str) and each.startswith("-")]
        shown = literal(given.get("help"))
        if not isinstance(shown, str) and isinstance(given.get("metadata"), ast.Dict):
            metadata = literal(given["metadata"])
            shown = metadata.get("help") if isinstance(metadata, dict) else None
        text = " ".join(shown.split()) if isinstance(shown, str) else ""
        if node is call:
            is_first = bool(call.args) and not (isinstance(values[0], str) and values[0] in words)
            first = call.args[0] if is_first else given.get("default", given.get("default_factory"))
            missing = first is None or (isinstance(first, ast.Constant) and first.value is ...)
            return (None if missing else literal(first)), missing, words, text
    return literal(node), node is None, words, text
