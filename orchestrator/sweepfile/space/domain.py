"""The block of one parameter: which values it may take.

The words are W&B's: ``value``, ``values``, or ``min`` and ``max`` with an optional
``distribution`` and what belongs to it. Without ``distribution``, two whole bounds mean whole
numbers and any other two mean numbers between. What W&B's own reader would only grumble at is read
as what was meant, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.schema.containers import Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    Anything,
    Conditional,
    Number,
    Schema,
    Text,
    join,
    refuse,
)
from orchestrator.sweepfile.space.distributions import DISTRIBUTIONS, UNBOUNDED, read_domain
from orchestrator.sweepfile.yaml.node import Node, found
from orchestrator.sweepfile.yaml.problems import Log


@dataclass(frozen=True)
class _Nested:
    """The kind of parameters inside a parameter; described once more under ``parameters``."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from name to `Declared`, or to such a dict."""
        if not isinstance(node.value, dict) or not node.value:
            return refuse(node, key, log, "a mapping from parameter to its values")
        entries = {
            name: Block().read(item, join(key, name), log) for name, item in node.value.items()
        }
        return {name: entry for name, entry in entries.items() if entry is not ABSENT}

    def schema(self) -> Schema:
        """Return a mapping to the very schema that this one is part of."""
        block = "#/properties/parameters/anyOf/0/additionalProperties"
        return {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": block}}


BLOCK = Record(
    keys={
        "value": Key(Anything(), "the one value of all configs"),
        "values": Key(Anything(), "the choices, in the order in which a grid takes them"),
        "probabilities": Key(
            ListOf(Number(least=0.0), "a list of numbers that sum to 1"),
            "how likely each of the values is",
        ),
        "min": Key(Number(), "least value, inclusive"),
        "max": Key(Number(), "greatest value, inclusive"),
        "distribution": Key(Text("the name of a distribution"), "how a value is drawn"),
        "q": Key(Number(above=0.0), "step of a q_ distribution; a whole q gives whole numbers"),
        "mu": Key(Number(), "mean of a normal distribution, or of a log-normal one's logarithm"),
        "sigma": Key(Number(least=0.0), "standard deviation of a normal distribution"),
        "a": Key(Number(above=0.0), "first shape of a beta distribution"),
        "b": Key(Number(above=0.0), "second shape of a beta distribution"),
        "when": Key(Conditional(), "the condition under which the parameter exists"),
        "parameters": Key(_Nested(), "parameters inside this one, which arrive as one mapping"),
    },
    expected="a mapping such as {values: [...]} or {min: ..., max: ...}",
)


@dataclass(frozen=True)
class Declared:
    """A parameter's domain and where it stands.

    Attributes:
        domain: the domain.
        node: its block in the file.
    """

    domain: Domain
    node: Node

    def leaves(self) -> Iterator[tuple[str, Node]]:
        """Yield every value that stands in the block, with the rest of its key."""
        for name in ("value", "min", "max"):
            node = self.node.get(name)
            if node is not None:
                yield name, node
        values = self.node.get("values")
        if values is not None and isinstance(values.value, list):
            for item in values.value:
                yield "values", item
        elif values is not None:
            yield "values", values


@dataclass(frozen=True)
class Block:
    """The kind of value that stands under the name of a parameter."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a `Declared`, or a dict of them where parameters stand inside."""
        if not isinstance(node.value, dict):
            word = "values" if isinstance(node.value, list) else "value"
            example = found(node) if word == "value" else "[...]"
            hint = f" Write {{{word}: {example}}}."
            return refuse(node, key, log, BLOCK.expected, hint)
        before = len(log.problems)
        entries = BLOCK.read(node, key, log)
        nested = entries.pop("parameters", None)
        if nested is not None:
            if entries:
                others = ", ".join(entries)
                log.at(node, key, f"must have no other key beside parameters, but has {others}.")
            return nested
        domain = read_domain(entries, node, key, log) if len(log.problems) == before else None
        return ABSENT if domain is None else Declared(domain, node)

    def schema(self) -> Schema:
        """Return the block's record, with the keys that belong together."""
        schema = BLOCK.schema()
        schema["properties"]["distribution"]["enum"] = list(DISTRIBUTIONS)
        schema["properties"]["values"] |= {"not": {"type": ["null", "object"]}, "minItems": 1}
        shapes = {"mu", "sigma", "a", "b"}
        forms: list[tuple[list[str], set[str]]] = [
            (["value"], set()),
            (["values"], {"probabilities"}),
            (["min", "max"], {"q"}),
            (["distribution"], {"q", *shapes}),
            (["parameters"], set()),
        ]
        schema["oneOf"] = []
        for required, optional in forms:
            free = {"distribution", "when"} if required != ["parameters"] else set()
            others = [key for key in BLOCK.keys if key not in {*required, *optional, *free}]
            form: Schema = {"required": required, "properties": dict.fromkeys(others, False)}
            if required == ["distribution"]:
                form["properties"]["distribution"] = {"enum": list(UNBOUNDED)}
            elif required == ["min", "max"]:
                ranges = [name for name, (needed, _) in DISTRIBUTIONS.items() if "min" in needed]
                form["properties"]["distribution"] = {"enum": ranges}
            schema["oneOf"].append(form)
        return schema


def flatten(
    blocks: Mapping[str, Any],
) -> tuple[dict[str, Declared], dict[str, tuple[str, ...]]]:
    """Return parameters by one name each, and the path of those that stand inside others.

    The names of a path are joined by dots; where a parameter of that name is there already,
    another dot is put between.
    """
    flat: dict[str, Declared] = {}
    paths: dict[str, tuple[str, ...]] = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((name,), block) for name, block in blocks.items()]
    while todo:
        path, block = todo.pop(0)
        if not isinstance(block, Declared):
            todo[:0] = [((*path, name), inner) for name, inner in block.items()]
        elif len(path) == 1:
            flat[path[0]] = block
        else:
            dots = "."
            while dots.join(path) in flat or dots.join(path) in blocks:
                dots += "."
            flat[dots.join(path)] = block
            paths[dots.join(path)] = path
    return flat, paths
