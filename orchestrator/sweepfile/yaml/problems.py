"""The list of mistakes that grows while a file is read and checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.errors import Problem, SpecError, nearest

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
