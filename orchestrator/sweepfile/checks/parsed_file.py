"""A sweep file on its way to a spec: its keys are read, and have not met each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sweepfile.expand.names import WRITTEN
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.sweep import WANDB_KEYS
from orchestrator.sweepfile.space.domain import Declared, flatten
from orchestrator.sweepfile.trainer_schemas import TrainerSchema
from orchestrator.sweepfile.yaml.node import Log, Node


@dataclass
class ParsedFile:
    """A sweep file whose single keys were read.

    Attributes:
        root: its tree, for lines.
        values: what its good keys hold, as the kinds of the table read them.
        strongest: what ``--set`` gave for parameters.
        named: the parameters that the file itself names.
        log: takes mistakes and warnings.
        stage: the stage that was asked for; after `check_stage` the one that runs.
        count: the greatest number of trials that ``--count`` gives; None where it is not given.
        schema: the trainer's, once it is known.
        parameters: what may vary, by one name each.
        nested: the path of those parameters that stand inside others.
    """

    root: Node
    values: Mapping[str, Any]
    strongest: Mapping[str, Node]
    named: Set[str]
    log: Log
    stage: str | None = None
    count: int | None = None
    schema: TrainerSchema | None = None
    parameters: Mapping[str, Declared] = field(init=False)
    nested: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters, self.nested = flatten(self.values.get("parameters", {}))

    def key_of(self, name: str) -> str:
        """Return the key of a parameter's block, for messages."""
        return join("parameters", *self.nested.get(name, (name,)))

    @property
    def method(self) -> str:
        """How parameters make configs."""
        return str(self.values.get("method", "grid"))

    @property
    def declared(self) -> TrainerSchema | None:
        """The trainer's schema where it says which parameters there are; None for a program."""
        return None if self.schema is None or self.schema.takes_anything else self.schema

    @property
    def is_wandb(self) -> bool:
        """True where the file has no other keys than W&B's."""
        return set(self.root.value) <= set(WANDB_KEYS)

    def names(self) -> list[str]:
        """Return the parameters that the file gives a value anywhere, in the order of the names."""
        found = {name for _, settings in self.settings() for name in settings}
        outer = {path[0] for path in self.nested.values()}
        return sorted(found | outer | set(self.parameters) | set(self.strongest))

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
                yield (group, entry.get(WRITTEN, name), "set"), entry.get("set", {})
        ablate = self.values.get("ablate", {})
        yield ("ablate", "baseline", "set"), ablate.get("baseline", {}).get("set", {})
        for name, entry in ablate.get("changes", {}).items():
            yield ("ablate", "changes", entry.get(WRITTEN, name), "set"), entry.get("set", {})
