"""What makes one tree of several sources: ``extends`` and ``${env:NAME}``.

A file that extends another says only what differs. Mappings such as ``fixed`` and ``parameters``
are joined entry by entry, an entry of the extending file replaces the other's whole; every value
keeps the file and line where it stands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.yaml.node import Log, Node, found
from orchestrator.sweepfile.yaml.parse import read_file, read_value

KEY = "extends"
MAX_CHAIN = 20
JOINED = (
    "fixed",
    "parameters",
    "trials",
    "stages",
    "targets",
    "resources",
    "expect",
    "reference",
    "budget",
    "ablate",
    "divergence",
    "remedy",
)
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_ENV_START = "${env:"


def read_whole(path: Path, log: Log, environ: Mapping[str, str] | None = None) -> Node:
    """Return the tree of a sweep file, joined with those that it extends.

    Mistakes in any of them go to `log`.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it, or one that it extends, is not YAML.
    """
    root = _joined(path, log, [])
    return _with_environment(root, "", os.environ if environ is None else environ, log)


def _joined(path: Path, log: Log, chain: list[Path]) -> Node:
    root = read_file(path, log)
    node = root.get(KEY)
    if node is None:
        return root
    root = root.replaced(KEY, None)
    if node.value is None:
        return root
    if not isinstance(node.value, str) or not node.value.strip():
        log.at(node, KEY, f"must be the path of a sweep file, but got {found(node)}.")
        return root
    chain = [*chain, Path(os.path.abspath(path))]
    other = Path(os.path.abspath(path.parent / Path(node.value)))
    if _same_as_one(other, chain):
        names = " → ".join(item.name for item in [*chain, other])
        log.at(node, KEY, f"must not lead back to a file that is being read, but goes {names}.")
        return root
    if len(chain) >= MAX_CHAIN:
        log.at(node, KEY, f"must go over at most {MAX_CHAIN} files, but goes on.")
        return root
    try:
        base = _joined(other, log, chain)
    except SpecError:
        raise
    except UsageError as error:
        reason = str(error).partition("but got: ")[2] or str(error)
        log.at(node, KEY, f"must be the path of a sweep file, but got {node.value!r}: {reason}")
        return root
    return _join(base, root)


def _same_as_one(path: Path, chain: list[Path]) -> bool:
    return os.path.realpath(path) in {os.path.realpath(item) for item in chain}


def _join(base: Node, over: Node) -> Node:
    """Return `base` with the keys of `over`; what is a mapping in both is joined."""
    entries: dict[str, Node] = {**base.value}
    lines = {**base.key_lines}
    for key, node in over.value.items():
        before = base.value.get(key)
        if node.value is None and key in entries:
            continue  # a key with nothing behind it says nothing
        mappings = before is not None and isinstance(before.value, dict)
        if key in JOINED and mappings and isinstance(node.value, dict):
            assert before is not None
            both = {**before.value, **node.value}
            both_lines = {**before.key_lines, **node.key_lines}
            entries[key] = Node(both, node.line, node.origin, both_lines)
        else:
            entries[key] = node
        lines[key] = over.key_lines.get(key)
    return Node(entries, over.line, over.origin, lines)


def _with_environment(node: Node, key: str, environ: Mapping[str, str], log: Log) -> Node:
    """Return the tree with every ``${env:NAME}`` replaced."""
    if isinstance(node.value, dict):
        entries = {
            name: _with_environment(item, f"{key}.{name}" if key else name, environ, log)
            for name, item in node.value.items()
        }
        changed = any(entries[name] is not item for name, item in node.value.items())
        return _like(node, entries) if changed else node
    if isinstance(node.value, list):
        items = [
            _with_environment(item, f"{key}.{place}", environ, log)
            for place, item in enumerate(node.value)
        ]
        changed = any(new is not old for new, old in zip(items, node.value, strict=True))
        return _like(node, items) if changed else node
    if not isinstance(node.value, str) or _ENV_START not in node.value:
        return node
    return _replaced(node, key, environ, log)


def _like(node: Node, value: Any) -> Node:
    return Node(value, node.line, node.origin, node.key_lines, node.size, node.depth)


def _replaced(node: Node, key: str, environ: Mapping[str, str], log: Log) -> Node:
    text: str = node.value
    good = True

    def value_of(match: re.Match[str]) -> str:
        nonlocal good
        name, default = match[1], match[2]
        value = environ.get(name, default)
        if value is None:
            good = False
            message = f"needs the environment variable {name}, which is not set."
            log.at(node, key, f"{message} Set it, or write ${{env:{name}:-DEFAULT}}.")
            return ""
        return value

    whole = _ENV.fullmatch(text)
    result = _ENV.sub(value_of, text)
    if good and _ENV_START in _ENV.sub("", text):
        expected = "${env:NAME} or ${env:NAME:-DEFAULT}"
        log.at(node, key, f"must name a variable as {expected}, but got {text[:60]!r}.")
        good = False
    if not good:
        return Node(None, node.line, node.origin)
    # Alone, it is what it would be if it were written there: a number, true, text.
    return _read_alone(result, node) if whole is not None else _like(node, result)


def _read_alone(text: str, node: Node) -> Node:
    """Return the scalar that `text` is, where `node` stands; what is no scalar stays text."""
    log = Log()
    try:
        read = read_value(text, node.origin, log)
    except SpecError:
        return _like(node, text)
    structured = isinstance(read.value, dict | list)
    return _like(node, text if log.problems or structured else read.value)
