"""The sub-commands of a script, read from its text."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from orchestrator.sweepfile.program.parsers.script_options import last_name, literal
from orchestrator.sweepfile.program.parsers.signature_options import decorators, dotted

_CLICK = ("", "click", "rich_click")
_MAKERS = frozenset(("add_subparsers", "add_typer", "add_command"))


def has_any(trees: Sequence[ast.Module], called: Set[str]) -> bool:
    """Return whether a script has sub-commands, also if it does not show their names.

    Args:
        called: the names of all functions that it calls.
    """
    kinds = Counter(_place(decorator)[1] for decorator in decorators(trees))
    return kinds["group"] > 0 or kinds["command"] > 1 or not _MAKERS.isdisjoint(called)


def names_of(script: ast.Module, calls: Sequence[ast.Call]) -> tuple[str, ...]:
    """Return the names of the sub-commands that a script declares, those that it shows.

    A group of click or typer in another module may belong to another program.

    Args:
        calls: all calls in the script and the modules that it imports.
    """
    found = [literal(c.args[0]) for c in calls if last_name(c.func) == "add_parser" and c.args]
    groups = {"" for call in calls if last_name(call.func) == "add_command"}
    by_app: dict[str, list[str]] = defaultdict(list)
    for function in (node for node in script.body if isinstance(node, ast.FunctionDef)):
        for decorator in function.decorator_list:
            app, kind = _place(decorator)
            if kind == "group":
                groups.add(function.name)
            elif kind == "command":
                words = decorator.args if isinstance(decorator, ast.Call) else []
                given = literal(words[0]) if words else None
                name = given if isinstance(given, str) else function.name.replace("_", "-")
                by_app["" if app in _CLICK else app].append(name)
    for app, names in by_app.items():
        # The only command of typer's app is the app; those of click alone are programs each.
        if app in groups or (app and len(names) > 1):
            found += names
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))


def is_required(script: ast.Module) -> bool:
    """Return whether the text of the script itself shows that it does not run without one."""
    found = any(_place(decorator)[1] in ("group", "command") for decorator in decorators([script]))
    for call in (node for node in ast.walk(script) if isinstance(node, ast.Call)):
        name = last_name(call.func)
        if name in ("add_subparsers", "group"):
            settings = {item.arg: literal(item.value) for item in call.keywords}
            if name == "add_subparsers" and settings.get("required") is not True:
                return False
            if settings.get("invoke_without_command"):
                return False
            found |= name == "add_subparsers"
    return found


def _place(decorator: ast.expr) -> tuple[str, str]:
    """Return ``app`` and ``command`` of ``@app.command("train")``."""
    return dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
