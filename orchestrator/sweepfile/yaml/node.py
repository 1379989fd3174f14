"""A value of a sweep file that knows its line, and the log of mistakes found in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import Problem, SpecError, nearest
from orchestrator.sweepfile.model.private import Private


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file and its place.

    Attributes:
        value: a scalar, a list of nodes, or a dict from key to node.
        line: where it starts, from 1; None if it comes from the command line.
        key_lines: of a dict, the line of each key.
    """

    value: Any
    line: int | None = None
    origin: str = ""
    key_lines: Mapping[str, int | None] = field(default_factory=dict)

    def plain(self) -> Any:
        """Return the value without lines."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def get(self, key: str) -> Node | None:
        """Return the node under `key`; None if this is no mapping or has no such key."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def key_node(self, key: str) -> Node:
        """Return a node with the place of a key, whose value is the key itself."""
        return Node(key, self.key_lines.get(key), self.value[key].origin)

    def replaced(self, key: str, node: Node | None) -> Node:
        """Return this mapping with `key` set to `node`, or without it; the original stays."""
        entries, lines = {**self.value}, {**self.key_lines}
        if node is None:
            entries.pop(key, None)
            lines.pop(key, None)
        else:
            entries[key], lines[key] = node, node.line
        return Node(entries, self.line, self.origin, lines)


def found(node: Node) -> str:
    """Describe what a node holds, for the end of a message."""
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


_ENOUGH = 200  # a file that is no sweep at all should not print a thousand lines


class Log:
    """Collects mistakes and warnings, so that all are reported together.

    Attributes:
        exponents: the places of numbers that YAML 1.1 takes for text, such as ``1e-5``.
        private: the texts that come from the environment.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.exponents: list[Problem] = []
        self.private = Private()

    def add(self, key: str, message: str, origin: str, line: int | None = None) -> None:
        """Add a mistake."""
        self.problems.append(Problem(line, key, message, origin))

    def at(self, node: Node, key: str, message: str) -> None:
        """Add a mistake at a node of the tree."""
        self.add(key, message, node.origin, node.line)

    def warn(self, node: Node, key: str, message: str) -> None:
        """Add a warning at a node of the tree."""
        self.warnings.append(Problem(node.line, key, message, node.origin))

    def hint(self, name: str, choices: Iterable[str]) -> str:
        """Return the nearest right name as a sentence; "" once there are too many mistakes."""
        is_worth_it = len(self.problems) <= _ENOUGH and len(name) <= 80
        return nearest(name, choices) if is_worth_it else ""

    def error(self) -> SpecError:
        """Return the error with all mistakes, in the order of the file."""
        ordered = sorted(self.problems, key=lambda p: (p.line is None, p.line or 0))
        unique = list(dict.fromkeys(ordered))
        if len(unique) > _ENOUGH:
            rest = Problem(None, "", f"{len(unique) - _ENOUGH} more mistakes.", unique[0].origin)
            unique = [*unique[:_ENOUGH], rest]
        return SpecError(unique)
