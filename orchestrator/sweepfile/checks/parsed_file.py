"""A sweep file whose keys were read one by one, and which the checks compare with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.sweepfile.expand.trial_names import WRITTEN, expand_lists
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.sweep import SPEC, WANDB_KEYS
from orchestrator.sweepfile.space.domain import Declared, flatten
from orchestrator.sweepfile.trainer_schemas import TrainerSchema
from orchestrator.sweepfile.yaml.node import Log, Node

Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ParsedFile:
    """The valid keys of a sweep file, and where they are.

    Attributes:
        root: the tree of the file, for line numbers.
        values: the value of each valid key; lists in ``set`` are expanded.
        parameters: the search space, with one name for each parameter.
        nested: path of each parameter that is inside another one.
        strongest: parameters that ``--set`` gives one value.
        named: the parameters that the file itself mentions.
        log: collects errors and warnings.
        count: greatest number of trials from the command line; None if not given.
        stage: the stage that runs; None if all run, or there are none.
        schema: what the trainer declares; None for a program.
    """

    root: Node
    values: Mapping[str, Any]
    parameters: Mapping[str, Declared]
    nested: Mapping[str, tuple[str, ...]]
    strongest: Mapping[str, Node]
    named: Set[str]
    log: Log
    count: int | None = None
    stage: str | None = None
    schema: TrainerSchema | None = None

    @classmethod
    def read(
        cls,
        root: Node,
        strongest: Mapping[str, Node],
        named: Set[str],
        log: Log,
        count: int | None = None,
    ) -> Self:
        """Read the keys of a tree."""
        values = expand_lists(SPEC.read(root, "", log), log)
        parameters, nested = flatten(values.get("parameters", {}))
        return cls(root, values, parameters, nested, strongest, named, log, count)

    @property
    def method(self) -> str:
        """How parameters make configs."""
        return str(self.values.get("method", "grid"))

    @property
    def pruner(self) -> str:
        """Name of the pruner, or ``none``."""
        return str(self.values.get("pruner", "none"))

    @property
    def metrics(self) -> Sequence[Mapping[str, Any]]:
        """The entries of ``metric``, each as a mapping."""
        given = self.values.get("metric", [])
        listed = given if isinstance(given, list) else [given]
        return [{"name": item} if isinstance(item, str) else item for item in listed]

    @property
    def stages(self) -> Entries:
        """Stage to its entry."""
        return self._mapping("stages")

    @property
    def trials(self) -> Entries:
        """Named trial to its entry."""
        return self._mapping("trials")

    @property
    def ablate(self) -> Mapping[str, Any]:
        """The keys of ``ablate``."""
        return self._mapping("ablate")

    @property
    def changes(self) -> Entries:
        """Change of an ablation to its entry."""
        changes: Entries = self.ablate.get("changes", {})
        return changes

    @property
    def remedies(self) -> Entries:
        """Symptom to its remedy."""
        return self._mapping("remedy")

    def _mapping(self, key: str) -> Mapping[str, Any]:
        mapping: Mapping[str, Any] = self.values.get(key, {})
        return mapping

    @property
    def declared(self) -> TrainerSchema | None:
        """The trainer's schema if it lists its parameters; None for a program."""
        return None if self.schema is None or self.schema.takes_anything else self.schema

    @property
    def is_wandb(self) -> bool:
        """True if all keys of the file are W&B's."""
        return set(self.root.value) <= set(WANDB_KEYS)

    def has(self, *path: str) -> bool:
        """Return whether the file has a key, valid or not."""
        return all(self.node(*path[:end]).get(key) is not None for end, key in enumerate(path))

    def key_of(self, name: str) -> tuple[str, ...]:
        """Return the path of a parameter's block."""
        return ("parameters", *self.nested.get(name, (name,)))

    def names(self) -> list[str]:
        """Return all parameters that the file gives a value, sorted."""
        found = {name for _, settings in self.settings() for name in settings}
        outer = {path[0] for path in self.nested.values()}
        return sorted(found | outer | set(self.parameters) | set(self.strongest))

    def node(self, *path: str) -> Node:
        """Return the node at a path, or the nearest one above it."""
        node = self.root
        for key in path:
            below = node.get(key)
            if below is None:
                break
            node = below
        return node

    def key_node(self, *path: str) -> Node:
        """Return a node with the line of the last key of a path."""
        above = self.node(*path[:-1])
        node = above.get(path[-1]) or above
        return Node(None, above.key_lines.get(path[-1], node.line), node.origin)

    def error(self, message: str, *path: str, at: Node | None = None) -> None:
        """Log an error at a key; `at` gives another line."""
        self.log.at(at or self.key_node(*path), join(*path), message)

    def warn(self, message: str, *path: str, at: Node | None = None) -> None:
        """Log a warning at a key; `at` gives another line."""
        self.log.warn(at or self.key_node(*path), join(*path), message)

    def items(self, key: str, values: Sequence[Any]) -> Iterator[tuple[Any, tuple[str, ...], Node]]:
        """Yield each value of a key that may hold a list, with its path and node.

        If an item of the list is invalid, places are unknown: all are reported at the key.
        """
        node = self.node(key)
        listed = isinstance(node.value, list) and len(node.value) == len(values)
        for place, value in enumerate(values):
            path = (key, str(place)) if listed else (key,)
            yield value, path, node.value[place] if listed else node

    def settings(self) -> Iterator[tuple[tuple[str, ...], dict[str, Node]]]:
        """Yield every mapping from parameter to value, with its path."""
        yield ("fixed",), self.values.get("fixed", {})
        yield ("ablate", "baseline", "set"), self.ablate.get("baseline", {}).get("set", {})
        for name, entry in self.stages.items():
            yield ("stages", name, "set"), entry.get("set", {})
        for group, entries in (("trials", self.trials), ("ablate.changes", self.changes)):
            for name, entry in entries.items():
                yield (*group.split("."), entry.get(WRITTEN, name), "set"), entry.get("set", {})
