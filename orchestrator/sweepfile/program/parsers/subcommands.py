"""The sub-commands of a script, read from its text."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

from orchestrator.sweepfile.program.parsers.script_options import last_name, literal

_MAKERS = frozenset(("add_subparsers", "add_typer", "add_command"))


def names_of(trees: Sequence[ast.Module]) -> tuple[str, ...]:
    """Return the names of the sub-commands that a script declares, those that it shows."""
    found = [
        literal(call.args[0])
        for call in _calls(trees)
        if last_name(call.func) == "add_parser" and call.args
    ]
    functions = [n for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef)]
    commands = [(f, d) for f in functions for d in f.decorator_list if _attribute(d) == "command"]
    if len(commands) > 1 or any(
        _attribute(d) == "group" for f in functions for d in f.decorator_list
    ):
        for function, decorator in commands:
            words = decorator.args if isinstance(decorator, ast.Call) else []
            given = literal(words[0]) if words else None
            found.append(given or function.name.replace("_", "-"))
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))


def has_any(trees: Sequence[ast.Module], names: Collection[str]) -> bool:
    """Return whether a script has sub-commands, also if it does not show their `names`."""
    return bool(names) or any(last_name(call.func) in _MAKERS | {"group"} for call in _calls(trees))


def is_required(trees: Sequence[ast.Module]) -> bool:
    """Return whether the script certainly refuses to run without a sub-command."""
    by_argparse = False
    for call in _calls(trees):
        settings = {item.arg: literal(item.value) for item in call.keywords}
        if last_name(call.func) == "group" and settings.get("invoke_without_command"):
            return False
        by_argparse |= last_name(call.func) == "add_subparsers" and settings.get("required") is True
        if last_name(call.func) == "add_subparsers" and not by_argparse:
            return False
    return True


def _calls(trees: Sequence[ast.Module]) -> list[ast.Call]:
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _attribute(decorator: ast.expr) -> str:
    """Return ``command`` of ``@app.command("train")``."""
    return last_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
