"""A sweep file on its way to a spec: its keys are read, and have not met each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from orchestrator.spec.domains import Declared
from orchestrator.spec.problems import Log
from orchestrator.spec.trainers import TrainerSchema
from orchestrator.spec.tree import Node


@dataclass
class Draft:
    """A sweep file whose single keys were read.

    Attributes:
        root: its tree, for lines.
        values: what its good keys hold, as the kinds of the table read them.
        strongest: what ``--set`` gave for parameters.
        named: the parameters that the file itself names.
        log: takes mistakes and warnings.
        stage: the stage that was asked for; after `check_stage` the one that runs.
        schema: the trainer's, once it is known.
    """

    root: Node
    values: Mapping[str, Any]
    strongest: Mapping[str, Node]
    named: Set[str]
    log: Log
    stage: str | None = None
    schema: TrainerSchema | None = None
    parameters: Mapping[str, Declared] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = self.values.get("parameters", {})

    @property
    def method(self) -> str:
        """How parameters make configs."""
        return str(self.values.get("method", "grid"))

    def node(self, *path: str) -> Node:
        """Return the node at a path, or the one nearest above it."""
        node = self.root
        for key in path:
            below = node.get(key)
            if below is None:
                break
            node = below
        return node

    def key_node(self, *path: str) -> Node:
        """Return a node that stands where the last key of a path stands."""
        above = self.node(*path[:-1])
        node = above.get(path[-1]) or above
        return Node(None, above.key_lines.get(path[-1], node.line), node.origin)

    def settings(self) -> Iterator[tuple[tuple[str, ...], dict[str, Node]]]:
        """Yield every mapping from parameter to value, with its path."""
        yield ("fixed",), self.values.get("fixed", {})
        for group in ("stages", "trials"):
            for name, entry in self.values.get(group, {}).items():
                yield (group, name, "set"), entry.get("set", {})
