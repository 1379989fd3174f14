"""Mappings in the sweep file whose keys are symptoms, in any spelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.symptoms import all_symptoms, symptom_named
from orchestrator.sweepfile.schema.fields import Kind, Schema, any_case, join, refuse
from orchestrator.sweepfile.yaml.node import Log, Node


@dataclass(frozen=True)
class BySymptom:
    """A mapping from symptom to values of a kind.

    Attributes:
        item: the kind.
        expected: what the mapping is, for messages.
    """

    item: Kind
    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from symptom name to what the kind reads."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values: dict[str, Any] = {}
        written: dict[str, str] = {}
        for name, entry in node.value.items():
            where = Node(None, node.key_lines.get(name), node.origin)
            symptom = symptom_named(name)
            if symptom is None:
                hint = log.hint(name, all_symptoms())
                hint = hint or f" Choices: {', '.join(all_symptoms())}."
                log.at(where, join(key, name), f"unknown symptom.{hint}")
                continue
            if symptom in written:
                message = f"the same symptom as '{written[symptom]}'. Keep one."
                log.at(where, join(key, name), message)
                continue
            written[symptom] = name
            value = self.item.read(entry, join(key, name), log)
            if value or value == 0:
                values[symptom] = value
        return values

    def schema(self) -> Schema:
        """Return an object type with the symptoms, and their other spellings as a pattern."""
        described = {"description": "what this symptom leads to"}
        item = self.item.schema()
        return {
            "type": "object",
            "properties": {name: {**item, **described} for name in all_symptoms()},
            "patternProperties": {_spellings(): item},
            "additionalProperties": False,
        }


def _spellings() -> str:
    names = [name.replace("-", " ").split() for name in all_symptoms()]
    patterns = ("[ _-]".join(any_case(part) for part in parts) for parts in names)
    return f"^ *({'|'.join(patterns)}) *$"


def written_as(node: Node, symptom: str) -> str:
    """Return the key under which the file contains a symptom."""
    entries: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
    return next((name for name in entries if symptom_named(name) == symptom), symptom)
