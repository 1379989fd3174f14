"""Write TOML 1.0 (toml.io), which Python only reads, and set values in INI and Python files.

The text around a value that is set, its comments too, stays as it is.
"""

from __future__ import annotations

import ast
import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

SETTABLE = (".ini", ".cfg", ".py")
_SECTION = re.compile(r"\s*\[(?P<name>[^\]]+)\]")
_ENTRY = re.compile(r"(?P<key>\w[\w.-]*)[ \t]*[=:][ \t]*(?P<value>\S.*?)?[ \t]*$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(values: Mapping[str, Any]) -> str:
    """Return nested mappings of plain values as TOML, without the keys whose value is None.

    Raises:
        TypeError: TOML cannot express a value.
    """
    return "\n".join(_table(values, ())) + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    if path and (not inner or len(inner) < len(values)):
        yield f"[{'.'.join(map(_key, path))}]"
    for key, value in values.items():
        if key not in inner and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        yield from _table(value, (*path, key))


def _key(key: Any) -> str:
    text = str(key)
    return text if _BARE.fullmatch(text) else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = str(value)  # TOML spells nan, inf and -inf alike
        is_float = not math.isfinite(value) or "." in text or "e" in text
        return text if is_float else f"{text}.0"
    if isinstance(value, str):
        # TOML has all of JSON's escapes, but DEL must be escaped as well.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value if item is not None)}]"
    if isinstance(value, Mapping):
        items = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(items)}}}"
    raise TypeError(f"TOML cannot express a {type(value).__name__}")


@dataclass(frozen=True)
class Setting:
    """A value in a text, and from where to where it is written."""

    value: Any
    start: int
    end: int


def settings_in(text: str, kind: str) -> dict[str, Setting]:
    """Return the values that an INI file (``optim.lr``: lr in [optim]) or a Python file assigns.

    Those of Python are literals at the top, in a class (``Config.lr``) or in a dictionary.

    Args:
        kind: one of `SETTABLE`.
    """
    if kind != ".py":
        return dict(_ini_settings(text))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # or nested too deeply
        return {}
    begins = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    return {
        name: Setting(value, *(_place(text, begins, *at) for at in places))
        for name, value, *places in _assigned(tree.body, "")
    }


def with_settings(text: str, kind: str, values: Mapping[str, Any]) -> str:
    """Return a text in which values are set.

    Raises:
        ValueError: it has no value of a name.
    """
    known = settings_in(text, kind)
    for name in values:
        if name not in known:
            raise ValueError(f"it sets no {name} (found: {', '.join(sorted(known)[:8]) or 'none'})")
    for name in sorted(values, key=lambda each: known[each].start, reverse=True):
        at, value = known[name], values[name]
        is_odd = isinstance(value, float) and not math.isfinite(value)
        shown = f"float('{value}')" if is_odd else repr(value)
        if kind != ".py":
            shown = "" if value is None else str(value)
        if "\n" in shown:
            raise ValueError(f"an INI file cannot hold {name}, which has several lines")
        text = text[: at.start] + shown + text[at.end :]
    return text


def _ini_settings(text: str) -> Iterator[tuple[str, Setting]]:
    section, begin = "", 0
    for line in text.split("\n"):
        if found := _SECTION.match(line):
            section = f"{found['name']}."
        elif found := _ENTRY.match(line):
            start, end = found.span("value") if found["value"] else (found.end(), found.end())
            yield section + found["key"], Setting(found["value"], begin + start, begin + end)
        begin += len(line) + 1


_Assigned = tuple[str, Any, tuple[int, int], tuple[int, int]]


def _assigned(body: list[ast.stmt], prefix: str) -> Iterator[_Assigned]:
    """Yield name, value, and (line, byte) of beginning and end of what statements assign."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _assigned(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                yield from _literals(node.value, prefix + target.id)


def _literals(node: ast.expr, name: str) -> Iterator[_Assigned]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield from _literals(value, f"{name}.{key.value}")
        return
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return
    end = node.end_lineno or node.lineno, node.end_col_offset or 0
    yield name, value, (node.lineno, node.col_offset), end


def _place(text: str, begins: list[int], line: int, byte: int) -> int:
    """Return where in a text a byte of a line is."""
    shown = text[begins[line - 1] : begins[line]]
    return begins[line - 1] + len(shown.encode()[:byte].decode(errors="replace"))
