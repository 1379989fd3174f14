"""The content of a sweep file in which every key and value knows where it stands.

The list of mistakes that grows while a file is read and checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import Problem, SpecError, nearest


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


_ENOUGH = 200  # a file that is no sweep at all should not print a thousand lines


class Log:
    """Collects mistakes and warnings, so that all are told together.

    Attributes:
        problems: what is wrong.
        warnings: what the writer should know though it is not wrong.
        exponents: where a number stands that YAML 1.1 takes for text, such as ``1e-5``.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.exponents: list[Problem] = []

    def add(self, key: str, message: str, origin: str, line: int | None = None) -> None:
        """Add a mistake."""
        self.problems.append(Problem(line, key, message, origin))

    def at(self, node: Any, key: str, message: str) -> None:
        """Add a mistake at a node of the tree."""
        self.problems.append(Problem(node.line, key, message, node.origin))

    def warn(self, node: Any, key: str, message: str) -> None:
        """Add a warning at a node of the tree."""
        self.warnings.append(Problem(node.line, key, message, node.origin))

    def hint(self, name: str, choices: Iterable[str]) -> str:
        """Return the nearest right name as a sentence.

        Nothing is searched for once there are very many mistakes, since that takes time and
        nobody would read it.
        """
        if len(self.problems) > _ENOUGH or len(name) > 80:
            return ""
        return nearest(name, choices)

    def error(self) -> SpecError:
        """Return the error that tells all mistakes, in the order of the file."""
        last = float("inf")
        ordered = sorted(self.problems, key=lambda p: (p.line is None, p.line or last))
        unique = list(dict.fromkeys(ordered))
        if len(unique) > _ENOUGH:
            rest = len(unique) - _ENOUGH
            origin = unique[0].origin
            unique = [*unique[:_ENOUGH], Problem(None, "", f"{rest} more mistakes.", origin)]
        return SpecError(unique)
