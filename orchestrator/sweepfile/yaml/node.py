"""The content of a sweep file in which every key and value knows where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file and where it stands.

    Attributes:
        value: a scalar, a list of nodes, or a dict from key to node.
        line: where it starts, from 1; None where it comes from the command line.
        origin: the file's name, or ``--set``.
        key_lines: of a dict, where each key stands.
        size: how many values it holds once aliases are unfolded, itself included.
        depth: how deep it is nested once aliases are unfolded; 1 for a scalar.
    """

    value: Any
    line: int | None = None
    origin: str = ""
    key_lines: Mapping[str, int | None] = field(default_factory=dict)
    size: int = 1
    depth: int = 1

    def plain(self) -> Any:
        """Return the value without lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def get(self, key: str) -> Node | None:
        """Return the node under `key`, or None where there is none or this is no mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def replaced(self, key: str, node: Node | None) -> Node:
        """Return this mapping with `key` set to `node`, or without it; the original stays."""
        entries = {**self.value}
        lines = {**self.key_lines}
        if node is None:
            entries.pop(key, None)
            lines.pop(key, None)
        else:
            entries[key] = node
            lines[key] = node.line
        return Node(entries, self.line, self.origin, lines)


def found(node: Node) -> str:
    """Say in a few words what a node holds, for the end of "but got ..."."""
    if isinstance(node.value, dict):
        return "a mapping" if node.value else "an empty mapping"
    if isinstance(node.value, list):
        return "a list" if node.value else "an empty list"
    if node.value is None:
        return "null"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    text = repr(node.value)
    return text if len(text) <= 60 else f"{text[:57]}..."
