"""One tree of several files and the environment: ``extends`` and ``${env:NAME}``.

A file that extends another holds only what differs. Mappings such as ``fixed`` and ``parameters``
are joined entry by entry, and an entry of the extending file replaces the other's as a whole.
Every value keeps the file and line in which it is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.yaml.node import Log, Node, found
from orchestrator.sweepfile.yaml.parse import read_file, read_value

KEY = "extends"
MAX_CHAIN = 20
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_ENV_START = "${env:"


def read_whole(path: Path, joined: Collection[str], log: Log) -> Node:
    """Return the tree of a sweep file, joined with those that it extends.

    Mistakes in any of them go to `log`.

    Args:
        path: the file.
        joined: the keys whose mappings are joined entry by entry.
        log: collects the mistakes.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it, or one that it extends, is not YAML.
    """
    return _with_environment(_extended(path, joined, log, []), "", log)


def _extended(path: Path, joined: Collection[str], log: Log, chain: list[Path]) -> Node:
    root = read_file(path, log)
    node = root.get(KEY)
    if node is None:
        return root
    root = root.replaced(KEY, None)
    if node.value is None:
        return root
    if not isinstance(node.value, str) or not node.value.strip():
        log.at(node, KEY, f"expected the path of a sweep file (found {found(node)}).")
        return root
    chain = [*chain, Path(os.path.abspath(path))]
    other = Path(os.path.abspath(path.parent / Path(node.value)))
    if os.path.realpath(other) in {os.path.realpath(item) for item in chain}:
        names = " -> ".join(item.name for item in [*chain, other])
        log.at(node, KEY, f"circular extends: {names}.")
        return root
    if len(chain) >= MAX_CHAIN:
        log.at(node, KEY, f"more than {MAX_CHAIN} files extend one another.")
        return root
    try:
        base = _extended(other, joined, log, chain)
    except SpecError:
        raise
    except UsageError as error:
        reason = str(error).partition("sweep file: ")[2] or str(error)
        log.at(node, KEY, f"cannot read {node.value!r}: {reason}")
        return root
    return _join(base, root, joined)


def _join(base: Node, over: Node, joined: Collection[str]) -> Node:
    """Return `base` with the keys of `over`; what is a mapping in both is joined."""
    entries: dict[str, Node] = {**base.value}
    for key, node in over.value.items():
        before = entries.get(key, node)
        if node.value is None:
            entries[key] = before  # a key without a value changes nothing
        elif key in joined and isinstance(before.value, dict) and isinstance(node.value, dict):
            lines = {**before.key_lines, **node.key_lines}
            entries[key] = replace(node, value={**before.value, **node.value}, key_lines=lines)
        else:
            entries[key] = node
    return Node(entries, over.line, over.origin, {**base.key_lines, **over.key_lines})


def _with_environment(node: Node, key: str, log: Log) -> Node:
    """Return the tree with every ``${env:NAME}`` replaced."""
    if isinstance(node.value, dict):
        entries = {
            name: _with_environment(item, f"{key}.{name}" if key else name, log)
            for name, item in node.value.items()
        }
        return replace(node, value=entries)
    if isinstance(node.value, list):
        items = [_with_environment(item, f"{key}.{i}", log) for i, item in enumerate(node.value)]
        return replace(node, value=items)
    if not isinstance(node.value, str) or _ENV_START not in node.value:
        return node
    return _substituted(node, key, log)


def _substituted(node: Node, key: str, log: Log) -> Node:
    text: str = node.value
    if _ENV_START in _ENV.sub("", text):
        expected = "${env:NAME} or ${env:NAME:-DEFAULT}"
        log.at(node, key, f"expected a variable as {expected} (found {text[:60]!r}).")
        return replace(node, value=None)
    missing = [match[1] for match in _ENV.finditer(text) if _variable(match) is None]
    for name in missing:
        message = f"the environment variable {name} is not set."
        log.at(node, key, f"{message} Set it, or write ${{env:{name}:-DEFAULT}}.")
    if missing:
        return replace(node, value=None)
    result = _ENV.sub(lambda match: _variable(match) or "", text)
    # Alone, it is what it would be if it were written there: a number, true, text.
    return _read_alone(result, node) if _ENV.fullmatch(text) else replace(node, value=result)


def _variable(match: re.Match[str]) -> str | None:
    default: str | None = match[2]
    return os.environ.get(match[1], default)


def _read_alone(text: str, node: Node) -> Node:
    """Return the scalar that `text` is, at the place of `node`; what is no scalar stays text."""
    log = Log()
    try:
        read = read_value(text, node.origin, log)
    except SpecError:
        return replace(node, value=text)
    structured = isinstance(read.value, dict | list)
    return replace(node, value=text if log.problems or structured else read.value)
