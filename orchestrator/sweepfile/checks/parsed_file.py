"""A sweep file whose keys were read one by one, for the checks that compare them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

from orchestrator.sweepfile.expand.trial_names import safe
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.sweep import SPEC, WANDB_KEYS
from orchestrator.sweepfile.space.domain import Declared, flatten
from orchestrator.sweepfile.trainer_schemas import TrainerSchema
from orchestrator.sweepfile.yaml.node import Log, Node

WRITTEN = "written"
"""Entry of an expanded trial or change that holds its name in the file."""
MOST_COMBINATIONS = 10_000


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
        record = replace(
            SPEC, tolerant=_is_wandb(root) and {"method", "parameters"} <= set(root.value)
        )
        values = _expand_lists(record.read(root, "", log), log)
        parameters, nested = flatten(values.get("parameters", {}))
        return cls(root, values, parameters, nested, strongest, named, log, count)

    @property
    def folder(self) -> Path:
        """The absolute folder of the file."""
        return Path(self.root.origin).absolute().parent

    @property
    def method(self) -> str:
        """How parameters make configs."""
        return str(self.values.get("method", "grid"))

    @property
    def pruner(self) -> str:
        """Name of the pruner, or ``none``."""
        given = self.values.get("pruner")
        named = None if given is None else given.get("name") or given
        return "none" if named is None else str(named.value)

    @property
    def metrics(self) -> Sequence[Mapping[str, Any]]:
        """The entries of ``metric``, each as a mapping."""
        given = self.values.get("metric", [])
        listed = given if isinstance(given, list) else [given]
        return [{"name": item} if isinstance(item, str) else item for item in listed]

    @property
    def declared(self) -> TrainerSchema | None:
        """The trainer's schema if it lists its parameters; None for a program."""
        return None if self.schema is None or self.schema.takes_anything else self.schema

    @property
    def is_wandb(self) -> bool:
        """True if all keys of the file are W&B's, or unknown."""
        return _is_wandb(self.root)

    def mapping(self, *path: str) -> Mapping[str, Any]:
        """Return the valid entries at a path; {} if it is not set."""
        found = self.values
        for key in path:
            found = found.get(key, {})
        return found

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

        If it is unknown which items of the list were refused, all are reported at the key.
        """
        node = self.node(key)
        nodes = node.value if isinstance(node.value, list) else []
        refused = {problem.key for problem in self.log.problems}
        places = [place for place in range(len(nodes)) if f"{key}.{place}" not in refused]
        if len(places) != len(values):
            places = list(range(len(nodes))) if len(nodes) == len(values) else []
        for at, value in enumerate(values):
            path = (key, str(places[at])) if places else (key,)
            yield value, path, nodes[places[at]] if places else node

    def settings(self) -> Iterator[tuple[tuple[str, ...], dict[str, Node]]]:
        """Yield every mapping from parameter to value, with its path."""
        yield ("fixed",), self.values.get("fixed", {})
        baseline = ("ablate", "baseline")
        yield (*baseline, "set"), self.mapping(*baseline).get("set", {})
        for group in (("stages",), ("trials",), ("ablate", "changes")):
            for name, entry in self.mapping(*group).items():
                yield (*group, entry.get(WRITTEN, name), "set"), entry.get("set", {})


def _is_wandb(root: Node) -> bool:
    """Return whether a file has no key that is ours alone."""
    return set(root.value) & {*SPEC.keys, *SPEC.later} <= set(WANDB_KEYS)


def _expand_lists(values: Mapping[str, Any], log: Log) -> dict[str, Any]:
    """Return the values of a file with the lists in the ``set`` of trials and changes expanded.

    A trial ``a`` with ``dropout: [0.3, 0.4]`` becomes ``a-dropout-0.3`` and ``a-dropout-0.4``. A
    change ``dropout`` with the same list becomes ``dropout=0.3`` and ``dropout=0.4``; a change
    ``smaller`` with two lists becomes ``smaller+width=8_depth=2`` and so on, the last list fastest.
    """
    found = dict(values)
    if "trials" in values:
        found["trials"] = _expand(values["trials"], "trials", log)
    changes = values.get("ablate", {}).get("changes")
    if changes is not None:
        found["ablate"] = {**values["ablate"], "changes": _expand(changes, "ablate.changes", log)}
    return found


def _expand(entries: Mapping[str, Any], key: str, log: Log) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        settings: Mapping[str, Node] = entry.get("set", {})
        lists = {k: n for k, n in settings.items() if isinstance(n.value, list) and n.value}
        size = math.prod(len(node.value) for node in lists.values())
        if size > MOST_COMBINATIONS:
            where = next(iter(lists.values()))
            message = f"makes {size:,} combinations (limit: {MOST_COMBINATIONS:,}). "
            log.at(where, join(key, name, "set"), f"{message}Use shorter lists.")
        if size > MOST_COMBINATIONS or not lists:
            found[name] = {**entry, WRITTEN: name}
            continue
        for row in product(*(node.value for node in lists.values())):
            chosen = dict(zip(lists, row, strict=True))
            varied = {k: node for k, node in chosen.items() if len(lists[k].value) > 1}
            if key == "trials":
                title = "-".join([name, *(f"{k}-{_tag(node)}" for k, node in varied.items())])
            else:
                title = _change_title(name, varied, alone=list(lists) == [name])
            unique = _free_name(title, {*found, *entries} - {name})
            found[unique] = {**entry, "set": {**settings, **chosen}, WRITTEN: name}
    return found


def _change_title(name: str, varied: Mapping[str, Node], alone: bool) -> str:
    """Return the name of a change; `alone` if it sets only the parameter of the same name."""
    tags = (f"{k}={'null' if n.value is None else _tag(n)}" for k, n in varied.items())
    text = "_".join(tags)
    if not varied:
        return name
    return text if alone else f"{name}+{text}"


def _tag(node: Node) -> str:
    value = node.plain()
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    return safe(text) or "empty"


def _free_name(name: str, taken: Set[str]) -> str:
    """Return `name`, with a number if it is taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
